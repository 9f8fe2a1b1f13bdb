"""The ids of points, and the short names of files in them.

An id is ``path:line:kind#hit``: ``src/pkg/store.py:12:call#1`` is the first time that the main thread reaches the first call on
line 12. Further calls on the line are ``call.2``, ``call.3`` and so on, in source order. For a signal other than SIGINT,
the id ends with its name: ``src/pkg/store.py:12:call#1@SIGTERM``. A point that only the first run in a process reaches is
``src/pkg/store.py:12:call#1~first``. Two interrupts in one run are ``first>second``, where hits of the second are counted from
the first interrupt on; see ``pairs.py``.
"""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, get_args

from pytest_maskcheck.interrupts import PlaceKind, known_defect, mechanism_of, parse
from pytest_maskcheck.interrupts.cpython.codes import number_of
from pytest_maskcheck.interrupts.cpython.positions import columns_of, end_of
from pytest_maskcheck.points.cleanup_calls import is_cleanup
from pytest_maskcheck.results import Frame, Point, Span
from pytest_maskcheck.system.bytecode import per_code
from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from types import CodeType

    from pytest_maskcheck.interrupts import Hit

FIRST = "~first"
"""The suffix of a place, in an id, that only the first run in a process reaches; see ``first_use.py``."""

_PLACE = rf"[^>]+:\d+:(?:{'|'.join(get_args(PlaceKind))})(?:\.\d+)?#\d+(?:{FIRST})?"
ID = re.compile(rf"(?P<first>{_PLACE}(?:@(?P<signal>[A-Z0-9+]+))?)(?:>(?P<second>{_PLACE}))?")
"""The form of a point's id."""

_AT_CALLS = {"call", "into", "back"}

_LONGEST = 10_000
"""The maximum length of an id: two paths, each at most as long as the system allows, and their suffixes."""


def is_id(text: str) -> bool:
    """Return whether ``text`` has the form of a point's id, and names an interrupt that can be sent."""
    form = ID.fullmatch(text) if len(text) <= _LONGEST else None
    try:
        return form is not None and bool(parse(form["signal"] or ""))
    except ValueError:
        return False


class Names:
    """Short names for files: relative to the root directory, else to the entry of ``sys.path`` that they come from."""

    def __init__(self, root: str) -> None:
        """Take the root directory, which need not exist."""
        self._roots = [root, *sorted((p for p in map(os.path.abspath, sys.path)), key=len, reverse=True)]
        self.short = lru_cache(maxsize=None)(self._short)
        self.frame = per_code(self._frame)

    def _short(self, filename: str) -> str:
        path = os.path.abspath(filename)
        # The root comes first, but installed code is named as it is imported, even in an environment below the root.
        for root in self._roots:
            if path.startswith(root.rstrip(os.sep) + os.sep) and "site-packages" not in path[len(root) :]:
                return os.path.relpath(path, root)
        return path

    def _frame(self, code: CodeType, line: int) -> Frame:
        """Return the frame of a report for a line of ``code``."""
        return Frame(self.short(code.co_filename), line, code.co_qualname, os.path.abspath(code.co_filename))


Place = tuple[int, int, str]
"""A place as a key: number of the code object, offset and kind."""


def place_of(hit: Hit) -> Place:
    """Return the key of a hit's place."""
    return (number_of(hit.code), hit.offset, hit.kind)


Ordinals = dict[Place, int]
"""Place -> its number among the places of its kind on its line."""


def ordinals_of(hits: list[Hit]) -> Ordinals:
    """Number the places of one kind on one line, in source order."""
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
    """Return the sort key of a hit in the source: the end of its expression, the first line of its code object, and its offset."""
    # The end of the expression comes first because nested calls are made from the inside out.
    return (*end_of(hit.code, hit.offset), hit.code.co_firstlineno, hit.offset)


def point_of(hit: Hit, signum: int, names: Names, ordinals: Ordinals) -> Point:
    """Return the point for one interrupt at ``hit``."""
    ordinal = ordinals[place_of(hit)]
    mechanism = mechanism_of(signum)
    path = names.short(hit.code.co_filename)
    # Runs that are interrupted there find it in the cache: made by each of them, frames would be walked with all new objects after each run.
    names.frame(hit.code, hit.line)
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
        cleanup=is_cleanup(hit),
        span=_span(hit),
    )


def _span(hit: Hit) -> Span | None:
    """Return the source of the call that a hit is at. Other instructions, such as a jump, are seldom where readers would look for them."""
    if hit.kind not in _AT_CALLS:
        return None
    line, end_line, start, end = columns_of(hit.code, hit.offset)
    # A table of positions that a tool has replaced may be about anything.
    return Span(start, end, end_line) if line == hit.line and (line, start) < (end_line, end) else None
