"""After the body of a run: what came out, whether guarantees hold, and what is left, in three readings (see :mod:`.readings`).

Guarantees are checked before the last reading, once the test's frame is gone together with what only it kept alive.

The order of the statements matters: between two readings, exactly one of the things that keep objects alive may go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_maskcheck.resources.heap import at_once
from pytest_maskcheck.resources.reference_path import held_by
from pytest_maskcheck.runs.finalizers import finalizers_time
from pytest_maskcheck.runs.raised import drop
from pytest_maskcheck.runs.tracebacks import traceback_of
from pytest_maskcheck.runs.undoing import comes_first, undo
from pytest_maskcheck.system.signals import collect_garbage
from pytest_maskcheck.system.stopwatch import their_time
from pytest_maskcheck.system.unpatched import threading
from pytest_maskcheck.system.untrusted import with_traceback

if TYPE_CHECKING:
    from types import FrameType

    from pytest_maskcheck.resources import Leftover
    from pytest_maskcheck.resources.kind import Identity
    from pytest_maskcheck.runs.origins import Watch
    from pytest_maskcheck.runs.outcomes import Outcomes
    from pytest_maskcheck.runs.readings import BodyEnd, Readings
    from pytest_maskcheck.runs.requests import RunResult
    from pytest_maskcheck.runs.target import Guarantees, Target


@dataclass(slots=True, repr=False)
class AfterBody:
    """Fills in the result of a run whose body has ended.

    Parameters:
        target: the test.
        outcomes: reads the exceptions that came out.
        guarantees: what must hold after a run.
        here: runs share the process with the session.

    Attributes:
        keeps: the exception of the next interrupted run is kept, with its frames, in ``exception``.
    """

    target: Target
    outcomes: Outcomes
    guarantees: Guarantees | None
    here: bool
    keeps: bool = False
    exception: BaseException | None = None

    def read(self, ran: RunResult, end: BodyEnd, caught: list[BaseException], watch: Watch | None = None) -> None:
        """Fill in what came out of the run, which guarantees do not hold, and what is left; empty ``caught`` on the way."""
        readings, kinds = end.readings, end.readings.kind_set.kinds
        if watch is not None:
            ran.places = {name: tuple(places) for name, places in watch.places.items()}
            ran.passed_by, ran.outlasting = watch.passing.passed_by, watch.passing.outlasting
        first = readings.read()  # the traceback still keeps all frames alive
        if first:
            # What ends by itself was not released by reference counting, so it gets time to end before the frames go.
            others = threading.active_count() > 1  # they may be about to close what they own
            ending = {kind.name for kind in kinds if kind.ends or (others and kind.owns)}
            ending |= readings.settling() if others else set()
            first = readings.settled(ending)
        returned = not caught
        with their_time:  # dropping the frames calls finalizers, which are the test's
            test = self._let_go_of(caught, ran)
        checks = self.guarantees is not None and self.guarantees.asked
        settling: set[str] = set()
        second: list[Leftover] = []
        if first:  # second reading: of the frames of code under test, only the test's own is left
            settling = readings.settling()
            self._let_go()
            second = readings.settled(settling)
        with their_time:
            del test  # this drops the frame's locals
        if second or checks:
            self._let_go()
        made: set[Identity] = set()
        if checks:
            first, made = self._checked(ran, readings, first, returned=returned)
        if not first:
            return
        # Third reading: the test's frame is gone, too. What the checks of the guarantees made is not the run's.
        last = [found for found in readings.settled(settling) if found.identity not in made] if second else []
        gone = {kind.name for kind in kinds if kind.dies_with_frames}
        end.kept = {leftover.identity for leftover in last}
        if not returned:  # if the body returned, no frame was kept
            # A lock that dies with the test's frame was never released: in a program that went on, it would stay held.
            end.kept |= {leftover.identity for leftover in second if leftover.kind in gone}
        found = {leftover.identity: leftover for leftover in [*first, *second, *last]}
        end.described, end.last = _describe(ran, found, end, watch), last
        before_fixtures = [leftover for leftover in last if comes_first(leftover, kinds)]
        undo(before_fixtures, readings, ran.strike, here=self.here, after_fixtures=False)

    def _let_go_of(self, caught: list[BaseException], ran: RunResult) -> FrameType | None:
        """Record what came out of the body, then drop it; return the test's own frame."""
        if not caught:
            return None
        error = caught.pop()  # from here on, only this frame refers to it
        entries = self.outcomes.entries(error, ran.strike)
        ran.raised = self.outcomes.raised(error, entries, ran.strike)
        if self.keeps and ran.strike.fired:  # if not, what earlier runs left kept the run from its point
            self.exception = with_traceback(error, traceback_of(entries))
        else:
            drop(error)
        return entries[0].frame if entries else None

    def _checked(
        self, ran: RunResult, readings: Readings, first: list[Leftover], *, returned: bool
    ) -> tuple[list[Leftover], set[Identity]]:
        """Check the guarantees, then drop them.

        Returns:
            ``first`` without what only the guarantees kept alive, if no traceback kept it; and what the checks left behind.
        """
        assert self.guarantees is not None
        before = {found.identity for found in readings.read()} if first else set()
        if not self.keeps:
            with their_time:
                ran.broken = self.guarantees.check(returned=returned)
        made = {found.identity for found in readings.read()} - before if first else set()
        self.guarantees.forget()
        # A callable registered as a guarantee keeps alive what it refers to. That is the audit's doing, not the run's.
        if first and returned:
            there = {found.identity for found in readings.read()}
            first = [found for found in first if found.identity in there or found.identity not in before]
        if first:
            self._let_go()
        return first, made

    def _let_go(self) -> None:
        """Collect garbage, including what only records about it keep alive: a recorded ``ResourceWarning`` refers to its source."""
        with finalizers_time():
            collect_garbage()  # finalizers may warn, and so add to the records that are dropped next
            self.target.forget()
            collect_garbage()


def _describe(
    ran: RunResult, found: dict[Identity, Leftover], end: BodyEnd, watch: Watch | None
) -> dict[Identity, Leftover]:
    """Return leftovers under the best names that can be found; for a watched run, also record how they came to be."""
    kinds = end.readings.kinds()
    with at_once:
        described = {identity: kinds[leftover.kind].describe(leftover) for identity, leftover in found.items()}
        if watch is None:
            return described
        for identity, leftover in described.items():
            if sighting := watch.sighting(leftover, at_once=not ran.strike.in_turn()[0].waits):
                held = held_by(kinds[leftover.kind].thing(leftover)) if identity in end.kept else ""
                ran.sightings[leftover.kind, leftover.key] = sighting.held(held)
    return described
