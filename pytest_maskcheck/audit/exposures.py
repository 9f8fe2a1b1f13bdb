"""Measures the exposure of points that have a finding, when all of them are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_maskcheck.runs.requests import Timed, alone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_maskcheck.audit.judge import Judge
    from pytest_maskcheck.results import Exposure, Point

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


def exposures(judge: Judge, shown: Sequence[Point], seconds: float) -> Exposed | None:
    """Return the exposure of the points with a finding, or ``None`` if there are none, there is no time, or a run fails.

    Parameters:
        judge: has the results.
        shown: the points with one interrupt.
        seconds: the duration of an uninterrupted run.
    """
    names = tuple(point.id for point in shown if point.id in judge.results and judge.results[point.id].findings)
    least, most = _LAPS
    laps = max(least, min(most, int(_SECONDS / max(seconds, 0.001))))
    if not names or judge.late(2 * (laps + 1) * seconds):
        return None
    ran = alone(judge.executor, Timed(names, laps))[0]
    return Exposed(ran.exposures, ran.seconds) if ran.exposures else None
