"""Measures the exposure of points that have a finding, when all of them are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_maskcheck.audit.failed_runs import trouble
from pytest_maskcheck.audit.gaps import Gaps
from pytest_maskcheck.reasons import Note, Reason
from pytest_maskcheck.runs.requests import Timed, alone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_maskcheck.audit.budget import Share
    from pytest_maskcheck.audit.judge import Judge
    from pytest_maskcheck.audit.run_maker import RunMaker
    from pytest_maskcheck.results import Exposure, Point

_SECONDS = 0.2
"""About how long the timed runs may take."""

_LAPS = 3, 12
"""At least, and at most, so many runs are timed."""

_EVENTS = 20_000
"""A run with more events is not timed: the way into a function of ours and out of it would take longer than the run itself."""


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
) -> Exposed | Reason | None:
    """Return the exposure of the points with a finding, or why it was not measured; ``None`` if there are no such points.

    Parameters:
        judge: has the results.
        maker: has the aims of the points.
        shown: the points with one interrupt.
        seconds: the duration of an uninterrupted run.
        budget: the time that is left.
    """
    names = tuple(point.id for point in shown if point.id in judge.results and judge.results[point.id].findings)
    if not names:
        return None
    least, most = _LAPS
    laps = max(least, min(most, int(_SECONDS / max(seconds, 0.001))))
    events = Gaps([maker.aims[name].first for name in names]).events
    if maker.mode != "checkpoint":
        why = Reason(Note.OTHER_MODE)
    elif events > _EVENTS:
        why = Reason(Note.TOO_OFTEN, number=events)
    elif budget and budget.over(2 * (laps + 1) * seconds):
        why = budget.reason
    else:
        ran = alone(judge.executor, Timed(names, laps))[0]
        if ran.exposures:
            return Exposed(ran.exposures, ran.seconds)
        why = Reason(Note.OTHER, text=f"a run of it {trouble(ran)}")
    return Reason(Note.UNTIMED, why=why)
