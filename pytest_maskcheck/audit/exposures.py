"""Measures the exposure of points that have a finding, when all of them are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_maskcheck.audit.failed_runs import trouble
from pytest_maskcheck.reasons import Note, Reason
from pytest_maskcheck.results import Exposure
from pytest_maskcheck.runs.requests import Timed, alone

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_maskcheck.audit.budget import Share
    from pytest_maskcheck.audit.judge import Judge
    from pytest_maskcheck.audit.run_maker import RunMaker
    from pytest_maskcheck.results import Point

_SECONDS = 0.2
"""About how long the timed runs may take."""

_LAPS = 3, 12
"""At least, and at most, so many runs are timed."""


@dataclass(frozen=True, slots=True)
class Exposed:
    """Message: the exposure of points, and how long an uninterrupted run takes.

    Parameters:
        points: id of a point -> its exposure.
        seconds: the duration of the body.
    """

    points: dict[str, Exposure]
    seconds: float


def exposures(
    judge: Judge, maker: RunMaker, shown: Sequence[Point], seconds: float, budget: Share | None
) -> Iterator[Exposed | Reason]:
    """Yield the exposure of the points with a finding, and why that of some was not measured; nothing if there are no such points.

    Parameters:
        judge: has the results.
        maker: has the aims of the points.
        shown: the points with one interrupt.
        seconds: the duration of an uninterrupted run.
        budget: the time that is left.
    """
    names = tuple(point.id for point in shown if point.id in judge.results and judge.results[point.id].findings)
    if not names:
        return
    least, most = _LAPS
    laps = max(least, min(most, int(_SECONDS / max(seconds, 0.001))))
    if maker.mode != "checkpoint":
        yield Reason(Note.UNTIMED, why=Reason(Note.OTHER_MODE))
        return
    if budget and budget.over(2 * (laps + 1) * seconds):
        yield Reason(Note.UNTIMED, why=budget.reason)
        return
    # Where runs are made in the process of the session, its timer is not ours to use.
    ran = alone(judge.executor, Timed(names, laps, samples=judge.executor.clean))[0]
    if not ran.passed:
        yield Reason(Note.UNTIMED, why=Reason(Note.OTHER, text=f"a run of it {trouble(ran)}"))
        return
    # Of a place that comes too often to be watched, and cannot be sampled, it is only known that it may make up the whole run.
    anything = Exposure(0.0, ran.seconds * 1e6)
    yield Exposed({name: ran.exposures.get(name, anything) for name in names}, ran.seconds)
    if left := sum(name not in ran.exposures for name in names):
        yield Reason(Note.UNTIMED, why=Reason(Note.TOO_OFTEN, number=left))
