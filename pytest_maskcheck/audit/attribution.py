"""Where leftovers came from: the watched runs that find out, and what they show.

Theory of operation. Most of what an interrupt leaves behind was already there when the interrupt came. So one watched run without an
interrupt passes all points where something was left. At each of them it records what is there and where that came from.

Rules:

1. The origin of a leftover depends on its point alone. It does not depend on the order points were audited in, on how many
   were audited, or on the process that audited them.
2. If a passing run sees at least as many of a thing at a point as were left there, all from one place, then that place is the origin.
   For each such place, one point is run once more, watched and interrupted. This confirms the place and shows how the thing can still
   be reached.
3. A passing run decides nothing if several things look alike, if a thing was made only on the way out, or after a first interrupt.
   Then failing points are run once more, watched: each of them, or one for each first interrupt. For findings that do not fail,
   only the first point is run, and all of them are taken to come from the same place.
4. A call that was not itself observed is never named: a wrong line is worse than none.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from pytest_maskcheck.resources.known_patterns import Patterns
from pytest_maskcheck.resources.random_names import are_alike
from pytest_maskcheck.runs.requests import Trace, alone
from pytest_maskcheck.system.unpatched import time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pytest_maskcheck.audit.naming import Name
    from pytest_maskcheck.results import Finding, Frame, Origin, Point, PointResult
    from pytest_maskcheck.runs.requests import Executor, RunResult
    from pytest_maskcheck.runs.sightings import Sighting

_FEW = 2
"""Up to this many points are run again one by one, without a run that passes all of them."""

_CLOSER = 2
"""Maximum number of runs that look closely at one stretch of calls; threads may make a run take another path."""

_Identity: TypeAlias = tuple[str, str, str]
"""Verdict, kind and key."""

_Sightings: TypeAlias = "dict[Name, tuple[Sighting, ...]]"
"""What was there at a point, by name; the key of a name is empty if only the end of the run shows it."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Equal findings that are taken to come from one place.

    Parameters:
        identity: verdict, kind and key.
        of: what they have in common: the place, the id of a first interrupt or of their only point, or nothing.
    """

    identity: _Identity
    of: Frame | str | None

    @property
    def name(self) -> Name:
        """Kind and key."""
        return self.identity[1:]

    @property
    def was_seen(self) -> bool:
        """Whether a passing run showed the place."""
        return not isinstance(self.of, str | None)


@dataclass(slots=True, repr=False)
class Attribution:
    """Adds origins to results.

    Parameters:
        executor: makes the runs.
        traced: names of the kinds whose origin a watched run shows -> whether a leftover of the kind blocks others.
        patterns: names that differ from run to run.
        late: returns whether no more than the given number of seconds is left.

    Attributes:
        outlasting: id of a point -> kind and key of what is still there when the call under way at the point returns.
        passed: ids of the points that a run passed; for these, ``outlasting`` is known.
    """

    executor: Executor
    traced: Mapping[str, bool]
    patterns: Patterns = field(default_factory=Patterns)
    late: Callable[[float], bool] = lambda _seconds: False
    outlasting: dict[str, set[Name]] = field(default_factory=dict)
    passed: set[str] = field(default_factory=set)
    _seconds: float = 0.0  # duration of the latest search
    _known: dict[tuple[str, _Identity], Origin | None] = field(default_factory=dict)  # by id of the point
    # Where the uninterrupted test acquires each thing, and the kinds for which that is known.
    _acquired: dict[str | Name, tuple[Frame, ...]] = field(default_factory=dict)
    _acquired_kinds: set[str] = field(default_factory=set)

    def explain(self, rows: Sequence[tuple[Point, PointResult]]) -> Iterator[PointResult]:
        """Trace what was left behind; yield each result whose findings got an origin or another name.

        Parameters:
            rows: points in the order the test reaches them, each with its result.
        """
        rows = [(point, result) for point, result in rows if self._open(point, result)]
        seen = self._pass_by(rows)
        groups: dict[_Group, list[Point]] = {}
        for point, result in rows:
            for finding in self._open(point, result):
                number = sum(each.identity == finding.identity for each in result.findings)
                groups.setdefault(self._group(point, finding, number, seen), []).append(point)
        self._run_again(groups, seen)
        for point, result in rows:
            if explained := self._explained(point, result):
                yield explained

    def is_open(self, point: Point, result: PointResult) -> bool:
        """Return whether a result has a finding that has not been traced."""
        return bool(self._open(point, result))

    def _open(self, point: Point, result: PointResult) -> list[Finding]:
        """Return the findings that have not been traced, one of each identity."""
        found = {each.identity: each for each in result.findings if each.kind in self.traced and each.origin is None}
        return [each for identity, each in found.items() if (point.id, identity) not in self._known]

    def _is_late(self) -> bool:
        """Return whether less time is left than the latest search took: watched runs are slow."""
        return self.late(self._seconds)

    def _watch(self, *traces: Trace) -> list[RunResult]:
        began = time.perf_counter()
        try:
            return alone(self.executor, *traces)
        finally:
            self._seconds = time.perf_counter() - began

    def _pass_by(self, rows: Sequence[tuple[Point, PointResult]]) -> dict[str, _Sightings]:
        """Make the run that passes all points; return what was there at each, where it is certain which call made it."""
        points = [point for point, _ in rows if point.first is None and not point.first_use]
        if (len(points) <= _FEW and not any(point.cleanup for point in points)) or self._is_late():
            return {}
        kinds = frozenset(finding.kind for point, result in rows for finding in self._open(point, result))
        passing = tuple(point.id for point in points)
        (ran,) = self._watch(Trace(None, kinds, passing=passing))
        self._acquired |= ran.places
        self._acquired_kinds |= kinds
        self.passed |= ran.passed_by.keys()
        for point, names in ran.outlasting.items():
            self.outlasting[point] = {(kind, key and self.patterns.name(kind, key)) for kind, key in names}
        seen = self._clear(ran)
        every = (each for there in seen.values() for several in there.values() for each in several)
        # A sighting may be narrowed down only to a stretch of calls. Another run looks at each call of that stretch.
        rough = {sighting.stretch for sighting in every if not (sighting.exact or sighting.foreign)}
        for stretch in sorted(rough):
            if self._is_late():
                break
            (closer,) = self._watch(Trace(None, kinds, stretch, passing))
            for point, there in self._clear(closer).items():
                seen.setdefault(point, {}).update(_exact(there))
        return {point: _exact(there) for point, there in seen.items()}

    def _clear(self, ran: RunResult) -> dict[str, _Sightings]:
        """Return what was there at each point that a run passed, without names whose things came from several places."""
        found: dict[str, _Sightings] = {}
        for point, sightings in ran.passed_by.items():
            there: dict[Name, list[Sighting]] = {}
            for (kind, key), several in sightings.items():
                there.setdefault((kind, key and self.patterns.name(kind, key)), []).extend(several)
            found[point] = {
                name: tuple(several)
                for name, several in there.items()
                if len({each.origin.place for each in several}) == 1
            }
        return found

    @staticmethod
    def _group(point: Point, finding: Finding, number: int, seen: Mapping[str, _Sightings]) -> _Group:
        """Return the group that ``number`` equal findings at a point belong to."""
        several = _seen_at(point, (finding.kind, finding.key), seen)
        if len(several) >= number:
            return _Group(finding.identity, several[0].origin.place)
        if point.first is not None:
            return _Group(finding.identity, point.first.id)
        return _Group(finding.identity, point.id if finding.fails else None)

    def _run_again(self, groups: Mapping[_Group, Sequence[Point]], seen: Mapping[str, _Sightings]) -> None:
        """Run one point of each group again, watched; if that contradicts the passing run, run all of its points."""
        firsts: dict[str, tuple[Point, list[_Group]]] = {}
        for group, points in groups.items():
            firsts.setdefault(points[0].id, (points[0], []))[1].append(group)
        for point, some in firsts.values():
            if self._is_late():
                return
            found = self._trace(point, {group.name for group in some})
            for group in some:
                self._settle(group, groups[group], found.get(group.name), seen)

    def _settle(
        self, group: _Group, points: Sequence[Point], first: Origin | None, seen: Mapping[str, _Sightings]
    ) -> None:
        """Record the origin of a thing at each point of a group; ``first`` is the one that the run of its first point showed."""
        name = group.name
        for point in points:
            if point is points[0] or not group.was_seen:
                origin = first
            elif first is not None and first.place == group.of and (several := _seen_at(point, name, seen)):
                # The place is confirmed; the calls that led there may differ from point to point.
                origin = replace(first, stack=several[0].origin.stack)
            elif self._is_late():
                return
            else:
                origin = self._trace(point, {name}).get(name)
            self._known[point.id, group.identity] = origin

    def _explained(self, point: Point, result: PointResult) -> PointResult | None:
        findings = []
        for each in result.findings:
            key = self.patterns.name(each.kind, each.key)
            origin = each.origin or self._known.get((point.id, each.identity))
            findings.append(replace(each, key=key, origin=origin))
        return None if (*findings,) == result.findings else replace(result, findings=tuple(findings))

    def _trace(self, point: Point, wanted: set[Name]) -> dict[Name, Origin]:
        """Run a point again, watched; return the origin of each thing that was seen.

        If a lock was left, the uninterrupted test is watched first, to find the places that would wait for it.
        """
        kinds = frozenset(kind for kind, _ in wanted)
        blocking = frozenset(kind for kind in kinds if self.traced[kind]) - self._acquired_kinds
        runs = self._watch(*([Trace(None, blocking)] if blocking else []), Trace(point, kinds))
        if blocking and not point.first_use:
            self._acquired |= runs[0].places
            self._acquired_kinds |= blocking
        acquired = self._acquired | runs[0].places if blocking else self._acquired
        origins: dict[Name, Origin] = {}
        sightings = self._named_alike(wanted, runs[-1].sightings)
        for name in wanted & sightings.keys():
            sighting = self._closely(point, name, sightings[name])
            if sighting is not None:
                waiting = (acquired.get(sighting.name) or acquired.get(name, ())) if self.traced[name[0]] else ()
                origins[name] = replace(sighting.origin, waiting=waiting)
        return origins

    def _closely(self, point: Point, name: Name, sighting: Sighting) -> Sighting | None:
        """Return a sighting that is certain of the call, after more runs if needed; ``None`` if they do not show it."""
        for _ in range(_CLOSER):
            if sighting.exact or sighting.foreign or self._is_late():
                break
            (closer,) = self._watch(Trace(point, frozenset({name[0]}), sighting.stretch))
            sighting = self._named_alike({name}, closer.sightings).get(name, sighting)
        return sighting if sighting.exact else None

    def _named_alike(self, wanted: set[Name], sightings: Mapping[Name, Sighting]) -> dict[Name, Sighting]:
        """Return the sightings under the names of other runs; make patterns of names that are alike."""
        found: dict[Name, Sighting] = {}
        for (kind, key), sighting in sightings.items():
            found.setdefault((kind, self.patterns.name(kind, key)), sighting)
        for kind, key in wanted - found.keys():
            for other in [key for of, key in found if of == kind and (of, key) not in wanted]:
                if are_alike(key, other):  # in two runs of one point they can only mean the same thing
                    self.patterns.learn(kind, (key, other))
                    found[kind, key] = found[kind, other]
        return found


def _exact(there: _Sightings) -> _Sightings:
    """Return the things for which it is certain which call made them."""
    return {name: several for name, several in there.items() if all(each.exact for each in several)}


def _seen_at(point: Point, name: Name, seen: Mapping[str, _Sightings]) -> tuple[Sighting, ...]:
    """Return the sightings of a thing at a point; it may not have had a name yet when it was seen."""
    there = seen.get(point.id, {})
    return there.get(name) or there.get((name[0], ""), ())
