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


def drawn(frames: Sequence[Frame], message: str, story: str = "") -> Any:
    """Return a traceback as pytest would draw it.

    Parameters:
        frames: outermost first.
        message: what went wrong; its first line goes to the short summary.
        story: lines below the message.
    """
    text = ["E   " + line for line in [*message.splitlines(), *story.splitlines()]]
    entries = []
    for position, frame in enumerate(frames):
        source = linecache.getlines(frame.file)[max(0, frame.line - _BEFORE) : frame.line]
        start = next((at for at in reversed(range(len(source))) if _HEADING.match(source[at])), 0)
        lines = ["    " + line.rstrip() for line in source[start:]]
        if lines:
            lines[-1] = ">" + lines[-1][1:]
        last = position == len(frames) - 1
        if last:
            lines += text
        place = ReprFileLocation(frame.path, frame.line, message.splitlines()[0] if last else "")
        entries.append(ReprEntry(lines, None, None, place, "long"))
    if not entries:
        entries.append(ReprEntry(text, None, None, None, "short"))
    crash = ReprFileLocation(frames[-1].path, frames[-1].line, message) if frames else ReprFileLocation("", 0, message)
    return ExceptionChainRepr([(ReprTraceback(entries, None, "long"), crash, None)])
