"""Points with two interrupts in one run, from the hits that runs reached after a first interrupt.

The id of such a point is ``first>second``: ``src/a.py:12:call#1>src/a.py:15:call#2``. The hits of the second are counted from the
moment the first interrupt has landed. Every hit that the main thread reaches from there to the end of the test's body is a second
point: in handlers, ``except`` and ``finally`` blocks, ``__exit__``, and the rest of a test that goes on.

Their number is known only when all runs have been recorded, and it is large: roughly half the square of the number of single points. So
an even sample is kept while runs are recorded; the seed determines where it begins.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pytest_maskcheck.points.hit_filters import few, number_in, own_hits, reasonable, unpaused
from pytest_maskcheck.points.ids import ordinals_of, place_of, point_of
from pytest_maskcheck.points.plan import Aim, Plan
from pytest_maskcheck.points.sampling import GrowingSample, beyond_sample
from pytest_maskcheck.reasons import NotAudited, Reason, as_second
from pytest_maskcheck.results import Point, PointResult, Verdict

if TYPE_CHECKING:
    from pytest_maskcheck.interrupts import Hit, Recording
    from pytest_maskcheck.points.hit_filters import ReasonAgainst
    from pytest_maskcheck.points.ids import Names, Ordinals


def reason_against_more(result: PointResult) -> Reason | None:
    """Return why a second interrupt after a first one with this result would show nothing, or ``None``."""
    if result.reason:
        return Reason(NotAudited.FIRST_NOT_AUDITED)
    if any(finding.fails or finding.verdict is Verdict.INTERPRETER for finding in result.findings):
        return Reason(NotAudited.FIRST_HAS_FINDING)
    return None


class Pairs:
    """Collects the points with two interrupts.

    Parameters:
        recording: the hits of an uninterrupted run.
        names: the short names of files.
        reason_against: returns why a line is not audited.
        hits: how many hits of a place in one context are audited; see :func:`pytest_maskcheck.points.choice.choose_points`.
        room: the maximum number of points to choose.
        max_points: the setting that ``room`` is derived from.
        seed: seed of the sample.
        body: files of the test's own code; hits after the last one that is in these files or was called from them are not the test's.
        only: the id of the only point to choose; the other limits do not apply to it.
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
        self._beyond = beyond_sample(max_points, seed)
        self._body = body
        self._only = only
        self._plan = Plan()
        self._sample: GrowingSample[tuple[Point, Aim]] = GrowingSample(max(room, 0), seed)

    def without(self, reason: Reason) -> None:
        """Count a first point that has no second point after it, by reason."""
        self._plan.leave_out(Reason(NotAudited.NO_SECOND, why=reason))

    def take(self, first: Point, aim: Aim, tail: Recording) -> None:
        """Add the points after one first interrupt.

        Parameters:
            first: the point of the first interrupt.
            aim: the aim of that point.
            tail: the recording of what the run reached after the interrupt.
        """
        own = own_hits(tail.hits, self._body)
        within = tail.hits[: own[-1] + 1] if own else ([] if self._body else tail.hits)
        self._plan.leave_out(as_second(Reason(NotAudited.HARNESS)), number_in(tail.hits) - number_in(within))
        kept = unpaused(within, self._plan, as_second)
        kept = reasonable(kept, self._reason_against, self._plan, as_second)
        if not self._only:
            kept = few(kept, self._hits, self._plan, as_second)
        # Include the places of the uninterrupted run, so that a place has the same name in both.
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
        """Return the points to audit, and what was left out."""
        chosen = self._sample.items()
        self._plan.leave_out(as_second(self._beyond), self._sample.seen - len(chosen))
        for point, aim in chosen:
            self._plan.add(point, aim)
        return self._plan
