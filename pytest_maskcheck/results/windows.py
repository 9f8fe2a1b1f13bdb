"""Windows: the stretches of code in which an interrupt leads into a defect, and where it arrives if it is held back for so long.

A window is what a mask would have to cover. It begins at the first point of the defect in a calling context and ends at the last one, as
the run came to them. Its function is the innermost one that all of its points have in common: if a function acquires something and
returns it, the window is in its caller.

A mask ends with a line, and an interrupt that it has held back arrives at the next point. So a mask must cover the line of the first
point where nothing is lost, as the thing is released on the way there, and the interrupt arrives at the next point on another
line. If something is lost there, too, the mask has to cover that as well. Whether nothing is lost then, a run shows
(:mod:`pytest_maskcheck.audit.held_back`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_maskcheck.results.audit import Audit
    from pytest_maskcheck.results.values import Defect, Frame, Point

_FURTHER = 16
"""How many times a mask is extended over further defects; beyond that, it extends to the end of the test."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of one function.

    Parameters:
        path, file: that of the function, as shown in reports and absolute.
        function: its qualified name.
        first, last: the lines from the first to the last point.
        since, until: the lines that a mask would have to cover. It begins where the thing came to be, if that is known and was in this
            function: there may be no point on that line. Without an ``until``, it extends to the end of the function.
        begins: the first point.
        after: the point where an interrupt arrives that such a mask has held back; ``None``: that is after the test.
        proven: a run has shown that nothing is lost then, or (``False``) that something is, or no mask may be there; ``None`` if no run was
            made, or the line where it arrives has other points with the defect.
    """

    path: str
    file: str
    function: str
    first: int
    last: int
    since: int
    until: int | None
    begins: Point
    after: Point | None
    proven: bool | None = None

    @property
    def lines(self) -> str:
        """Its lines, such as ``16-24``."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    @property
    def reach(self) -> float:
        """The last line of the mask, to compare it with that of others."""
        return float("inf") if self.until is None else self.until


@dataclass(frozen=True, slots=True)
class _Row:
    """A point that was audited.

    Parameters:
        point: the point.
        lost: it belongs to the defect.
        clean: nothing that fails was found there.
    """

    point: Point
    lost: bool
    clean: bool


def windows(audit: Audit, defect: Defect) -> tuple[Window, ...]:
    """Return the windows of a defect of an audit, each once. Points with two interrupts, or of a first run, belong to none.

    Of a stretch that the run comes to several times, the one that needs the longest mask stands for all of them.
    """
    losing = {point.id for point in defect.points}
    tried = {(each.begins, each.after): each.clean for each in audit.held_back}
    found: dict[tuple[str, str, int, int], Window] = {}
    for signal in dict.fromkeys(point.signal for point in defect.points):
        rows = [
            _Row(point, point.id in losing, not any(finding.fails for finding in result.findings))
            for point, result in zip(audit.points, audit.results, strict=True)
            if point.signal == signal and point.first is None and not point.first_use and not result.reason
        ]
        for start, end in _stretches(rows):
            made = _window(rows, start, end)
            key = (made.file, made.function, made.first, made.last)
            if key not in found or found[key].reach < made.reach:
                name = made.after.id if made.after is not None else ""
                proven = tried.get((made.begins.id, name))
                if proven and _is_lost_there(rows, made.after):
                    proven = None
                found[key] = replace(made, since=_since(defect, made), proven=proven)
    return tuple(found.values())


def _is_lost_there(rows: Sequence[_Row], after: Point | None) -> bool:
    """Return whether the defect is met on the line where the interrupt arrives, at another turn of a loop or in another call.

    The run has shown what happens at one of them. That nothing is lost on that line would not be true.
    """
    return after is not None and any(
        row.lost and (row.point.file, row.point.line) == (after.file, after.line) for row in rows
    )


def _since(defect: Defect, window: Window) -> int:
    """Return the line of the window's function that led to the origin, if that was before the window; else its first line."""
    stack = defect.origin.stack if defect.origin is not None else ()
    lines = [frame.line for frame in stack if (frame.file, frame.function) == (window.file, window.function)]
    return min([*lines[-1:], window.first])


def _stretches(rows: Sequence[_Row]) -> list[tuple[int, int]]:
    """Return the first and the next position of each stretch of points of the defect."""
    edges = [
        number
        for number, (before, row) in enumerate(zip([None, *rows], [*rows, None], strict=True))
        if (before is not None and before.lost) != (row is not None and row.lost)
    ]
    return [*zip(edges[::2], edges[1::2], strict=True)]


def _window(rows: Sequence[_Row], start: int, end: int) -> Window:
    ways = [row.point.traceback for row in rows]
    arrival, released = end, _next_clean(rows, end)
    depth, until = 0, None
    for _ in range(_FURTHER):
        depth = _depth(ways[start : released or len(rows)])
        home = _function(ways[start], depth)
        if released is None or _function(ways[released], depth) != home:
            arrival, until = released or len(rows), None
            break
        until = ways[released][depth].line
        arrival = released
        while arrival < len(rows) and rows[arrival].clean and _is_on(ways[arrival], depth, home, until):
            arrival += 1
        if arrival == len(rows) or rows[arrival].clean:
            break
        released = _next_clean(rows, arrival)
    else:
        depth, until, arrival = _depth(ways[start:]), None, len(rows)
    lines = [way[depth].line for way in ways[start:end]]
    place = ways[start][depth]
    after = rows[arrival].point if arrival < len(rows) else None
    first = min(lines)
    return Window(place.path, place.file, place.function, first, max(lines), first, until, rows[start].point, after)


def _next_clean(rows: Sequence[_Row], start: int) -> int | None:
    return next((number for number in range(start, len(rows)) if rows[number].clean), None)


def _is_on(way: Sequence[Frame], depth: int, home: object, line: int) -> bool:
    """Return whether a point is on this line of this call of the function, or below."""
    return _function(way, depth) == home and way[depth].line == line


def _function(way: Sequence[Frame], depth: int) -> tuple[object, ...] | None:
    """Return what identifies the call of the function at a depth of a traceback: the calls that led to it, and the function."""
    if depth >= len(way):
        return None
    return (*way[:depth], way[depth].file, way[depth].function)


def _depth(ways: Sequence[Sequence[Frame]]) -> int:
    """Return how deep the innermost function lies that all of these points are in or below."""
    depth = 0
    for level in zip(*ways, strict=False):  # the shortest way ends it
        if len({(frame.file, frame.function) for frame in level}) > 1:
            break
        depth += 1
        if len({frame.line for frame in level}) > 1:  # below, these are different calls
            break
    return max(depth - 1, 0)
