"""Where what was left behind came from: which runs are made to learn it, and what they tell.

Theory of operation. What an interrupt leaves behind was there when it came, most of the time. So one watched run that is not
interrupted goes by all points at which something was left, and notes what is there at each, and where that came from.

Rules:

1. Where each thing came from depends on the point alone: neither on the order in which points were audited, nor on how
   many of them, nor by whom.
2. What is there at a point, as often as it is left and from one place, comes from there. Of each place one point is run once more, watched and
   interrupted: that confirms it, and tells who can still reach the thing.
3. Where that does not say it (several things that look alike, what came to be on the way out, second interrupts), failing points are
   run once more, watched: each of them, or one for each first interrupt. What is only listed is taken to come from where the
   first of such points says.
4. Nothing is said of a call that was not seen itself: a wrong line is worse than none.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pytest_maskcheck.resources.known_patterns import Patterns
from pytest_maskcheck.resources.random_names import are_alike
from pytest_maskcheck.runs.requests import Trace, alone
from pytest_maskcheck.system.unpatched import time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pytest_maskcheck.results import Finding, Frame, Origin, Point, PointResult
    from pytest_maskcheck.runs.origins import Sighting
    from pytest_maskcheck.runs.requests import Executor, RunResult

_FEW = 2
"""So many points are run again without a run that goes by all of them."""

_CLOSER = 2
"""Runs that look closely at one stretch of calls; threads may make a run take another way."""

_Name = tuple[str, str]
"""Kind and key."""

_Identity = tuple[str, str, str]
"""Verdict, kind and key."""

_Told = dict[_Name, "tuple[Sighting, ...]"]


@dataclass(frozen=True, slots=True)
class _Group:
    """Equal findings that are taken to come from one place.

    Parameters:
        identity: verdict, kind and key.
        of: what they have in common: the place, a first interrupt, a point, or nothing.
    """

    identity: _Identity
    of: Frame | str | None

    @property
    def name(self) -> _Name:
        """Kind and key."""
        return self.identity[1:]

    @property
    def was_seen(self) -> bool:
        """Whether a run that went by tells the place."""
        return not isinstance(self.of, str | None)


@dataclass(slots=True, repr=False)
class Attribution:
    """Adds origins to results.

    Parameters:
        executor: makes the runs.
        traced: the kinds of which something can be learned, and whether one that is left blocks others.
        patterns: how things are called whose names differ from run to run.
        late: tells whether there is no time for what takes so many seconds.

    Attributes:
        outlasting: id of a point -> kind and key of what is there still as the call returns that is under way at the point.
        passed: ids of the points of which that is known.
    """

    executor: Executor
    traced: Mapping[str, bool]
    patterns: Patterns = field(default_factory=Patterns)
    late: Callable[[float], bool] = lambda _seconds: False
    outlasting: dict[str, set[_Name]] = field(default_factory=dict)
    passed: set[str] = field(default_factory=set)
    _seconds: float = 0.0
    _known: dict[tuple[str, _Identity], Origin | None] = field(default_factory=dict)  # by id of a point
    _acquired: dict[str | _Name, tuple[Frame, ...]] = field(
        default_factory=dict
    )  # where the uninterrupted test does it
    _asked: set[str] = field(default_factory=set)  # the kinds of which that is known

    def explain(self, rows: Sequence[tuple[Point, PointResult]]) -> Iterator[PointResult]:
        """Yield those results that have something to trace with the origins of what was left behind.

        Parameters:
            rows: points in the order in which the test comes to them, each with its result.
        """
        rows = [(point, result) for point, result in rows if self._open(point, result)]
        seen = self._go_by(rows)
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
        """Tell whether the result has something that was not traced."""
        return bool(self._open(point, result))

    def _open(self, point: Point, result: PointResult) -> list[Finding]:
        """Return what was not traced, one of each."""
        found = {each.identity: each for each in result.findings if each.kind in self.traced and each.origin is None}
        return [each for identity, each in found.items() if (point.id, identity) not in self._known]

    def _is_late(self) -> bool:
        """Tell whether there is no time for as much as the search took the last time: a run that is watched takes long."""
        return self.late(self._seconds)

    def _watch(self, *traces: Trace) -> list[RunResult]:
        began = time.perf_counter()
        try:
            return alone(self.executor, *traces)
        finally:
            self._seconds = time.perf_counter() - began

    def _go_by(self, rows: Sequence[tuple[Point, PointResult]]) -> dict[str, _Told]:
        """Make the run that goes by all points; return what was there at each, as far as it says all."""
        points = [point for point, _ in rows if point.first is None and not point.first_use]
        if (len(points) <= _FEW and not any(point.cleanup for point in points)) or self._is_late():
            return {}
        kinds = frozenset(finding.kind for point, result in rows for finding in self._open(point, result))
        passing = tuple(point.id for point in points)
        (ran,) = self._watch(Trace(None, kinds, passing=passing))
        self._acquired |= ran.places
        self._asked |= kinds
        self.passed |= ran.passed_by.keys()
        for point, names in ran.outlasting.items():
            self.outlasting[point] = {(kind, key and self.patterns.name(kind, key)) for kind, key in names}
        seen = self._clear(ran)
        every = (each for told in seen.values() for several in told.values() for each in several)
        rough = {sighting.stretch for sighting in every if not (sighting.exact or sighting.foreign)}
        for stretch in sorted(rough):
            if self._is_late():
                break
            (closer,) = self._watch(Trace(None, kinds, stretch, passing))
            for point, told in self._clear(closer).items():
                seen.setdefault(point, {}).update(_exact(told))
        return {point: _exact(told) for point, told in seen.items()}

    def _clear(self, ran: RunResult) -> dict[str, _Told]:
        """Return what was there at each point that a run went by, without what came from several places."""
        found: dict[str, _Told] = {}
        for point, sightings in ran.passed_by.items():
            told: dict[_Name, list[Sighting]] = {}
            for (kind, key), several in sightings.items():
                told.setdefault((kind, key and self.patterns.name(kind, key)), []).extend(several)
            found[point] = {
                name: tuple(several)
                for name, several in told.items()
                if len({each.origin.place for each in several}) == 1
            }
        return found

    @staticmethod
    def _group(point: Point, finding: Finding, number: int, seen: Mapping[str, _Told]) -> _Group:
        """Return the group of so many equal findings at a point."""
        several = _seen_at(point, (finding.kind, finding.key), seen)
        if len(several) >= number:
            return _Group(finding.identity, several[0].origin.place)
        if point.first is not None:
            return _Group(finding.identity, point.first.id)
        return _Group(finding.identity, point.id if finding.fails else None)

    def _run_again(self, groups: Mapping[_Group, Sequence[Point]], seen: Mapping[str, _Told]) -> None:
        """Run one point of each group again, watched; and all of them, where it does not say what was seen going by."""
        firsts: dict[str, tuple[Point, list[_Group]]] = {}
        for group, points in groups.items():
            firsts.setdefault(points[0].id, (points[0], []))[1].append(group)
        for point, some in firsts.values():
            if self._is_late():
                return
            found = self._trace(point, {group.name for group in some})
            for group in some:
                self._settle(group, groups[group], found.get(group.name), seen)

    def _settle(self, group: _Group, points: Sequence[Point], first: Origin | None, seen: Mapping[str, _Told]) -> None:
        """Note where a thing came from at each point of a group; ``first``: as a run of the first of them says."""
        name = group.name
        for point in points:
            if point is points[0] or not group.was_seen:
                origin = first
            elif first is not None and first.place == group.of and (several := _seen_at(point, name, seen)):
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

    def _trace(self, point: Point, wanted: set[_Name]) -> dict[_Name, Origin]:
        """Run the point again, watched; before it, if a lock was left, the uninterrupted test, to learn who takes it."""
        kinds = frozenset(kind for kind, _ in wanted)
        blocking = frozenset(kind for kind in kinds if self.traced[kind]) - self._asked
        runs = self._watch(*([Trace(None, blocking)] if blocking else []), Trace(point, kinds))
        if blocking and not point.first_use:
            self._acquired |= runs[0].places
            self._asked |= blocking
        acquired = self._acquired | runs[0].places if blocking else self._acquired
        origins: dict[_Name, Origin] = {}
        sightings = self._named_alike(wanted, runs[-1].sightings)
        for name in wanted & sightings.keys():
            sighting = self._closely(point, name, sightings[name])
            if sighting is not None:
                waiting = (acquired.get(sighting.name) or acquired.get(name, ())) if self.traced[name[0]] else ()
                origins[name] = replace(sighting.origin, waiting=waiting)
        return origins

    def _closely(self, point: Point, name: _Name, sighting: Sighting) -> Sighting | None:
        """Return a sighting of the very call, by more runs if it takes them; ``None`` if they do not show it."""
        for _ in range(_CLOSER):
            if sighting.exact or sighting.foreign or self._is_late():
                break
            (closer,) = self._watch(Trace(point, frozenset({name[0]}), sighting.stretch))
            sighting = self._named_alike({name}, closer.sightings).get(name, sighting)
        return sighting if sighting.exact else None

    def _named_alike(self, wanted: set[_Name], sightings: Mapping[_Name, Sighting]) -> dict[_Name, Sighting]:
        """Return what was sighted under the names that it has in other runs, and learn such names."""
        found: dict[_Name, Sighting] = {}
        for (kind, key), sighting in sightings.items():
            found.setdefault((kind, self.patterns.name(kind, key)), sighting)
        for kind, key in wanted - found.keys():
            for other in [key for of, key in found if of == kind and (of, key) not in wanted]:
                if are_alike(key, other):  # seen at one point, in two runs
                    self.patterns.learn(kind, (key, other))
                    found[kind, key] = found[kind, other]
        return found


def _exact(told: _Told) -> _Told:
    """Return what was seen in the very call."""
    return {name: several for name, several in told.items() if all(each.exact for each in several)}


def _seen_at(point: Point, name: _Name, seen: Mapping[str, _Told]) -> tuple[Sighting, ...]:
    """Return how what has this name now, and may have had none yet, was seen at a point."""
    told = seen.get(point.id, {})
    return told.get(name) or told.get((name[0], ""), ())
