"""The exposure of points, from runs that were timed: for each hit, the gap between the hit before it and itself.

Theory of operation. A signal that arrives in the gap before a place waits for that place. So the gap is the time that decides how often a
real Ctrl-C lands there. Each hit is timed in several runs; of these, the shortest and the longest gap bound the interval.

Rules:

1. A hit that stands for others, which were not kept, counts as many times.
2. Code that runs after a function of ours is slower than else, as it finds the caches of the processor changed. How much slower a run is on
   the whole is known from runs that are not watched; the lower bound is divided by that.
3. Code that goes on until some time is up, such as a loop that polls, does less while it is watched. The time by which the watched run is
   then shorter is added to each upper bound, as it may belong to any gap. No gap is longer than the run.
4. A signal that arrives within a stretch of code out of scope lands somewhere between its first and its last checkpoint. Whether such an
   interrupt leads to what one at the last checkpoint (``back``) leads to depends on that code: its interval begins at 0.
5. The first hit has none before it: its gap is that since the body began, part of which is spent in pytest. Its interval begins at 0, too.
6. Where the thread waits for most of a gap, an interrupt ends the wait: how much of the time that is, is told apart.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.timing import within
from pytest_maskcheck.results import Exposure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_maskcheck.interrupts import Hit, Trigger
    from pytest_maskcheck.interrupts.timing import Lap, Moment

_WAITS = 0.5
"""The share of a gap from which on it counts as waiting."""


_SHORTER = 0.8
"""A watched run of less than this part of the duration of others has left something out; runs differ by less."""


def rare(hits: Iterable[Hit], most: int) -> list[Hit]:
    """Return the hits that can be watched without more than ``most`` events in a run, as far as triggers show how many there are."""
    counts: dict[tuple[object, ...], int] = {}
    chosen = []
    for sites, hit in sorted(((_sites(hit), hit) for hit in hits), key=lambda each: max(each[0].values())):
        together = {site: max(count, counts.get(site, 0)) for site, count in sites.items()}
        if sum((counts | together).values()) > most:
            break
        counts |= together
        chosen.append(hit)
    return chosen


def _sites(hit: Hit) -> dict[tuple[object, ...], int]:
    """Return the events that have to be counted for a hit, and how many of each."""
    sites: dict[tuple[object, ...], int] = {}
    for trigger in filter(None, (hit.before, hit.trigger)):
        for each in filter(None, (trigger, trigger.since)):
            site = (each.event, id(each.code), each.offset, id(each.callee))
            sites[site] = max(each.count, sites.get(site, 0))
    return sites


def is_shorter(laps: Sequence[Lap], seconds: float) -> bool:
    """Return whether watched runs take less time than others, which take so many seconds: they leave something out."""
    return bool(laps) and median(lap.seconds for lap in laps) < _SHORTER * seconds


class Gaps:
    """The gaps before hits.

    Parameters:
        hits: the hits.

    Attributes:
        triggers: what to note the moments of.
    """

    def __init__(self, hits: Sequence[Hit]) -> None:
        self._hits = hits
        self.triggers: list[Trigger] = []
        self._places: dict[int, int] = {}  # a trigger, by ``id``, and its position
        for trigger in (each for hit in hits for each in (hit.before, hit.trigger) if each is not None):
            if self._places.setdefault(id(trigger), len(self.triggers)) == len(self.triggers):
                self.triggers.append(trigger)

    def exposures(self, laps: Sequence[Lap], resting: Lap, seconds: float) -> Iterator[Exposure]:
        """Yield the exposure of each hit.

        Parameters:
            laps: runs.
            resting: a run in which it was measured when the thread waits.
            seconds: how long a run takes that is not watched.
        """
        watched = median(lap.seconds for lap in laps) if laps else seconds
        slower = max(1.0, watched / seconds) if seconds else 1.0
        missing = seconds - watched if is_shorter(laps, seconds) else 0.0
        for hit in self._hits:
            found = self._exposure(hit, laps, resting, slower)
            raised = Exposure(found.least, found.greatest + missing * 1e6, found.waiting)
            yield raised.within(seconds * 1e6).rounded()

    def _exposure(self, hit: Hit, laps: Sequence[Lap], resting: Lap, slower: float) -> Exposure:
        ends = [(lap, *self._ends(hit, lap)) for lap in laps]
        gaps = [lap.between(begin, end) for lap, begin, end in ends if begin is not None and end is not None]
        if not gaps:
            return Exposure(0.0, 0.0)
        least, greatest = within([gap[0] for gap in gaps])[0] / slower, within([gap[1] for gap in gaps])[1]
        begin, end = self._ends(hit, resting)
        idle = resting.waiting(begin, end) if begin is not None and end is not None else 0.0
        waiting = idle * median(sum(gap) / 2 for gap in gaps) if idle > _WAITS else 0.0
        if hit.kind == "back" or hit.before is None:
            least = 0.0
        return Exposure(*(each * hit.stands_for / 1000 for each in (least, greatest, waiting)))

    def _ends(self, hit: Hit, lap: Lap) -> tuple[Moment | None, Moment | None]:
        begin = lap.reached[self._places[id(hit.before)]] if hit.before is not None else lap.begin
        return begin, lap.reached[self._places[id(hit.trigger)]]
