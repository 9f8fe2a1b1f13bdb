"""Where what was left behind came from: which runs are made to learn it, and what they tell."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pytest_maskcheck.patterns import Patterns, are_alike
from pytest_maskcheck.runs import Trace, alone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_maskcheck.origins import Sighting
    from pytest_maskcheck.results import Finding, Origin, Point, PointResult
    from pytest_maskcheck.runs import Executor

_ENOUGH = 8
"""Points at which something of one origin was left behind, after which further ones are taken to have the same."""

_Name = tuple[str, str]
"""Kind and key."""


@dataclass(slots=True, repr=False)
class Attribution:
    """Adds origins to results.

    Parameters:
        executor: makes the runs.
        traced: the kinds of which something can be learned, and whether one that is left blocks others.
        patterns: how things are called whose names differ from run to run.
    """

    executor: Executor
    traced: Mapping[str, bool]
    patterns: Patterns = field(default_factory=Patterns)
    _known: dict[_Name, list[Origin | None]] = field(default_factory=dict)

    def is_news(self, result: PointResult) -> bool:
        """Tell whether the result has something that was not traced yet."""
        return bool(self._named(result) - self._known.keys())

    def with_origins(self, point: Point, result: PointResult) -> PointResult:
        """Return the result with the origins of what was left behind."""
        wanted = self._named(result)
        unknown = {name for name in wanted if not self._is_settled(name)}
        found = self._trace(point, unknown) if unknown else {}
        for name in unknown:
            self._known.setdefault(name, []).append(found.get(name))
        origins = found | {name: self._known[name][0] for name in wanted - unknown}
        findings = []
        for each in result.findings:
            kind, key = name = _name(each)
            findings.append(replace(each, key=self.patterns.name(kind, key), origin=origins.get(name, each.origin)))
        return replace(result, findings=tuple(findings))

    def _named(self, result: PointResult) -> set[_Name]:
        return {_name(finding) for finding in result.findings if finding.kind in self.traced}

    def _is_settled(self, name: _Name) -> bool:
        """Tell whether this was left behind so often, and came from the same place each time, that it is not looked for again."""
        known = self._known.get(name, ())
        return len(known) >= _ENOUGH and len({origin and origin.place for origin in known}) == 1

    def _trace(self, point: Point, wanted: set[_Name]) -> dict[_Name, Origin | None]:
        """Run the point again, watched; before it, if a lock was left, the uninterrupted test, to learn who takes it."""
        kinds = frozenset(kind for kind, _ in wanted)
        blocking = frozenset(kind for kind in kinds if self.traced[kind])
        *uninterrupted, ran = alone(self.executor, *([Trace(None, blocking)] if blocking else []), Trace(point, kinds))
        places = uninterrupted[0].places if uninterrupted else {}
        origins: dict[_Name, Origin | None] = {}
        sightings = self._named_alike(wanted, ran.sightings)
        for name in wanted & sightings.keys():
            sighting = sightings[name]
            waiting = places.get(sighting.name) or places.get(name, ())
            if not sighting.exact:
                (closer,) = alone(self.executor, Trace(point, frozenset({name[0]}), sighting.stretch))
                sighting = self._named_alike({name}, closer.sightings).get(name, sighting)
            origins[name] = replace(sighting.origin, waiting=waiting)
        return origins

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


def _name(finding: Finding) -> _Name:
    return finding.kind, finding.key
