"""Frames and tracebacks, walked link by link."""

from __future__ import annotations

from sys import _getframe
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType


def stack(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield ``frame`` and its callers, innermost first."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def caller_frame(depth: int = 1) -> FrameType:
    """Return the frame ``depth`` levels above the caller of this function."""
    return _getframe(depth + 1)


def walk(traceback: TracebackType | None) -> Iterator[TracebackType]:
    """Yield the entries of a traceback, outermost first."""
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next
