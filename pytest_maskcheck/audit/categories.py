"""Sort findings into categories: the code's own, those that only a mask can avoid, and losses inside code out of scope.

The last two categories are true findings that cannot be cured where they show:

*cleanup*: the interrupt arrives in the call that releases the thing, before it has been released: ``finally: path.unlink()``, a Python
``__exit__``. In the caller, only a mask around the call closes that gap. Such a finding fails, but has a category of its own, which can
be allowed as ``cleanup:*``. A finding is not of this category if the uninterrupted call would not have undone it either, or if it is
found again at a point behind the line. If several things share a name, each origin is examined separately.

*inside*: code out of scope acquired the thing, and the interrupt arrived before that code returned. A Python function can protect
what it acquires up to its last instruction, since there is no checkpoint between that instruction and the caller's next one. So
the defect belongs to the called function. It is listed, and fails with ``strict``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.places import BEYOND
from pytest_maskcheck.results import Category, Finding, Point, PointResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from pytest_maskcheck.results import Frame

_LASTING = {Verdict.LEAK, Verdict.ALTERED, Verdict.UNUSABLE, Verdict.INVARIANT, Verdict.IMPLICIT}
"""Verdicts about something that the interrupted call might have undone."""

_WATCHED = {Verdict.LEAK, Verdict.ALTERED, Verdict.IMPLICIT}
"""The verdicts of ``_LASTING`` about things that a watched run sees."""


def sort_out(
    points: Sequence[Point],
    results: Iterable[PointResult],
    outlasting: Mapping[str, Collection[tuple[str, str]]],
    *,
    strict: bool,
    passed: Collection[str] = (),
    complete: bool = True,
) -> tuple[PointResult, ...]:
    """Return the results with the category of each finding.

    Parameters:
        points: the points in the order they are reached.
        results: the results of these points.
        outlasting: id of a point -> kind and key of each thing that is still there when the call under way at that point returns.
        strict: findings about losses inside code out of scope fail, too.
        passed: ids of the points that a watched run passed, so that ``outlasting`` covers them.
        complete: these are all points of the test. If some are missing, only an audited point behind the line shows that a
            finding does not recur there.
    """
    results = tuple(results)
    sorter = _Sorter(points, results, outlasting, strict=strict, passed=passed, complete=complete)
    return tuple(
        replace(result, findings=tuple(sorter.sorted_out(result, each) for each in result.findings))
        for result in results
    )


class _Sorter:
    """Holds the order of all points, and where each finding occurs for the last time; see :func:`sort_out`."""

    def __init__(
        self,
        points: Sequence[Point],
        results: Sequence[PointResult],
        outlasting: Mapping[str, Collection[tuple[str, str]]],
        *,
        strict: bool,
        passed: Collection[str],
        complete: bool,
    ) -> None:
        self._points = points
        self._outlasting = outlasting
        self._strict = strict
        self._passed = passed
        self._complete = complete
        self._named = {point.id: point for point in points}
        self._order = {point.id: position for position, point in enumerate(points)}
        self._last: dict[object, dict[Frame | None, int]] = {}
        for result in results:
            point = self._named[result.point]
            for finding in result.findings:
                # A point with two interrupts is no evidence of what one interrupt leaves behind.
                if not point.first:
                    origins = self._last.setdefault((finding.identity, point.signal), {})
                    place = _place(finding)
                    origins[place] = max(origins.get(place, 0), self._order[point.id])

    def sorted_out(self, result: PointResult, finding: Finding) -> Finding:
        """Return a finding with its category."""
        point = self._named[result.point]
        if point.first is not None or finding.verdict is Verdict.INTERPRETER:
            return finding
        if package := finding.package or _lost_inside(point, finding):
            return replace(finding, category=Category.INSIDE, package=package, fails=finding.fails and self._strict)
        if point.cleanup and finding.verdict in _LASTING and self._releases(point, finding):
            return replace(finding, category=Category.CLEANUP)
        return finding

    def _releases(self, point: Point, finding: Finding) -> bool:
        """Return whether the call would have undone it: it is gone when the call has returned, and not found again behind the line."""
        if not {(finding.kind, finding.key), (finding.kind, "")}.isdisjoint(self._outlasting.get(point.id, ())):
            return False
        origins, place = self._last[finding.identity, point.signal], _place(finding)
        # A finding without an origin may belong to any origin, so it counts for all of them.
        latest = self._points[max(at for other, at in origins.items() if None in {place, other} or other == place)]
        if (latest.path, latest.line) != (point.path, point.line):
            return False
        behind = self._points[self._order[point.id] + 1 :]
        seen_gone = self._complete or any((each.path, each.line) != (point.path, point.line) for each in behind)
        return seen_gone or (point.id in self._passed and finding.verdict in _WATCHED)


def _place(finding: Finding) -> Frame | None:
    return finding.origin.place if finding.origin is not None else None


def _lost_inside(point: Point, finding: Finding) -> str:
    """Return the package where something was acquired and lost, or ``""`` if the code in scope had already received it."""
    origin = finding.origin
    if point.kind not in BEYOND or origin is None or origin.place not in origin.stack:
        return ""
    if (origin.place.path, origin.place.line) != (point.path, point.line):
        return ""
    inner = origin.stack[origin.stack.index(origin.place) + 1 :]
    return inner[0].package if inner else ""
