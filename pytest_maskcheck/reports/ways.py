"""The way of a defect, as data: from where the thing came from to what the interrupt left behind, and the line at which to cure it.

Formats that can show places (SARIF, HTML) make their own pictures of it; the sentences are the same in all of them. A traceback shows
where the interrupt surfaced, so the frames above it are those that it left. No run recorded what a hanging or crashed one left, nor what code
in C did with an interrupt, so their ways have no such stages.
"""

from __future__ import annotations

import linecache
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import takewhile
from typing import TYPE_CHECKING

from pytest_maskcheck.reports.defects import title
from pytest_maskcheck.reports.source_content import is_other
from pytest_maskcheck.results import Verdict
from pytest_maskcheck.results.windows import windows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_maskcheck.results import Audit, Defect, Frame, Point
    from pytest_maskcheck.results.windows import Window


class StageKind(StrEnum):
    """What happened at one stage of a way, in the order of most ways."""

    ACQUIRED = "acquired"
    """The thing was acquired, created or changed on this line."""

    INTERRUPTED = "interrupted"
    """The interrupt arrived on this line; of two interrupts, each has its stage."""

    UNWOUND = "unwound"
    """The exception left a function at this line."""

    CALLED = "called"
    """The run that hung or crashed later called a function on this line, which led there; it may be that of a fixture."""

    CAUGHT = "caught"
    """An ``except`` or a ``finally`` on this line caught the interrupt."""

    LEFT = "left"
    """What was wrong then; for a run that hung or crashed, the line where it did."""

    HELD = "held"
    """What still refers to the thing."""

    BLOCKS = "blocks"
    """Whoever comes to this line next waits for ever."""


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch of source.

    Parameters:
        path: file as shown in reports.
        file: the absolute path.
        line, end_line: its first and its last line, from 1.
        function: the qualified name of the function.
        column, end_column: its first character and the one behind its last, from 1; 0 if the source cannot be read or has changed since the
            audit. Where no call is known, these are those of what is written on the line.
    """

    path: str
    file: str
    line: int
    function: str
    end_line: int
    column: int = 0
    end_column: int = 0


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a way.

    Parameters:
        kind: what happened.
        text: that as a sentence.
        region: where; ``None`` if it is about no line.
    """

    kind: StageKind
    text: str
    region: Region | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """The way of a defect at its first point.

    Parameters:
        stages: what happened, in order.
        cure_at: the line at which to cure it: where the interrupt is caught if that is wrong, else where a window begins.
        windows: the windows, without those of which a run has shown that a mask over them does not help.
    """

    stages: tuple[Stage, ...]
    cure_at: Region
    windows: tuple[Window, ...] = ()

    def of(self, *kinds: StageKind) -> tuple[Stage, ...]:
        """Return the stages of some kinds."""
        return tuple(stage for stage in self.stages if stage.kind in kinds)


def way(audit: Audit, defect: Defect) -> Way:
    """Return the way of a defect as a test meets it.

    Parameters:
        audit: that of the test; for a defect over tests, that of its meeting ``cheapest``.
        defect: a defect of this audit.
    """
    found = tuple(window for window in windows(audit, defect) if window.proven is not False)
    others: dict[str, bool] = {}  # files that are no longer those that were audited

    def whole(region: Region) -> Region:
        """Return a region without columns if they are those of another text."""
        if region.path in audit.digests and region.file not in others:
            others[region.file] = is_other(region.file, audit.digests[region.path])
        return replace(region, column=0, end_column=0) if others.get(region.file) else region

    stages = (replace(each, region=each.region and whole(each.region)) for each in _stages(defect))
    return Way(tuple(stages), whole(_cure_at(defect, found)), found)


def sentence(text: str) -> str:
    """Return a text that begins and ends as a sentence does."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def line_region(path: str, file: str, line: int, function: str) -> Region:
    """Return the region of what is written on a line."""
    source = _source(file, line).rstrip()
    indent = len(source) - len(source.lstrip())
    column, end = (indent + 1, len(source) + 1) if source else (0, 0)
    return Region(path, file, line, function, line, column, end)


def _stages(defect: Defect) -> Iterator[Stage]:
    origin, swallowed = defect.origin, defect.verdict is Verdict.SWALLOWED
    if origin is not None and not swallowed:
        how = "Changed" if defect.verdict is Verdict.ALTERED else "Acquired"
        yield Stage(
            StageKind.ACQUIRED, f"{how} here: {defect.kind} {defect.key}".rstrip() + ".", _of_frame(origin.place)
        )
    yield from _interrupts(defect.points[0])
    for frame in _unwound(defect):
        yield Stage(StageKind.UNWOUND, f"The exception leaves {frame.function} here.", _of_frame(frame))
    if origin is not None and swallowed:
        yield Stage(StageKind.CAUGHT, "The interrupt is caught here.", _of_frame(origin.place))
    callers, end = _end(defect)
    for frame in callers:
        yield Stage(
            StageKind.CALLED, f"Later, {frame.function} makes a call here that does not return.", _of_frame(frame)
        )
    left = sentence(defect.detail or title(defect))
    yield Stage(StageKind.LEFT, left, _of_frame(end) if end is not None else None)
    if origin is not None and origin.held_by:
        yield Stage(StageKind.HELD, f"It is held by {origin.held_by}.")
    for frame in origin.waiting if origin is not None else ():
        yield Stage(StageKind.BLOCKS, "Whoever acquires it next waits here for ever.", _of_frame(frame))


def _interrupts(point: Point) -> Iterator[Stage]:
    if point.first is None:
        yield Stage(StageKind.INTERRUPTED, f"{point.signal} arrives here.", _of_point(point))
        return
    yield Stage(StageKind.INTERRUPTED, f"A first {point.first.signal} arrives here.", _of_point(point.first))
    yield Stage(StageKind.INTERRUPTED, f"A second {point.signal} arrives here.", _of_point(point))


def _unwound(defect: Defect) -> Sequence[Frame]:
    """Return the frames that the exception left, innermost first, without the interrupted line, which has a stage of its own."""
    if _ended(defect) or (defect.verdict is Verdict.SWALLOWED and defect.origin is None):
        return ()
    point = defect.points[0]
    frames = defect.traceback[::-1]
    if frames and (frames[0].file, frames[0].line) == (point.file, point.line):
        frames = frames[1:]
        # The function that catches an interrupt of its own is not left.
        if _catches(defect, point.file, point.function):
            return ()
    return [*takewhile(lambda frame: not _catches(defect, frame.file, frame.function), frames)]


def _catches(defect: Defect, file: str, function: str) -> bool:
    """Return whether a function is the one that caught the interrupt."""
    if defect.verdict is not Verdict.SWALLOWED or defect.origin is None:
        return False
    return (file, function) == (defect.origin.place.file, defect.origin.place.function)


def _ended(defect: Defect) -> bool:
    """Return whether the run hung or crashed; its traceback then leads to the place where it did."""
    return defect.verdict in {Verdict.HANG, Verdict.CRASH}


def _end(defect: Defect) -> tuple[Sequence[Frame], Frame | None]:
    """Return the calls that led to where a run hung or crashed, without those that led to the interrupt already, and that place."""
    way = defect.traceback
    # The key names the place. If it was not known, the traceback is that of the interrupt.
    if not _ended(defect) or not way or defect.key != f"{way[-1].path}:{way[-1].line}":
        return (), None
    to_point = [(frame.path, frame.line) for frame in defect.points[0].traceback]
    common = sum(
        1 for _ in takewhile(lambda pair: (pair[0].path, pair[0].line) == pair[1], zip(way, to_point, strict=False))
    )
    return way[common:-1], way[-1]


def _cure_at(defect: Defect, found: Sequence[Window]) -> Region:
    if defect.verdict is Verdict.SWALLOWED and defect.origin is not None:
        return _of_frame(defect.origin.place)
    if found:
        window = min(found, key=lambda each: not each.proven)
        return line_region(window.path, window.file, window.since, window.function)
    # Points with two interrupts, or of a first run, have no windows.
    return _of_frame(defect.origin.place) if defect.origin is not None else _of_point(defect.points[0])


def _of_frame(frame: Frame) -> Region:
    return line_region(frame.path, frame.file, frame.line, frame.function)


def _of_point(point: Point) -> Region:
    """Return the region of the call that a point is at, if that is known, else of its line."""
    region = line_region(point.path, point.file, point.line, point.function)
    if point.span is None:
        return region
    first, last = (_source(point.file, line) for line in (point.line, point.span.end_line))
    column, end = _character(first, point.span.start), _character(last, point.span.end)
    return replace(region, end_line=point.span.end_line, column=column, end_column=end) if column and end else region


def _source(file: str, line: int) -> str:
    try:
        return linecache.getline(file, line)
    except ValueError:  # no name that a file can have: a report may come from anywhere
        return ""


def _character(source: str, column: int) -> int:
    """Return the number of a character, from 1, whose column is given in bytes of UTF-8; 0 if the line is not so long."""
    text = source.rstrip("\n").encode("utf-8", "surrogatepass")
    return len(text[:column].decode("utf-8", "replace")) + 1 if column <= len(text) else 0
