"""One name for things whose names differ from run to run: temporary files, addresses, numbered threads.

Two runs that lose the same kind at the same origin have the same finding, whatever its name. Names that differ are replaced by a
pattern (:mod:`pytest_maskcheck.resources.random_names`); this module makes the runs that show which names belong to one thing.

Rules:

1. Things of one kind from one origin are one thing. Watched runs show the origin.
2. Without an origin, two names are alike only if the names themselves show it, by parts that look random.
3. A key that was seen in two runs is kept: no pattern may match it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, TypeAlias

from pytest_maskcheck.resources.known_patterns import Patterns, place_and_stack
from pytest_maskcheck.resources.random_names import are_alike, looks_random
from pytest_maskcheck.results import Finding, Verdict
from pytest_maskcheck.runs.requests import Trace, alone

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from pytest_maskcheck.results import Point, PointResult
    from pytest_maskcheck.runs.requests import Executor

_WATCHED_RUNS = 3
"""Number of watched runs that show whether things with different names come from one place, and which names they can have."""

Name: TypeAlias = tuple[str, str]
"""Kind and key."""

Sort: TypeAlias = tuple[str, str]
"""Verdict and kind."""

_KeysByOrigin: TypeAlias = dict[object, list[str]]
"""Origin -> keys of what came from it in one run; ``None``: the origin is unknown."""


def named(finding: Finding, patterns: Patterns) -> Finding:
    """Return a finding under the name that it has in all runs."""
    key = patterns.name(finding.kind, finding.key)
    return finding if key == finding.key else replace(finding, key=key)


def named_result(result: PointResult, patterns: Patterns) -> PointResult:
    """Return a result with its findings under the names that they have in all runs."""
    findings = tuple(named(each, patterns) for each in result.findings)
    return result if findings == result.findings else replace(result, findings=findings)


@dataclass(frozen=True, slots=True, repr=False)
class PatternSearch:
    """Finds the patterns of names that differ from run to run.

    Parameters:
        executor: makes the watched runs.
        traced: names of the kinds whose origin a watched run shows.
        patterns: the patterns found so far.
    """

    executor: Executor
    traced: Collection[str]
    patterns: Patterns

    def compare_uninterrupted(self, runs: Sequence[Counter[Name]]) -> list[Counter[Name]]:
        """Compare what uninterrupted runs left behind; return the same counts, under names that are the same in all runs."""
        keys = [_by_kind(run) for run in runs]
        kinds = {kind for kind in set().union(*keys) if len({frozenset(each[kind]) for each in keys}) > 1}
        # A key that only one run leaves, in addition to all keys of another run, has no counterpart to be compared with.
        kinds = {kind for kind in kinds if not any({*one[kind]} < {*two[kind]} for one in keys for two in keys)}
        self._find(kinds, [{kind: [*each[kind]] for kind in kinds} for each in keys], None)
        return [self._renamed(run) for run in runs]

    def _renamed(self, names: Counter[Name]) -> Counter[Name]:
        return Counter((kind, self.patterns.name(kind, key)) for kind, key in names.elements())

    def compare(
        self, point: Point, earlier: Sequence[Finding], now: Sequence[Finding], compared: Collection[Sort]
    ) -> set[Sort]:
        """Compare the failing findings of several runs that were interrupted at one point.

        Parameters:
            point: the point.
            earlier: findings of earlier runs.
            now: findings of the latest run.
            compared: verdicts and kinds that need no further comparison.

        Returns:
            The verdicts and kinds that were compared.
        """
        raw = {finding.identity for finding in earlier}
        for finding in now:
            if finding.identity in raw:
                self.patterns.keep(finding.kind, finding.key)
        before = {named(finding, self.patterns).identity for finding in earlier}
        after = {named(finding, self.patterns).identity for finding in now}
        new = {(verdict, kind) for verdict, kind, _ in after - before}
        differing = (new & {(verdict, kind) for verdict, kind, _ in before - after}) - {*compared}
        # The key of a hang or crash is a place, not the name of a thing.
        differing = {sort for sort in differing if sort[0] not in {Verdict.HANG, Verdict.CRASH}}
        if differing:
            kinds = {kind for _, kind in differing}
            self._find(kinds, [_of_kinds(earlier, kinds), _of_kinds(now, kinds)], point)
        return differing

    def compare_points(self, results: Iterable[PointResult]) -> None:
        """Find the patterns of names that differ from point to point.

        Only names with parts that look random are compared: those of things from one origin, and those of findings that do not fail,
        of kinds without origins. Any other two names at two points may well belong to two things.
        """
        keys: defaultdict[tuple[str, object], set[str]] = defaultdict(set)
        listed: defaultdict[str, set[str]] = defaultdict(set)
        for result in results:
            for finding in (named(each, self.patterns) for each in result.findings):
                if not finding.fails and finding.kind not in self.traced and looks_random(finding.key):
                    listed[finding.kind].add(finding.key)
                if finding.origin is not None:
                    keys[finding.kind, place_and_stack(finding.origin)].add(finding.key)
        for (kind, origin), names in keys.items():
            random = [key for key in names if looks_random(key)]
            # One name need not look random: that of the pattern which the origin may have already.
            if len(names) > 1 and random and len(names) - len(random) <= self.patterns.has(kind, origin):
                self.patterns.learn(kind, random, origin)
        for kind, names in listed.items():
            self._merge_alike(kind, [*names], [*names])

    def _find(self, kinds: Collection[str], samples: Sequence[Mapping[str, list[str]]], point: Point | None) -> None:
        """Find the patterns of names that differ between two runs.

        Parameters:
            kinds: the kinds whose names differ.
            samples: kind -> keys, for each of the two runs.
            point: where both runs were interrupted; ``None``: nowhere.
        """
        traced = frozenset(kind for kind in kinds if kind in self.traced)
        watched = [self._keys_by_origin(point, traced) for _ in range(_WATCHED_RUNS)] if traced else []
        for kind in kinds:
            keys = [run[kind] for run in watched if kind in run]
            origins = set().union(*keys) - {None}
            if len(origins) == 1 and all(run.keys() == origins and _is_as_many(run, samples, kind) for run in keys):
                # What the two compared runs had of the kind comes from there, too. The watched runs may have had equal names by chance.
                keys += [{origin: each[kind]} for origin in origins for each in samples]
            for origin in origins:
                rows = [run[origin] for run in keys if origin in run]
                # Several things may come from one line. Names differ from run to run only if some run has other names there.
                if len(rows) > 1 and any(sorted(row) != sorted(rows[0]) for row in rows):
                    self.patterns.learn_from(kind, rows, origin)
            one, other = ([key for key in each[kind] if self.patterns.name(kind, key) == key] for each in samples)
            # A key that no pattern matches may belong to a known thing, if only its random letters differ: widen the pattern.
            for key in (*one, *other):
                self.patterns.fit(kind, key)
            if not origins or any(None in run for run in keys):
                self._merge_alike(kind, one, other)

    def _merge_alike(self, kind: str, one: Sequence[str], other: Sequence[str]) -> None:
        """Make a pattern of each two keys, one from each run, that by themselves show that they name one thing."""
        for pair in product(one, other):
            if pair[0] != pair[1] and are_alike(*pair):
                self.patterns.learn(kind, pair)

    def _keys_by_origin(self, point: Point | None, kinds: frozenset[str]) -> dict[str, _KeysByOrigin]:
        """Make a watched run; return kind -> origin -> keys of what was left."""
        ran = alone(self.executor, Trace(point, kinds))[-1]
        found: dict[str, _KeysByOrigin] = {kind: {} for kind in kinds}
        for leftover in (*ran.leaked, *ran.dropped):
            if leftover.kind in found:
                sighting = ran.sightings.get((leftover.kind, leftover.key))
                origin = place_and_stack(sighting.origin) if sighting and sighting.exact else None
                found[leftover.kind].setdefault(origin, []).append(leftover.key)
        return found


def _is_as_many(run: _KeysByOrigin, samples: Sequence[Mapping[str, list[str]]], kind: str) -> bool:
    """Return whether each sample has as many keys of a kind as the watched run."""
    return {len(each[kind]) for each in samples} == {sum(map(len, run.values()))}


def _by_kind(names: Iterable[Name]) -> defaultdict[str, list[str]]:
    """Return kind -> keys."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for kind, key in names:
        found[kind].append(key)
    return found


def _of_kinds(findings: Iterable[Finding], kinds: Collection[str]) -> dict[str, list[str]]:
    """Return kind -> keys of the findings of some kinds."""
    return _by_kind((finding.kind, finding.key) for finding in findings if finding.kind in kinds)
