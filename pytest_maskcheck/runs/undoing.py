"""Undo what a run left, so that it affects neither the next run in the process nor the machine afterwards.

A leftover may be a fixture's: a connection that code under test opened and that the fixture closes. So undoing waits until fixtures
are torn down; otherwise things would be closed under them. Only locks are released earlier, where runs share the process, as a
fixture may wait for them; and process state is put back earlier, as fixtures restore it on their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck.system.stopwatch import their_time

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pytest_maskcheck.interrupts import Strike
    from pytest_maskcheck.resources import Kind, Leftover
    from pytest_maskcheck.runs.readings import Readings


def comes_first(leftover: Leftover, kinds: Iterable[Kind]) -> bool:
    """Return whether a leftover is to be undone before fixtures are torn down."""
    return leftover.altered or any(kind.blocks for kind in kinds if kind.name == leftover.kind)


def undo(
    leftovers: Collection[Leftover], readings: Readings, strike: Strike, *, here: bool, after_fixtures: bool
) -> None:
    """Undo what is left. What would end with the process is undone only if the process goes on.

    What serves later runs stays if nothing was interrupted: it was started for the first time in this process.

    Parameters:
        leftovers: what is left.
        readings: those of the run.
        strike: that of the run.
        here: the process goes on after the run.
        after_fixtures: fixtures are torn down, and what they have ended is left alone.
    """
    kinds = {kind.name: kind for kind in readings.kind_set.kinds if here or kind.outlives}
    if not strike.in_turn()[0].fired:  # with two interrupts, what the first one left counts
        kinds = {name: kind for name, kind in kinds.items() if not kind.serves}
    leftovers = [leftover for leftover in leftovers if leftover.kind in kinds]
    if leftovers and after_fixtures:
        lasting = readings.lasting(leftovers)
        leftovers = [leftover for leftover in leftovers if leftover.identity in lasting]
    for leftover in leftovers:
        with their_time:  # a repair may run their code, and wait for their threads
            kinds[leftover.kind].repair(leftover)
