"""Groups equal findings into defects."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_maskcheck.results.values import Defect, Fingerprint, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from pytest_maskcheck.results.values import Exposure, Finding, Frame, Point, PointResult


def grouped(
    points: Sequence[Point],
    results: Sequence[PointResult],
    sources: Mapping[str, str],
    known: Collection[str],
    *,
    exposures: Mapping[str, Exposure],
    duration: float,
) -> tuple[Defect, ...]:
    """Return the defects of an audit: the most exposed first, and of several that hardly differ in that, in the order of their points.

    Parameters:
        points, results, sources, known, exposures, duration: see :class:`.Audit`.
    """
    by_id = {point.id: point for point in points}
    groups: dict[tuple[object, ...], list[tuple[Finding, PointResult]]] = {}
    for result in results:
        for finding in result.findings:
            groups.setdefault(_key(finding, results), []).append((finding, result))
    defects = [_marked(_defect(group, by_id, sources, exposures, duration), known) for group in groups.values()]
    return tuple(sorted(defects, key=by_exposure))


def by_exposure(defect: Defect) -> tuple[bool, int]:
    """Return the key to sort defects by: the most exposed first, those not measured last."""
    return (defect.exposure is None, -defect.exposure.rank if defect.exposure else 0)


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


def _defect(
    group: list[tuple[Finding, PointResult]],
    points: Mapping[str, Point],
    sources: Mapping[str, str],
    exposures: Mapping[str, Exposure],
    duration: float,
) -> Defect:
    finding = next((each for each in group if each[0].origin is not None), group[0])[0]
    met = tuple(points[name] for name in dict.fromkeys(each.point for _, each in group))
    measured = [exposures[point.id] for point in met if point.id in exposures]
    exposure = sum(measured[1:], measured[0]).within(duration * 1e6) if measured else None
    return Defect(
        verdict=finding.verdict,
        kind=finding.kind,
        key=finding.key,
        detail=finding.detail,
        fails=any(each.fails for each, _ in group),
        points=met,
        traceback=group[0][1].traceback,
        origin=finding.origin,
        category=finding.category,
        package=finding.package,
        fingerprints=tuple(_fingerprints(finding, met, sources)),
        exposure=exposure,
    )


def _fingerprints(finding: Finding, points: Sequence[Point], sources: Mapping[str, str]) -> Iterator[Fingerprint]:
    if finding.origin is not None:
        place = finding.origin.place
        yield Fingerprint(place.path, place.function, sources.get(f"{place.path}:{place.line}", ""), *finding.identity)
        return
    for path, function in dict.fromkeys((point.path, point.function) for point in points):
        yield Fingerprint(path, function, "", finding.verdict, finding.kind, _without_line(finding))


def _without_line(finding: Finding) -> str:
    """Return the key of a finding; where the process hung or died that is a place, of which the line changes with edits elsewhere."""
    path, _, line = finding.key.rpartition(":")
    return path if finding.verdict in {Verdict.HANG, Verdict.CRASH} and line.isdecimal() else finding.key


def _marked(defect: Defect, known: Collection[str]) -> Defect:
    """Return a defect that does not fail if the baseline has each of its fingerprints."""
    if not known or not defect.fails or not all(each.digest in known for each in defect.fingerprints):
        return defect
    return replace(defect, fails=False, known=True)
