"""Makes uninterrupted runs to find out how long each is open to an interrupt at some points: the exposure of these points.

Points that a run comes to seldom are watched, and the gaps before them timed (:mod:`.gaps`). Watching the others would take longer than the
run itself. They make up much of it, so samples of where interrupts land at random moments are precise enough (:mod:`.shares`). Where a
watched run leaves something out, as one that polls until some time is up, both are done, and the narrower interval is stated.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.audit.gaps import Gaps, is_shorter, rare
from pytest_maskcheck.audit.shares import Shares
from pytest_maskcheck.system.stopwatch import start_anew

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from pytest_maskcheck.audit.run_maker import Scope
    from pytest_maskcheck.interrupts import Hit, Mechanism, Mode, Strike, Trigger
    from pytest_maskcheck.interrupts.timing import Lap
    from pytest_maskcheck.points.plan import Aim
    from pytest_maskcheck.results import Exposure
    from pytest_maskcheck.runs.requests import RunResult, Timed
    from pytest_maskcheck.runs.runner import Runner

_EVENTS = 20_000
"""Watching a run with more events would take longer than the run itself."""

_SAMPLES = 1000
"""So many samples are taken in all runs together."""

_EVERY = 1e-4
"""At least so many seconds are between two samples: the handler takes some microseconds."""

_LEAST = 100
"""With fewer samples nothing is stated."""

_PATIENCE = 5
"""So many times as many runs are sampled where they bring too few samples: a process that waits for the processor gets fewer."""


@dataclass(frozen=True, slots=True, repr=False)
class TimedRuns:
    """Makes the runs of one request.

    Parameters:
        runner: runs the test.
        mechanism: how interrupts are delivered.
        scope: the code that is audited.
        mode: where interrupts go.
        aims: id of a point -> where it is; of all points.
    """

    runner: Runner
    mechanism: Mechanism[Any]
    scope: Scope
    mode: Mode
    aims: Mapping[str, Aim]

    def make(self, request: Timed) -> RunResult:
        """Make the runs; return the last one, with the exposure of points, and the duration of a run that nothing slows down."""
        laps = request.laps
        ran, plain = self._laps([], laps, waits=False)
        if len(plain) < laps:
            return ran
        seconds = median(lap.seconds for lap in plain)
        hits = {name: self.aims[name].first for name in request.points}
        found: dict[int, Exposure] = {}  # by ``id`` of the hit
        often = [*hits.values()]
        if seldom := rare(hits.values(), _EVENTS):
            gaps = Gaps(seldom)
            ran, watched = self._laps(gaps.triggers, laps + 1, waits=True)
            if len(watched) < laps + 1:
                return ran
            found |= zip(map(id, seldom), gaps.exposures(watched[:-1], watched[-1], seconds), strict=True)
            if not is_shorter(watched[:-1], seconds):
                often = [hit for hit in often if id(hit) not in found]
        if often and request.samples:
            for name, exposure in self._sampled(often, laps, seconds).items():
                found[name] = min(found.get(name, exposure), exposure, key=lambda each: each.greatest - each.least)
        ran.seconds = seconds
        ran.exposures = {name: found[id(hit)] for name, hit in hits.items() if id(hit) in found}
        return ran

    def _laps(self, triggers: Sequence[Trigger], number: int, *, waits: bool) -> tuple[RunResult, list[Lap]]:
        """Time so many runs, not counting a first one; in the last of them, measure when the thread waits, if wanted. Stop if one fails."""
        with self.mechanism.engine.time(triggers, self.scope.in_scope, self.mode) as clock:
            for lap in range(1 + number):
                ran = self._run(clock.lap(waits=waits and lap == number))
                if not ran.passed:
                    return ran, clock.laps[1:-1]
        return ran, clock.laps[1:]

    def _run(self, around: AbstractContextManager[Strike]) -> RunResult:
        """Make one of the runs, which has as much time as if it were the only one."""
        start_anew()
        return self.runner.run(around)

    def _sampled(self, hits: Iterable[Hit], laps: int, seconds: float) -> dict[int, Exposure]:
        """Return the exposure of hits, by ``id``, from samples of runs; none if a run fails, or there are too few samples."""
        samples = self.mechanism.samples(self.scope.in_scope, max(laps * seconds / _SAMPLES, _EVERY))
        for lap in range(_PATIENCE * laps):
            if lap >= laps and samples.landings.total() >= _LEAST:
                break
            if not samples.is_possible or not self._run(samples.run()).passed:
                return {}
        if samples.landings.total() < _LEAST:
            return {}
        shares = Shares(aim.first for aim in self.aims.values())
        return {id(hit): shares.exposure(hit, samples, seconds) for hit in hits}
