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


class Depth(IntEnum):
    """How finely the code of a package is audited; each depth includes those before it."""

    LINES = 0
    PLACES = 1
    ALL = 2


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What one test reaches.

    Parameters:
        test: its node id.
        seconds: duration of a run.
        layers: the keys of each point in the code that is tested.
        own: the keys of each point in the test's own files.
    """

    test: str
    seconds: float
    layers: tuple[Layers, ...]
    own: tuple[Layers, ...] = ()

    @property
    def cost(self) -> float:
        """Seconds that one point takes."""
        return self.seconds + MARGIN


@dataclass(slots=True)
class Chosen:
    """The points of one test that are audited first.

    Parameters:
        cost: the seconds that they are expected to take.
        contexts: the key of the context of each -> the depth at which it was chosen.
    """

    cost: float = 0.0
    contexts: dict[int, Depth] = field(default_factory=dict)


def cover(tests: Sequence[Surveyed], depth: Depth, seconds: float = float("inf")) -> dict[str, Chosen]:
    """Return the points to audit, by test.

    Parameters:
        tests: what each test reaches.
        depth: how far to go.
        seconds: the time that all audits may take together.
    """
    covering = _Cover(tests if any(test.layers for test in tests) else [*map(_as_tested, tests)], seconds)
    for each in Depth:
        if each <= depth and covering.has_time:
            covering.fill(each)
    if depth is Depth.ALL and covering.has_time:
        covering.add_own()
    return covering.chosen


def _as_tested(test: Surveyed) -> Surveyed:
    """Return a test whose own code counts as the code that is tested."""
    return Surveyed(test.test, test.seconds, test.own)


class _Cover:
    """The choice as far as it is made."""

    def __init__(self, tests: Sequence[Surveyed], seconds: float) -> None:
        self._tests = tests
        self._left = seconds
        self._covered: tuple[set[int], ...] = tuple(set() for _ in Depth)
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
            chosen.cost += test.cost
            self._left -= test.cost
            for covered, key in zip(self._covered, layers, strict=True):
                covered.add(key)
            if not self.has_time:
                return

    def _fixed(self, test: Surveyed) -> float:
        return 0.0 if test.test in self.chosen else FIXED + 5 * test.seconds
