"""From what runs reach after an interrupt to points with a second one.

The id of such a point is ``first>second``: ``src/a.py:12:call#1>src/a.py:15:call#2``. The hits of the second are counted from the
moment at which the first interrupt has landed. Everything that the main thread comes by from there to the end of the test's body
is a second point: handlers, ``except`` and ``finally`` blocks, ``__exit__``, and what a test does that goes on.

How many there will be is known only when all runs have been recorded, and they are many: roughly half the square of the number
of single points. An even sample is kept on the way; where it begins depends on a seed.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from pytest_maskcheck.points.plan import (
    Aim,
    Plan,
    beyond,
    evenly,
    few,
    number_in,
    ordinals_of,
    own_hits,
    place_of,
    point_of,
    reasonable,
    unpaused,
)
from pytest_maskcheck.reasons import NO_SECOND, SECOND
from pytest_maskcheck.results import Point, PointResult, Verdict

if TYPE_CHECKING:
    from pytest_maskcheck.interrupts import Hit, Recording
    from pytest_maskcheck.points.plan import Names, Ordinals, ReasonAgainst

T = TypeVar("T")


def reason_against_more(result: PointResult) -> str:
    """Return why nothing can be learned from a second interrupt after the one with this result, or ``""``."""
    if result.reason:
        return "the first one was not audited"
    if any(finding.fails or finding.verdict is Verdict.INTERPRETER for finding in result.findings):
        return "the first one alone already has a finding"
    return ""


class Pairs:
    """Collects the points with two interrupts.

    Parameters:
        recording: the hits of an uninterrupted run.
        names: gives files their names.
        reason_against: tells why a line is not audited.
        hits: how many hits of a place in one context are audited; see :func:`pytest_maskcheck.points.plan.plan`.
        room: for how many points there is room.
        max_points: the setting that leaves so much room.
        seed: another one takes another sample.
        body: files of the test's own code; what is reached after the last hit in them or called from them, is not the test's.
        only: the id of the one point wanted; the other limits do not apply to it.
    """

    def __init__(
        self,
        recording: Recording,
        names: Names,
        reason_against: ReasonAgainst,
        *,
        hits: int | None,
        room: int,
        max_points: int,
        seed: int = 0,
        body: frozenset[str] = frozenset(),
        only: str = "",
    ) -> None:
        self._places = {place_of(hit): hit for hit in recording.hits}
        self._names = names
        self._reason_against = partial(reason_against, reached=True)
        self._hits = hits
        self._beyond = beyond(max_points, seed)
        self._body = body
        self._only = only
        self._plan = Plan()
        self._sample: _Sample[tuple[Point, Aim]] = _Sample(max(room, 0), seed)

    def without(self, reason: str) -> None:
        """Count a first point after which there is no second one."""
        self._plan.leave_out(f"{NO_SECOND}{reason}")

    def take(self, first: Point, aim: Aim, tail: Recording) -> None:
        """Take in the points after one first interrupt.

        Parameters:
            first: the point of the first interrupt, and its ``aim``.
            aim: see there.
            tail: what the run reached from there on.
        """
        own = own_hits(tail.hits, self._body)
        within = tail.hits[: own[-1] + 1] if own else ([] if self._body else tail.hits)
        reason = f"{SECOND}outside the test: pytest or a plugin was running"
        self._plan.leave_out(reason, number_in(tail.hits) - number_in(within))
        kept = unpaused(within, self._plan, SECOND)
        kept = reasonable(kept, self._reason_against, self._plan, SECOND)
        if not self._only:
            kept = few(kept, self._hits, self._plan, SECOND)
        ordinals = ordinals_of([*self._places.values(), *tail.hits])
        for hit in kept:
            point = self._point(first, aim, hit, ordinals)
            if not self._only or point.id == self._only:
                self._sample.add((point, replace(aim, second=hit)))

    def _point(self, first: Point, aim: Aim, hit: Hit, ordinals: Ordinals) -> Point:
        second = point_of(hit, aim.signum, self._names, ordinals)
        name = f"{first.id}>{second.id.partition('@')[0]}"
        return replace(second, id=name, first=first, defect=second.defect or first.defect)

    def plan(self) -> Plan:
        """Return what is to be audited, and what is not."""
        chosen = self._sample.items()
        self._plan.leave_out(SECOND + self._beyond, self._sample.seen - len(chosen))
        for point, aim in chosen:
            self._plan.add(point, aim)
        return self._plan


class _Sample(Generic[T]):
    """An even sample of all that is added, without knowing how much that will be.

    Every ``step``-th item is kept, from the ``start``-th on; when they are too many, every second one of them. The bits of the seed
    tell which.
    """

    def __init__(self, size: int, seed: int = 0) -> None:
        self.seen = 0
        self._size = size
        self._seed = seed
        self._step, self._start = 1, 0
        self._kept: list[T] = []

    def add(self, item: T) -> None:
        """Take an item in, perhaps."""
        if self._size and self.seen % self._step == self._start:
            self._kept.append(item)
            if len(self._kept) > 2 * self._size:
                odd = bool(self._seed & self._step)
                self._kept = self._kept[odd::2]
                self._start += odd * self._step
                self._step *= 2
        self.seen += 1

    def items(self) -> list[T]:
        """Return the sample."""
        return evenly(self._kept, self._size, self._seed)
