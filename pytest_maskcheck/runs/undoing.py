"""Undoing what a run left, so that the next run in the process, or the machine after it, does not meet it.

A leftover may be a fixture's: a connection that code under test opened and that the fixture closes. So nothing is undone before
fixtures were torn down, as they would meet what was closed under them. Only locks are released before, where runs share the process,
as a fixture may wait for them; and process state is put back, which fixtures restore on their own.
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
    """Tell whether a leftover is to be undone before fixtures are torn down."""
    return leftover.altered or any(kind.blocks for kind in kinds if kind.name == leftover.kind)


def undo(
    leftovers: Collection[Leftover], readings: Readings, strike: Strike, *, here: bool, after_fixtures: bool
) -> None:
    """Undo what is left; of what the process takes with it only where the process stays.

    What serves later runs stays if nothing was interrupted: it was started for the first time in this process.

    Parameters:
        leftovers: what is left.
        readings: of the run.
        strike: of the run.
        here: the process stays.
        after_fixtures: fixtures were torn down: what they have ended stays as it is.
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
