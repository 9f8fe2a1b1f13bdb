"""Groups equal findings into defects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck.results.values import Defect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_maskcheck.results.values import Finding, Frame, Point, PointResult


def grouped(points: Sequence[Point], results: Sequence[PointResult]) -> tuple[Defect, ...]:
    """Return the defects of an audit, in the order of their points."""
    by_id = {point.id: point for point in points}
    groups: dict[tuple[object, ...], list[tuple[Finding, PointResult]]] = {}
    for result in results:
        for finding in result.findings:
            groups.setdefault(_key(finding, results), []).append((finding, result))
    return tuple(_defect(group, by_id) for group in groups.values())


def _key(finding: Finding, results: Sequence[PointResult]) -> tuple[object, ...]:
    """Return the key that findings of one defect share. A finding without an origin gets that of equal findings, if they have only one."""
    if finding.origin is not None:
        return (*finding.identity, finding.category, finding.origin.place)
    places: set[Frame] = {
        other.origin.place
        for result in results
        for other in result.findings
        if other.origin is not None and other.identity == finding.identity
    }
    return (*finding.identity, finding.category, places.pop() if len(places) == 1 else None)


def _defect(group: list[tuple[Finding, PointResult]], points: dict[str, Point]) -> Defect:
    finding = next((each for each in group if each[0].origin is not None), group[0])[0]
    return Defect(
        verdict=finding.verdict,
        kind=finding.kind,
        key=finding.key,
        detail=finding.detail,
        fails=any(each.fails for each, _ in group),
        points=tuple(points[name] for name in dict.fromkeys(each.point for _, each in group)),
        traceback=group[0][1].traceback,
        origin=finding.origin,
        category=finding.category,
        package=finding.package,
    )
