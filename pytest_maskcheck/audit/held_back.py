"""Try windows: does nothing stay behind if the interrupt is held back over the stretch in which it would lead into a defect?

For each window of a defect that fails, up to a number, one run is made in a clean process: the interrupt comes at the first point of the
window and is let through at the point where a mask would let it (:mod:`pytest_maskcheck.results.windows`). An uninterrupted run follows it.

No mask may be held over an ``await`` or a ``yield``, so no run is made for a window with one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck.audit.failed_runs import strayed
from pytest_maskcheck.audit.findings import is_failing
from pytest_maskcheck.points.suspensions import suspends
from pytest_maskcheck.results import Audit, HeldBackRun
from pytest_maskcheck.results.windows import windows
from pytest_maskcheck.runs.requests import HeldBack, alone

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_maskcheck.audit.judge import Judge
    from pytest_maskcheck.results import Point, PointResult
    from pytest_maskcheck.results.windows import Window

SHOWN = 3
"""Number of windows of one defect that are tried, and shown in reports."""


def try_windows(judge: Judge, points: Sequence[Point], results: Sequence[PointResult]) -> Iterator[HeldBackRun]:
    """Make the runs for the windows of these results, while there is time.

    Parameters:
        judge: has the executor.
        points: the points of the plan, in order.
        results: what is known of them.
    """
    by_id = {result.point: result for result in results}
    known = [point for point in points if point.id in by_id]
    audit = Audit("", points=tuple(known), results=tuple(by_id[point.id] for point in known))
    tried: set[tuple[Point, Point | None]] = set()
    for defect in audit.failures:
        for window in windows(audit, defect)[:SHOWN]:
            pair = (window.begins, window.after)
            if pair in tried:
                continue
            if judge.late(0.0):
                return
            tried.add(pair)
            after = window.after.id if window.after else ""
            if suspends(window.file, window.since, window.until):
                yield HeldBackRun(window.begins.id, after, clean=False, suspends=True)
            else:
                yield HeldBackRun(window.begins.id, after, _is_clean(judge, window))


def _is_clean(judge: Judge, window: Window) -> bool:
    """Make the run for a window; return whether nothing was wrong after it."""
    ran, *then = alone(judge.executor, HeldBack(window.begins, window.after), None)
    if not then or strayed(then[0]):  # the run after it shows whether the code still works
        return False
    if window.after is not None:
        result = judge.findings.result(window.after, ran)
        return not result.reason and not is_failing(result)
    found = (each for each in judge.findings.of(window.begins, ran) if each.fails)
    left = any(not judge.allowances.allows(window.begins, each) for each in found)
    return ran.strike.withdrawn and ran.passed and not left
