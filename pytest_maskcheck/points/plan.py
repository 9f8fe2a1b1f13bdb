"""From recorded hits to points: names, ids, and which hits are audited.

An id is ``path:line:kind#hit``: ``src/pkg/store.py:12:call#1`` is the first time that the main thread comes to the first call
on line 12. Further calls of the line are ``call.2``, ``call.3`` …, in the order of the source. With another signal than
SIGINT it ends with its name: ``src/pkg/store.py:12:call#1@SIGTERM``. What only the first run in a process reaches is
``src/pkg/store.py:12:call#1~first``. Two interrupts in one run are ``first>second``, where the hits
of the second are counted from the first on; see ``pairs.py``.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, TypeVar, get_args

from pytest_maskcheck.interrupts import PlaceKind, known_defect, mechanism_of, parse
from pytest_maskcheck.interrupts.cpython.codes import number_of, per_code
from pytest_maskcheck.interrupts.cpython.positions import end_of
from pytest_maskcheck.interrupts.places import is_own, near
from pytest_maskcheck.points import cleanup
from pytest_maskcheck.results import Frame, Point
from pytest_maskcheck.system.unpatched import os, signal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import CodeType

    from pytest_maskcheck.interrupts import Hit, Recording

T = TypeVar("T")

PAUSED = "within maskcheck.paused()"
"""The reason why hits are left out at which the test asked not to be interrupted."""

FIRST = "~first"
"""How the names of places end that only the first run in a process reaches; see ``first_use.py``."""

_PLACE = rf"[^>]+:\d+:(?:{'|'.join(get_args(PlaceKind))})(?:\.\d+)?#\d+(?:{FIRST})?"
ID = re.compile(rf"(?P<first>{_PLACE}(?:@(?P<signal>[A-Z0-9+]+))?)(?:>(?P<second>{_PLACE}))?")
"""The form of a point's id."""

_LONGEST = 10_000
"""Characters of an id: two paths, each at most as long as the system lets paths be, and what follows them."""


def is_id(text: str) -> bool:
    """Tell whether ``text`` has the form of a point's id, and names an interrupt that can be sent."""
    form = ID.fullmatch(text) if len(text) <= _LONGEST else None
    try:
        return form is not None and bool(parse(form["signal"] or ""))
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Aim:
    """What a point stands for: where to interrupt, and with which signal.

    Parameters:
        first: the hit, counted from the beginning of the run.
        signum: the signal.
        second: where to send the signal once more, counted from the first interrupt on; ``None``: nowhere.
    """

    first: Hit
    signum: int
    second: Hit | None = None

    @property
    def hits(self) -> tuple[Hit, ...]:
        """One or two."""
        return (self.first,) if self.second is None else (self.first, self.second)


@dataclass(slots=True, repr=False)
class Plan:
    """The points to audit, what each stands for, and what was left out, by reason."""

    points: list[Point] = field(default_factory=list)
    aims: dict[str, Aim] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)

    def leave_out(self, reason: str, count: int = 1) -> None:
        """Count hits that are not audited."""
        if count:
            self.left_out[reason] = self.left_out.get(reason, 0) + count

    def add(self, point: Point, aim: Aim) -> None:
        """Take a point in."""
        self.points.append(point)
        self.aims[point.id] = aim


class ReasonAgainst(Protocol):
    """Tells why a line is not audited; see :meth:`pytest_maskcheck.points.reach.Reach.reason_against`."""

    def __call__(self, filename: str, line: int, *, entry: bool = False, reached: bool = False) -> str:
        """Return the reason, or ``""``."""
        ...


class Names:
    """Short names for files: relative to the root directory, else to the entry of ``sys.path`` they come from."""

    def __init__(self, root: str) -> None:
        """Take the root directory, which needs not exist."""
        self._roots = [root, *sorted((p for p in map(os.path.abspath, sys.path)), key=len, reverse=True)]
        self.short = lru_cache(maxsize=None)(self._short)
        self.frame = per_code(self._frame)

    def _short(self, filename: str) -> str:
        path = os.path.abspath(filename)
        for root in self._roots:
            if path.startswith(root.rstrip(os.sep) + os.sep) and "site-packages" not in path[len(root) :]:
                return os.path.relpath(path, root)
        return path

    def _frame(self, code: CodeType, line: int) -> Frame:
        """Return the frame of a report for a line of ``code``."""
        return Frame(self.short(code.co_filename), line, code.co_qualname, os.path.abspath(code.co_filename))


def plan(
    recording: Recording,
    names: Names,
    reason_against: ReasonAgainst,
    *,
    hits: int | None,
    max_points: int,
    seed: int = 0,
    body: frozenset[str] = frozenset(),
    signums: tuple[int, ...] = (int(signal.SIGINT),),
    only: str = "",
    wanted: Callable[[Hit], bool] = lambda _: True,
) -> Plan:
    """Choose the points of a run.

    Parameters:
        recording: the hits of an uninterrupted run.
        names: gives files their names.
        reason_against: tells why a line is not audited.
        hits: how many hits of a place in one context are audited: 1 the first, 2 first and last, 3 first,
            second and last; ``None`` for all.
        max_points: upper bound; the sample of :func:`layered` is taken.
        seed: another one takes another sample.
        body: files of the test's own code; what was reached before the first hit in them or called from them, or after
            the last one, belongs to those who run the test.
        signums: the signals; each hit is a point for each of them.
        only: the id of the one point wanted; the other limits do not apply to it.
        wanted: tells which hits are looked at; the others are not counted as left out.
    """
    chosen = Plan()
    within = _within(recording.hits, body)
    chosen.leave_out("outside the test: pytest or a plugin was running", number_in(recording.hits) - number_in(within))
    kept = reasonable(unpaused([hit for hit in within if wanted(hit)], chosen), reason_against, chosen)
    elsewhere = sum(1 for place in recording.other_threads if not reason_against(*place))
    chosen.leave_out(mechanism_of(signums[0]).victim.elsewhere, elsewhere)
    if not only:
        kept = few(kept, hits, chosen)
    ordinals = ordinals_of(recording.hits)
    aims = [(point_of(hit, signum, names, ordinals), Aim(hit, signum)) for signum in signums for hit in kept]
    if only:
        aims = [(point, aim) for point, aim in aims if point.id == only]
    elif len(aims) > max_points:
        chosen.leave_out(beyond(max_points, seed), len(aims) - max_points)
        aims = [aims[position] for position in layered(aims, max_points, seed)]
    for point, aim in aims:
        chosen.add(point, aim)
    return chosen


def ran_elsewhere(code: CodeType, recording: Recording) -> bool:
    """Tell whether ``code`` ran on other threads, and never on the main one."""
    if any(hit.code is code for hit in recording.hits):
        return False
    lines = {line for _, _, line in code.co_lines() if line is not None}
    return any((code.co_filename, line) in recording.other_threads for line in lines)


def number_in(hits: list[Hit]) -> int:
    """Return how many hits there were, those that were not kept included."""
    return sum(hit.stands_for for hit in hits)


def unpaused(hits: list[Hit], chosen: Plan, what: str = "") -> list[Hit]:
    """Return the hits at which the test wants to be interrupted; the others are counted in ``chosen``, as what they are."""
    kept = [hit for hit in hits if not hit.aside]
    chosen.leave_out(what + PAUSED, number_in(hits) - number_in(kept))
    return kept


def reasonable(hits: list[Hit], reason_against: ReasonAgainst, chosen: Plan, what: str = "") -> list[Hit]:
    """Return the hits on lines that nothing speaks against; the others are counted in ``chosen``, as what they are."""
    kept: list[Hit] = []
    for hit in hits:
        if reason := reason_against(hit.code.co_filename, hit.line, entry=hit.kind == "entry"):
            chosen.leave_out(what + reason, hit.stands_for)
        else:
            kept.append(hit)
    return kept


def few(hits: list[Hit], number: int | None, chosen: Plan, what: str = "") -> list[Hit]:
    """Return few hits of each place in each context; the others are counted in ``chosen``, as what they are."""
    if number is None:
        return hits
    kept = _first_and_last(hits, number)
    chosen.leave_out(
        f"{what}further hit of a place in one calling context (hits={number})", number_in(hits) - len(kept)
    )
    return kept


def _within(hits: list[Hit], body: frozenset[str]) -> list[Hit]:
    """Return the hits from the first to the last one that is in the test's own files or was called from them."""
    own = own_hits(hits, body)
    return hits[own[0] : own[-1] + 1] if own else hits


def own_hits(hits: list[Hit], body: frozenset[str]) -> list[int]:
    """Return the positions of the hits that are in the test's own files or were called from them."""
    return [position for position, hit in enumerate(hits) if is_own(hit.code, hit.context, body)]


Place = tuple[int, int, str]
"""Number of a code object, offset and kind."""


def place_of(hit: Hit) -> Place:
    """Return what is equal for hits of one place."""
    return (number_of(hit.code), hit.offset, hit.kind)


def _surroundings(hit: Hit) -> tuple[object, ...]:
    """Return what is equal for hits of a place that are taken for the same."""
    return (near(hit.context), hit.state, hit.after)


def _first_and_last(hits: list[Hit], number: int) -> list[Hit]:
    """Keep the first, the last and, for 3, the second hit of each place in the same surroundings."""
    groups: dict[object, list[Hit]] = {}
    for hit in hits:
        groups.setdefault((place_of(hit), _surroundings(hit)), []).append(hit)
    wanted = set()
    for group in groups.values():
        positions = {0} if number == 1 else {0, len(group) - 1} | ({1} if number > 2 else set())
        wanted |= {id(group[position]) for position in positions if position < len(group)}
    return [hit for hit in hits if id(hit) in wanted]


def beyond(max_points: int, seed: int) -> str:
    """Return the reason for what a sample leaves out."""
    return f"beyond max_points={max_points}: an even sample was taken (seed={seed})"


def layered(aims: list[tuple[Point, Aim]], size: int, seed: int, before: Collection[int] = frozenset()) -> list[int]:
    """Return the positions of a sample of ``size`` points, in their order.

    First each line is taken once; then each line with each signal; then each place; then each place in each calling context
    under each handler and mask; then further hits. The layer that does not fit as a whole is taken evenly spread.

    Parameters:
        aims: the points, each with what it stands for.
        size: how many are taken.
        seed: which of the points stands for a line, a place or a context, and where an even grid begins.
        before: positions that were taken before: where they end, the sample goes on.
    """
    taken = set(before)
    size += len(taken)
    layers: list[dict[object, list[int]]] = [{} for _ in range(_LAYERS)]
    for position, (point, aim) in enumerate(aims):
        key: tuple[object, ...] = ()
        for groups, part in zip(layers, _layers(point, aim), strict=True):
            key = (key, part)
            groups.setdefault(key, []).append(position)
    for groups in layers:
        fresh = [group[seed % len(group)] for group in groups.values() if taken.isdisjoint(group)]
        taken.update(evenly(fresh, size - len(taken), seed))
        if len(taken) >= size:
            break
    return sorted(taken.difference(before))


_LAYERS = 5


def _layers(point: Point, aim: Aim) -> tuple[object, ...]:
    """Return what a point is one of, from the coarse to the fine."""
    hit = aim.second or aim.first
    return ((point.path, point.line), aim.signum, place_of(hit), _surroundings(hit), point.id)


def evenly(items: list[T], size: int, seed: int = 0) -> list[T]:
    """Take ``size`` items, evenly spread; each seed begins one item further than the one before."""
    number = len(items)
    if size >= number:
        return items
    return [items[(index * number + seed * size % number) // size] for index in range(size)]


Ordinals = dict[Place, int]
"""Place -> which of the places of its kind on its line it is."""


def ordinals_of(hits: list[Hit]) -> Ordinals:
    """Number the places of one kind on one line, in the order of the source."""
    lines: dict[tuple[str, int, str], dict[Place, tuple[int, ...]]] = {}
    for hit in hits:
        place = place_of(hit)
        places = lines.setdefault((hit.code.co_filename, hit.line, hit.kind), {})
        if place not in places:
            places[place] = _position(hit)
    return {
        place: number
        for places in lines.values()
        for number, place in enumerate(sorted(places, key=places.__getitem__), 1)
    }


def _position(hit: Hit) -> tuple[int, ...]:
    """Return where a hit stands in the source: column of its end, then of its code object and instruction."""
    return (*end_of(hit.code, hit.offset), hit.code.co_firstlineno, hit.offset)


def point_of(hit: Hit, signum: int, names: Names, ordinals: Ordinals) -> Point:
    """Return the point for one interrupt at ``hit``."""
    mechanism = mechanism_of(signum)
    ordinal = ordinals[place_of(hit)]
    path = names.short(hit.code.co_filename)
    place = f"{path}:{hit.line}:{hit.kind}{f'.{ordinal}' if ordinal > 1 else ''}#{hit.number}"
    return Point(
        id=place + mechanism.suffix(signum),
        path=path,
        file=os.path.abspath(hit.code.co_filename),
        line=hit.line,
        kind=hit.kind,
        hit=hit.number,
        function=hit.code.co_qualname,
        context=tuple(names.frame(code, line) for code, line in hit.context),
        defect=known_defect(hit),
        signal=mechanism.label(signum),
        cleanup=cleanup.is_cleanup(hit),
    )
