"""Windows: the stretches of code in which an interrupt leads into a defect, and what an interrupt just after one does.

A window is what a mask would have to cover. It begins at the first point of the defect in a calling context and ends at the last one, as
the run came to them. Its function is the innermost one that all of its points have in common: if a function acquires something and
returns it, the window is in its caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_maskcheck.results.audit import Audit
    from pytest_maskcheck.results.values import Defect, Frame, Point


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of one function.

    Parameters:
        path, file: that of the function, as shown in reports and absolute.
        function: its qualified name.
        first, last: the lines from the first to the last point.
        until: the last line that a mask would have to cover: that of the point that follows, as the thing is released on the way there.
            If that is in another function, or nothing follows, it is ``last``.
        after: the point that follows, if it was audited and an interrupt there led to nothing that fails; else ``None``.
    """

    path: str
    file: str
    function: str
    first: int
    last: int
    until: int
    after: Point | None

    @property
    def lines(self) -> str:
        """Its lines, such as ``16-24``."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


def windows(audit: Audit, defect: Defect) -> tuple[Window, ...]:
    """Return the windows of a defect of an audit, each once. Points with two interrupts, or of a first run, belong to none.

    Of a stretch that the run comes to several times, the point that follows is told only if nothing is lost after any of them.
    """
    followed = [
        (point, result)
        for point, result in zip(audit.points, audit.results, strict=True)
        if point.first is None and not point.first_use
    ]
    losing = {point.id for point in defect.points}
    found: list[Window] = []
    stretch: list[Point] = []
    for point, result in followed:
        if point.id in losing:
            stretch.append(point)
        elif stretch and not result.reason:  # an undecided point does not end a window
            found.append(_window(stretch, point, clean=not any(finding.fails for finding in result.findings)))
            stretch = []
    if stretch:
        found.append(_window(stretch, None, clean=False))
    merged: dict[tuple[str, str, int, int], Window] = {}
    for each in found:
        former = merged.setdefault((each.file, each.function, each.first, each.last), each)
        if each.after is None and former.after is not None:
            merged[each.file, each.function, each.first, each.last] = each
    return tuple(merged.values())


def _window(points: Sequence[Point], following: Point | None, *, clean: bool) -> Window:
    ways = [point.traceback for point in points]
    depth = _depth(ways)
    lines = [way[depth].line for way in ways]
    place, last = ways[0][depth], max(lines)
    until = last
    if following is not None and _function(following.traceback, depth) == _function(ways[0], depth):
        until = max(last, following.traceback[depth].line)
    after = following if clean else None
    return Window(place.path, place.file, place.function, min(lines), last, until, after)


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
