"""The exposure of points that come too often to be watched: from samples of where interrupts land at random moments.

Rules:

1. A place that ``k`` of ``n`` samples landed at has a share of the run between the limits of Wilson's interval of 95 %.
2. The hits of one place in one calling context share its samples, each by how many hits it stands for.
3. Samples in a stretch of code out of scope may belong to its first checkpoint or to its last one: the interval of both begins at 0.
4. A suspended coroutine is on no stack. Samples where no code in scope runs may belong to it, and its interval begins at 0, too.
"""

from __future__ import annotations

from collections import Counter
from math import sqrt
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.places import BEYOND, near
from pytest_maskcheck.interrupts.timing import Landing
from pytest_maskcheck.results import Exposure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_maskcheck.interrupts import Hit
    from pytest_maskcheck.interrupts.timing import Samples

_Z = 1.96
"""Standard deviations within which 95 % of a normal distribution lie."""


class Shares:
    """The shares of places in the time of a run.

    Parameters:
        hits: all hits that were recorded.
    """

    def __init__(self, hits: Iterable[Hit]) -> None:
        self._hits: Counter[tuple[Landing | None, str]] = Counter()
        for hit in {id(hit): hit for hit in hits}.values():
            self._hits[_landing(hit), _half(hit)] += hit.stands_for

    def exposure(self, hit: Hit, samples: Samples, seconds: float) -> Exposure:
        """Return the exposure of a hit in a run of so many seconds."""
        landing = _landing(hit)
        least, greatest = interval(samples.landings[landing], samples.landings.total())
        waiting = samples.waiting[landing] / samples.landings.total()
        scale = seconds * 1e6 * hit.stands_for / self._hits[landing, _half(hit)]
        if landing is None or landing.beyond:
            least = 0.0
        return Exposure(least * scale, greatest * scale, waiting * scale).rounded()


def _landing(hit: Hit) -> Landing | None:
    if hit.is_suspended:
        return None
    return Landing(hit.code, hit.offset, near(hit.context), beyond=hit.kind in BEYOND)


def _half(hit: Hit) -> str:
    """Return which end of a stretch out of scope a hit is; ``""`` for other hits."""
    return hit.kind if hit.kind in BEYOND else ""


def interval(number: int, total: int) -> tuple[float, float]:
    """Return Wilson's score interval of 95 % for a proportion, given ``number`` successes in ``total`` trials."""
    share, spread = number / total, _Z * _Z / total
    middle = (share + spread / 2) / (1 + spread)
    half = _Z * sqrt(share * (1 - share) / total + spread / total / 4) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)
