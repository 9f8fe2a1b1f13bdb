"""Filters that choose which recorded hits become points. Dropped hits are counted in a plan, by reason.

Each filter takes ``what``, which converts its reason to the reason that is counted: hits after a first interrupt have other reasons.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from pytest_maskcheck.interrupts.places import is_own, near
from pytest_maskcheck.points.ids import place_of
from pytest_maskcheck.reasons import NotAudited, Reason, as_first, reason_of

if TYPE_CHECKING:
    from pytest_maskcheck.interrupts import Hit
    from pytest_maskcheck.points.plan import Plan

Counted = Callable[[Reason], Reason]
"""Converts the reason against a hit to the reason that is counted; for a second interrupt these differ."""

_UNMARKED = {NotAudited.OUT_OF_SCOPE, NotAudited.IGNORED}
"""Reasons whose lines are not recorded: what is out of scope is in no report, and an audit has its ignore comments anyway."""

_PAUSED = Reason(NotAudited.PAUSED)


class ReasonAgainst(Protocol):
    """Returns why a line is not audited; see :meth:`pytest_maskcheck.points.reach.Reach.reason_against`."""

    def __call__(self, filename: str, line: int, *, entry: bool = False, reached: bool = False) -> Reason | None:
        """Return the reason, or ``None``."""
        ...


def number_in(hits: list[Hit]) -> int:
    """Return how many hits there were, including those that a thinned recording did not keep."""
    return sum(hit.stands_for for hit in hits)


def unpaused(hits: list[Hit], chosen: Plan, what: Counted = as_first) -> list[Hit]:
    """Return the hits outside of ``maskcheck.paused()``; count the others in ``chosen``."""
    kept = [hit for hit in hits if not hit.aside]
    chosen.leave_out(what(_PAUSED), number_in(hits) - number_in(kept), (_line_of(hit) for hit in hits if hit.aside))
    return kept


def reasonable(hits: list[Hit], reason_against: ReasonAgainst, chosen: Plan, what: Counted = as_first) -> list[Hit]:
    """Return the hits on lines that no reason excludes; count the others in ``chosen``."""
    kept: list[Hit] = []
    for hit in hits:
        if reason := reason_against(hit.code.co_filename, hit.line, entry=hit.kind == "entry"):
            marked = reason_of(reason).code not in _UNMARKED
            chosen.leave_out(what(reason), hit.stands_for, [_line_of(hit)] if marked else ())
        else:
            kept.append(hit)
    return kept


def few(hits: list[Hit], number: int | None, chosen: Plan, what: Counted = as_first) -> list[Hit]:
    """Return a few hits of each place in each context, which stand for the others; count those in ``chosen``."""
    if number is None:
        return hits
    kept = _first_and_last(hits, number)
    further = (_line_of(hit) for hit in kept if hit.stands_for > 1)
    chosen.leave_out(what(Reason(NotAudited.HITS, hits=number)), number_in(hits) - len(kept), further)
    return kept


def _line_of(hit: Hit) -> tuple[str, int]:
    return hit.code.co_filename, hit.line


def within(hits: list[Hit], body: frozenset[str]) -> list[Hit]:
    """Return the hits from the first to the last one that is in the test's own files or was called from them."""
    # Hits before and after belong to pytest and plugins.
    own = own_hits(hits, body)
    return hits[own[0] : own[-1] + 1] if own else hits


def own_hits(hits: list[Hit], body: frozenset[str]) -> list[int]:
    """Return the positions of the hits that are in the test's own files or were called from them."""
    return [position for position, hit in enumerate(hits) if is_own(hit.code, hit.context, body)]


def circumstances_of(hit: Hit) -> tuple[object, ...]:
    """Return the key of a hit's circumstances; hits of a place with equal keys count as the same."""
    return (near(hit.context), hit.state, hit.after)


def _first_and_last(hits: list[Hit], number: int) -> list[Hit]:
    """Keep the first, the last and, for 3, the second hit of each place in the same circumstances; the last of them stands for the others."""
    groups: dict[object, list[Hit]] = {}
    for hit in hits:
        groups.setdefault((place_of(hit), circumstances_of(hit)), []).append(hit)
    wanted: dict[int, int] = {}
    for group in groups.values():
        positions = {0} if number == 1 else {0, len(group) - 1} | ({1} if number > 2 else set())
        kept = sorted(position for position in positions if position < len(group))
        wanted |= {id(group[position]): 1 for position in kept}
        wanted[id(group[kept[-1]])] = number_in(group) - len(kept) + 1
    return [replace(hit, stands_for=wanted[id(hit)]) for hit in hits if id(hit) in wanted]
