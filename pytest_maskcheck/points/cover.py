"""Spread the points to audit over the tests of a suite: each line once, then each place, then each context, then the tests' own code.

Each round is a greedy weighted set cover: the test that adds most for its time goes first. An audit has a fixed cost, so a round prefers
tests that are audited anyway.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_maskcheck.points.layers import Layers

FIXED = 0.3
"""Seconds that an audit takes besides its points."""

MARGIN = 0.002
"""Seconds that a point takes besides the run of the test."""

_DRIFT = 1.25
"""Factor by which the pace of audits may differ from the one that the choice was made for."""


class Depth(IntEnum):
    """How finely the code of a package is audited; each depth includes those before it."""

    LINES = 0
    PLACES = 1
    ALL = 2


@dataclass(frozen=True, slots=True, repr=False)
class Surveyed:
    """What one test reaches.

    Parameters:
        test: its node id.
        seconds: duration of a run.
        layers: the keys of each point in the code that is tested.
        own: the keys of each point in the test's own files.
        reached: file as shown in reports -> the statements that it was the first one to reach (``3-7,9``), with or without a point.
    """

    test: str
    seconds: float
    layers: tuple[Layers, ...]
    own: tuple[Layers, ...] = ()
    reached: dict[str, str] = field(default_factory=dict)

    @property
    def cost(self) -> float:
        """Seconds that one point takes."""
        return self.seconds + MARGIN


@dataclass(slots=True, repr=False)
class Chosen:
    """The points of one test that are audited first.

    Parameters:
        cost: the seconds that they are expected to take.
        contexts: the key of the context of each -> the depth at which it was chosen.
        lines: the same keys -> the key of the line.
    """

    cost: float = 0.0
    contexts: dict[int, Depth] = field(default_factory=dict)
    lines: dict[int, int] = field(default_factory=dict)


class Suite:
    """The points to audit in the tests of a suite, chosen anew when audits take longer or shorter than expected.

    Parameters:
        tests: what each test reaches, in the order in which they run.
        depth: how far to go.
        seconds: the time that all audits may take together; infinite if there is no limit.
    """

    def __init__(self, tests: Iterable[Surveyed], depth: Depth, seconds: float) -> None:
        tests = [*tests]
        if not any(test.layers for test in tests):  # there is nothing but tests in scope
            tests = [Surveyed(test.test, test.seconds, test.own) for test in tests]
        self._tests = {test.test: test for test in tests}
        self._depth = depth
        self._covered: Covered = tuple(set() for _ in Depth)
        self._lost: list[Layers] = []
        self._is_stale = False
        self._expected = self._taken = 0.0
        self._planned_pace = 1.0
        self.chosen: dict[str, Chosen] = {}
        self._choose(seconds)

    def next(self, test: str, seconds: float) -> Chosen | None:
        """Return the points of the test that begins; ``None`` if it was not surveyed.

        Parameters:
            test: its node id.
            seconds: the time that is left.
        """
        if test not in self._tests:
            return None
        if self._is_stale or not 1 / _DRIFT < self._pace / self._planned_pace < _DRIFT:
            self._choose(seconds)
        return self.chosen.get(test) or Chosen()

    def ends(self, test: str, seconds: float, *, complete: bool, wanted: bool = True) -> None:
        """Take a test out of those to come.

        Parameters:
            test: its node id.
            seconds: how long its audit took.
            complete: all points chosen were audited, and a defect there fails the session, so that no other test need be audited for them.
            wanted: points that no audit covers are missed; those of a test that was not to be audited are not.
        """
        surveyed, chosen = self._tests.pop(test, None), self.chosen.pop(test, None)
        if surveyed is None or chosen is None:
            return
        if seconds:
            self._expected += chosen.cost
            self._taken += seconds
        audited = [layers for layers in surveyed.layers if layers.context in chosen.contexts]
        if not complete:
            self._is_stale = True  # other tests to come may reach the same
            self._lost += audited if wanted else []
            return
        for layers in audited:
            _add(layers, self._covered)

    @property
    def missed(self) -> int:
        """How many lines, or whatever the depth asks for, were chosen in tests that were not audited, and in no test after them."""
        return len({layers[self._depth] for layers in self._lost} - self._covered[self._depth])

    def part(self, test: str, others: int, workers: int) -> float:
        """Return the part of the time that is left for the audit of a test.

        Parameters:
            test: its node id.
            others: how many further tests this process expects to run.
            workers: the number of processes; with several, it is not known which tests the others will be.
        """
        ahead = sum(each.cost for each in self.chosen.values())
        mean = ahead / max(1, len(self._tests))
        chosen = self.chosen.get(test)
        cost = chosen.cost if chosen else 0.0 if test in self._tests else max(mean, FIXED)
        return cost / (max(ahead, cost) if workers == 1 else cost + others * mean) if cost else 0.0

    @property
    def _pace(self) -> float:
        """How many times as long as expected audits have taken so far."""
        return self._taken / self._expected if self._expected else 1.0

    def _choose(self, seconds: float) -> None:
        self._planned_pace, self._is_stale = self._pace, False
        covering = _Cover([*self._tests.values()], tuple(map(set, self._covered)), seconds / self._pace)
        for each in Depth:
            if each <= self._depth and covering.has_time:
                covering.fill(each)
        if self._depth is Depth.ALL and covering.has_time:
            covering.add_own()
        self.chosen = covering.chosen


Covered = tuple[set[int], ...]
"""The keys of the points that are chosen, layer by layer."""


def _add(layers: Layers, covered: Covered) -> None:
    for keys, key in zip(covered, layers, strict=True):
        keys.add(key)


class _Cover:
    """A choice as far as it is made."""

    def __init__(self, tests: Sequence[Surveyed], covered: Covered, seconds: float) -> None:
        self._tests = tests
        self._covered = covered
        self._left = seconds
        self.chosen: dict[str, Chosen] = {}

    @property
    def has_time(self) -> bool:
        return self._left > 0

    def fill(self, depth: Depth) -> None:
        """Cover every key of one layer."""
        queue = [(-float("inf"), number, test) for number, test in enumerate(self._tests)]
        heapify(queue)
        while queue and self.has_time:
            _, number, test = heappop(queue)
            added = [*self._new(test, depth)]
            if not added:
                continue
            # What a test adds only shrinks while others are chosen, so that the first one that is still best is the best of all.
            value = len(added) / (self._fixed(test) + len(added) * test.cost)
            if queue and value < -queue[0][0]:
                heappush(queue, (-value, number, test))
                continue
            self._take(test, added, depth)

    def add_own(self) -> None:
        """Add the tests' own code, cheapest first."""
        for test in sorted(self._tests, key=lambda test: self._fixed(test) + len(test.own) * test.cost):
            if not self.has_time:
                return
            if test.own:
                self._take(test, test.own, Depth.ALL)

    def _new(self, test: Surveyed, depth: Depth) -> Iterator[Layers]:
        """Yield the first point of a test for each key of the layer that is not covered yet."""
        covered, seen = self._covered[depth], set()
        for layers in test.layers:
            key = layers[depth]
            if key not in covered and key not in seen:
                seen.add(key)
                yield layers

    def _take(self, test: Surveyed, added: Iterable[Layers], depth: Depth) -> None:
        """Choose points of a test as far as there is time, at least one."""
        fixed = self._fixed(test)
        chosen = self.chosen.setdefault(test.test, Chosen())
        chosen.cost += fixed
        self._left -= fixed
        for layers in added:
            chosen.contexts.setdefault(layers.context, depth)
            chosen.lines[layers.context] = layers.line
            chosen.cost += test.cost
            self._left -= test.cost
            _add(layers, self._covered)
            if not self.has_time:
                return

    def _fixed(self, test: Surveyed) -> float:
        return 0.0 if test.test in self.chosen else FIXED + 5 * test.seconds
