"""Read tracebacks with as few audit events as possible, as the test may have a hook: entries, and which are the harness's."""

from __future__ import annotations

from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from pytest_maskcheck.interrupts.cpython.positions import line_of
from pytest_maskcheck.system.own_code import is_our_module
from pytest_maskcheck.system.untrusted import traceback_of as kept_traceback

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType


class Entry(NamedTuple):
    """An entry of a traceback, taken apart once: each reading of ``tb_frame`` and of ``f_code`` raises an audit event."""

    traceback: TracebackType
    frame: FrameType
    code: CodeType

    @property
    def line(self) -> int:
        """Its line; ``tb_lineno`` is None at a jump for which the compiler recorded none."""
        return line_of(self.code, self.traceback.tb_lasti)


def walk(traceback: TracebackType | None) -> Iterator[TracebackType]:
    """Yield the entries of a traceback, outermost first."""
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def entries_of(error: BaseException) -> list[Entry]:
    """Return the entries of the traceback of ``error``, outermost first."""
    return [Entry(traceback, frame := traceback.tb_frame, frame.f_code) for traceback in walk(kept_traceback(error))]


def traceback_of(entries: list[Entry]) -> TracebackType | None:
    """Return a traceback of these entries, for a debugger to stop at the interrupted line."""
    traceback = None
    for entry in reversed(entries):
        traceback = TracebackType(traceback, entry.frame, entry.traceback.tb_lasti, entry.line)
    return traceback


def is_harness(frame: FrameType) -> bool:
    """Return whether the frame is this package's or pytest's way to the test."""
    module = frame.f_globals.get("__name__", "")
    # A subclass of ``str`` may be the test's, and hash as it likes.
    return _is_of_harness(module) if type(module) is str else is_our_module(module)


@lru_cache(1000)
def _is_of_harness(module: str) -> bool:
    return is_our_module(module) or module.startswith(("_pytest.", "pluggy."))
