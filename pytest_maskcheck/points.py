"""From recorded hits to points: names, ids, and which hits are audited.

An id is ``path:line:kind#hit``: ``src/pkg/store.py:12:call#1`` is the first time that the main thread comes to the first call
on line 12. Further calls of the line are ``call.2``, ``call.3`` …, in the order of the source.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from pytest_maskcheck.interrupts import known_defect
from pytest_maskcheck.results import Frame, Point

if TYPE_CHECKING:
    from types import CodeType

    from pytest_maskcheck.interrupts import Hit, Recording

ID = re.compile(r"(?P<path>.+):(?P<line>\d+):(?P<kind>entry|resume|call|jump|line)(?P<ordinal>\.\d+)?#(?P<hit>\d+)")
"""The form of a point's id."""


@dataclass(slots=True)
class Plan:
    """The points to audit, the hit that each stands for, and what was left out, by reason."""

    points: list[Point] = field(default_factory=list)
    hits: dict[str, Hit] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)

    def leave_out(self, reason: str, count: int = 1) -> None:
        """Count hits that are not audited."""
        if count:
            self.left_out[reason] = self.left_out.get(reason, 0) + count


class ReasonAgainst(Protocol):
    """Tells why a line is not audited; see :meth:`pytest_maskcheck.reach.Reach.reason_against`."""

    def __call__(self, filename: str, line: int, *, entry: bool = False) -> str:
        """Return the reason, or ``""``."""
        ...


class Names:
    """Short names for files: relative to the root directory, else to the entry of ``sys.path`` they come from."""

    def __init__(self, root: str) -> None:
        """Take the root directory, which needs not exist."""
        self._roots = [root, *sorted((p for p in map(os.path.abspath, sys.path)), key=len, reverse=True)]
        self.short = lru_cache(maxsize=None)(self._short)

    def _short(self, filename: str) -> str:
        path = os.path.abspath(filename)
        for root in self._roots:
            if path.startswith(root.rstrip(os.sep) + os.sep) and "site-packages" not in path[len(root) :]:
                return os.path.relpath(path, root)
        return path

    def frame(self, code: CodeType, line: int) -> Frame:
        """Return the frame of a report for a line of ``code``."""
        return Frame(self.short(code.co_filename), line, code.co_qualname, os.path.abspath(code.co_filename))


def plan(
    recording: Recording,
    names: Names,
    reason_against: ReasonAgainst,
    *,
    hits: int | None,
    max_points: int,
    body: frozenset[str] = frozenset(),
    only: str = "",
) -> Plan:
    """Choose the points of a run.

    Parameters:
        recording: the hits of an uninterrupted run.
        names: gives files their names.
        reason_against: tells why a line is not audited.
        hits: how many hits of a place in one context are audited: 1 the first, 2 first and last, 3 first,
            second and last; ``None`` for all.
        max_points: upper bound; an even sample that keeps at least one point of every line is taken.
        body: files of the test's own code; what was reached before the first hit in them or called from them, or after
            the last one, belongs to those who run the test.
        only: the id of the one point wanted; the other limits do not apply to it.
    """
    chosen = Plan()
    kept: list[Hit] = []
    within = _within(recording.hits, body)
    chosen.leave_out("outside the test: pytest or a plugin was running", len(recording.hits) - len(within))
    for hit in within:
        if reason := reason_against(hit.code.co_filename, hit.line, entry=hit.kind == "entry"):
            chosen.leave_out(reason)
        else:
            kept.append(hit)
    elsewhere = sum(1 for place in recording.other_threads if not reason_against(*place))
    chosen.leave_out("line reached on another thread: only the main thread is interrupted", elsewhere)
    ordinals = _ordinals(recording.hits)
    ids = {id(hit): _id(hit, names, ordinals) for hit in kept}
    if only:
        kept = [hit for hit in kept if ids[id(hit)] == only]
    else:
        if hits is not None:
            few = _first_and_last(kept, hits)
            chosen.leave_out(f"further hit of a place in one calling context (hits={hits})", len(kept) - len(few))
            kept = few
        if len(kept) > max_points:
            chosen.leave_out(f"beyond max_points={max_points}: an even sample was taken", len(kept) - max_points)
            kept = _sample(kept, max_points)
    for hit in kept:
        point = _point(hit, ids[id(hit)], names)
        chosen.points.append(point)
        chosen.hits[point.id] = hit
    return chosen


def _within(hits: list[Hit], body: frozenset[str]) -> list[Hit]:
    """Return the hits from the first to the last one that is in the test's own files or was called from them."""
    own = [
        position
        for position, hit in enumerate(hits)
        if hit.code.co_filename in body or any(code.co_filename in body for code, _ in hit.context)
    ]
    return hits[own[0] : own[-1] + 1] if own else hits


def _first_and_last(hits: list[Hit], number: int) -> list[Hit]:
    """Keep the first, the last and, for 3, the second hit of each place in each context."""
    groups: dict[object, list[Hit]] = {}
    for hit in hits:
        groups.setdefault((hit.code, hit.offset, hit.kind, hit.context), []).append(hit)
    wanted = set()
    for group in groups.values():
        positions = {0} if number == 1 else {0, len(group) - 1} | ({1} if number > 2 else set())
        wanted |= {id(group[position]) for position in positions if position < len(group)}
    return [hit for hit in hits if id(hit) in wanted]


def _sample(hits: list[Hit], size: int) -> list[Hit]:
    """Take ``size`` hits: as many lines as possible, the rest evenly spread."""
    first_of_line: dict[tuple[str, int], int] = {}
    for position, hit in enumerate(hits):
        first_of_line.setdefault((hit.code.co_filename, hit.line), position)
    order = list(first_of_line.values())
    covered = set(order)
    rest = [position for position in range(len(hits)) if position not in covered]
    chosen = _evenly(order, size)
    chosen += _evenly(rest, size - len(chosen))
    return [hits[position] for position in sorted(chosen)]


def _evenly(items: list[int], size: int) -> list[int]:
    if size >= len(items):
        return items
    return [items[index * len(items) // size] for index in range(size)]


def _ordinals(hits: list[Hit]) -> dict[tuple[CodeType, int, str], int]:
    """Number the places of one kind on one line, in the order of the source."""
    lines: dict[tuple[str, int, str], dict[tuple[CodeType, int, str], tuple[int, ...]]] = {}
    for hit in hits:
        place = (hit.code, hit.offset, hit.kind)
        lines.setdefault((hit.code.co_filename, hit.line, hit.kind), {})[place] = _position(hit)
    return {
        place: number
        for places in lines.values()
        for number, place in enumerate(sorted(places, key=places.__getitem__), 1)
    }


def _position(hit: Hit) -> tuple[int, ...]:
    """Return where a hit stands in the source: column of its end, then of its code object and instruction."""
    positions = list(hit.code.co_positions())
    _, end_line, _, end_column = positions[hit.offset // 2]
    return (end_line or 0, end_column or 0, hit.code.co_firstlineno, hit.offset)


def _id(hit: Hit, names: Names, ordinals: dict[tuple[CodeType, int, str], int]) -> str:
    ordinal = ordinals[hit.code, hit.offset, hit.kind]
    suffix = f".{ordinal}" if ordinal > 1 else ""
    return f"{names.short(hit.code.co_filename)}:{hit.line}:{hit.kind}{suffix}#{hit.number}"


def _point(hit: Hit, name: str, names: Names) -> Point:
    return Point(
        id=name,
        path=names.short(hit.code.co_filename),
        file=os.path.abspath(hit.code.co_filename),
        line=hit.line,
        kind=hit.kind,
        hit=hit.number,
        function=hit.code.co_qualname,
        context=tuple(names.frame(code, line) for code, line in hit.context),
        defect=known_defect(hit),
    )
