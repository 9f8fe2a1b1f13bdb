"""Draw a traceback as pytest would, from recorded frames: those of the interrupted run are gone, or in another process."""

from __future__ import annotations

import linecache
import re
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.session.private import ExceptionChainRepr, ReprEntry, ReprFileLocation, ReprTraceback

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_maskcheck.results import Frame

_BEFORE = 10
"""Lines of source shown up to the interrupted one, at most; none before the head of its function."""

_HEADING = re.compile(r"\s*(async\s+)?def\s|\s*class\s")


def drawn(frames: Sequence[Frame], message: str, story: str = "", *, long: bool = False) -> Any:
    """Return a traceback as pytest would draw it.

    Parameters:
        frames: outermost first.
        message: what went wrong; its first line goes to the short summary.
        story: lines below the message.
        long: show the source above each line, as ``--tb=long`` does; else that line alone, as ``--tb=short`` does.
    """
    text = ["E   " + line for line in [*message.splitlines(), *story.splitlines()]]
    entries = [(_long if long else _short)(frame) for frame in frames]
    if entries:
        entries[-1].lines = [*entries[-1].lines, *text]
    else:
        entries.append(ReprEntry(text, None, None, None, "short"))
    if long and frames:
        entries[-1].reprfileloc = ReprFileLocation(frames[-1].path, frames[-1].line, message.splitlines()[0])
    crash = ReprFileLocation(frames[-1].path, frames[-1].line, message) if frames else ReprFileLocation("", 0, message)
    return ExceptionChainRepr([(ReprTraceback(entries, None, "long" if long else "short"), crash, None)])


def _long(frame: Frame) -> ReprEntry:
    source = linecache.getlines(frame.file)[max(0, frame.line - _BEFORE) : frame.line]
    start = next((at for at in reversed(range(len(source))) if _HEADING.match(source[at])), 0)
    lines = ["    " + line.rstrip() for line in source[start:]]
    if lines:
        lines[-1] = ">" + lines[-1][1:]
    return ReprEntry(lines, None, None, ReprFileLocation(frame.path, frame.line, ""), "long")


def _short(frame: Frame) -> ReprEntry:
    line = linecache.getline(frame.file, frame.line).strip()
    place = ReprFileLocation(frame.path, frame.line, f"in {frame.function.rpartition('.')[2]}")
    return ReprEntry([f"    {line}"] if line else [], None, None, place, "short")
