"""Even samples: by layers if all points are known; incrementally if their number is not yet known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from pytest_maskcheck.points.hit_filters import circumstances_of
from pytest_maskcheck.points.ids import place_of
from pytest_maskcheck.reasons import NotAudited, Reason

if TYPE_CHECKING:
    from collections.abc import Collection

    from pytest_maskcheck.points.plan import Aim
    from pytest_maskcheck.results import Point

T = TypeVar("T")


def beyond_sample(max_points: int, seed: int) -> Reason:
    """Return the reason for the points that a sample leaves out."""
    return Reason(NotAudited.MAX_POINTS, max_points=max_points, seed=seed)


def layered(
    aims: list[tuple[Point, Aim]],
    size: int,
    seed: int,
    before: Collection[int] = frozenset(),
    last: Collection[int] = frozenset(),
) -> list[int]:
    """Return the positions of a sample of ``size`` points, in ascending order.

    The sample first takes each line once; then each line with each signal; then each place; then each place in each calling context,
    under each handler and mask; then further hits. From the first layer that does not fit completely, an even spread is taken.

    Parameters:
        aims: the points, each with its aim.
        size: how many points to take.
        seed: chooses the point that represents a line, a place or a context, and where an even grid begins.
        before: positions that were taken earlier; the sample continues from there and does not repeat them.
        last: positions that are taken only where there is room for all others.
    """
    if last:
        # The others are sampled as if they were all: a line that only points among the last would cover is covered after them.
        others = [position for position in range(len(aims)) if position not in last]
        places = {position: place for place, position in enumerate(others)}
        earlier = {places[position] for position in before if position in places}
        room = min(size, len(others) - len(earlier))
        first = [others[place] for place in layered([aims[position] for position in others], room, seed, earlier)]
        return sorted([*first, *layered(aims, size - room, seed, {*before, *first})])
    taken = set(before)
    size += len(taken)
    layers: list[dict[object, list[int]]] = [{} for _ in range(_LAYERS)]
    for position, (point, aim) in enumerate(aims):
        key: tuple[object, ...] = ()
        for groups, part in zip(layers, _layers(point, aim), strict=True):
            # Each key extends that of the coarser layer, so that a place counts once for each line and signal.
            key = (key, part)
            groups.setdefault(key, []).append(position)
    for groups in layers:
        # A group counts as covered if an earlier layer has taken any of its points.
        fresh = [group[seed % len(group)] for group in groups.values() if taken.isdisjoint(group)]
        taken.update(evenly(fresh, size - len(taken), seed))
        if len(taken) >= size:
            break
    return sorted(taken.difference(before))


_LAYERS = 5


def _layers(point: Point, aim: Aim) -> tuple[object, ...]:
    """Return the keys of the groups that a point belongs to, from coarse to fine."""
    hit = aim.second or aim.first
    return ((point.path, point.line), aim.signum, place_of(hit), circumstances_of(hit), point.id)


def evenly(items: list[T], size: int, seed: int = 0) -> list[T]:
    """Return ``size`` items, evenly spread; each seed begins one item after the seed before it."""
    number = len(items)
    if size >= number:
        return items
    return [items[(index * number + seed * size % number) // size] for index in range(size)]


class GrowingSample(Generic[T]):
    """An even sample of a number of items that is not known in advance.

    Every ``step``-th item is kept, from the ``start``-th on. When too many are kept, every second one of them is dropped; the bits of
    the seed choose which.
    """

    def __init__(self, size: int, seed: int = 0) -> None:
        self.seen = 0
        self._size = size
        self._seed = seed
        self._step, self._start = 1, 0
        self._kept: list[T] = []

    def add(self, item: T) -> None:
        """Add an item, which the sample may skip."""
        if self._size and self.seen % self._step == self._start:
            self._kept.append(item)
            # Up to twice the size is kept, so that halving leaves a full sample.
            if len(self._kept) > 2 * self._size:
                odd = bool(self._seed & self._step)
                self._kept = self._kept[odd::2]
                self._start += odd * self._step
                self._step *= 2
        self.seen += 1

    def items(self) -> list[T]:
        """Return the sample."""
        return evenly(self._kept, self._size, self._seed)
