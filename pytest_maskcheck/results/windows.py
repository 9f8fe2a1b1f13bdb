"""Windows: the stretches of code in which an interrupt leads into a defect, and what an interrupt just after one does.

A window is what a mask would have to cover. It begins at the first point of the defect in a calling context and ends at the last one, as
the run came to them. Its function is the innermost one that all of its points have in common: if a function acquires something and
returns it, the window is in its caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_maskcheck.results.audit import Audit
    from pytest_maskcheck.results.values import Defect, Frame, Point


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of one function.

    Parameters:
        path, file: that of the function, as shown in reports and absolute.
        function: its qualified name.
        first, last: the lines from the first to the last point.
        after: the point that follows, if it was audited and an interrupt there led to nothing that fails; else ``None``.
    """

    path: str
    file: str
    function: str
    first: int
    last: int
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
            clean = not any(finding.fails for finding in result.findings)
            found.append(_window(stretch, point if clean else None))
            stretch = []
    if stretch:
        found.append(_window(stretch, None))
    merged: dict[tuple[str, str, int, int], Window] = {}
    for each in found:
        former = merged.setdefault((each.file, each.function, each.first, each.last), each)
        if each.after is None and former.after is not None:
            merged[each.file, each.function, each.first, each.last] = each
    return tuple(merged.values())


def _window(points: Sequence[Point], after: Point | None) -> Window:
    frames = [*_in_common(points)]
    lines = [frame.line for frame in frames]
    place = frames[0]
    return Window(place.path, place.file, place.function, min(lines), max(lines), after)


def _in_common(points: Sequence[Point]) -> Iterator[Frame]:
    """Return, for each point, the line of the innermost function that all of them are in or below."""
    ways = [point.traceback for point in points]
    depth = 0
    for level in zip(*ways, strict=False):  # the shortest way ends it
        if len({(frame.file, frame.function) for frame in level}) > 1:
            break
        depth += 1
        if len({frame.line for frame in level}) > 1:  # below, these are different calls
            break
    return (way[max(depth - 1, 0)] for way in ways)
