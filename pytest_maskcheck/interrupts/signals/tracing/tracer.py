"""The base class of the engine's phases: it chooses which frames to trace, and for which events."""

from __future__ import annotations

from collections.abc import Callable
from sys import gettrace, settrace
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.interrupts.arming import arming
from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.interrupts.cpython.frames import stack
from pytest_maskcheck.interrupts.cpython.probe import HANDLER
from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType

    from pytest_maskcheck.interrupts.places import InScope, Mode

TraceFunction = Callable[["FrameType", str, Any], Any]


class Tracer:
    """Chooses which frames to trace, and for which events."""

    def __init__(self, in_scope: InScope, mode: Mode) -> None:
        self.in_scope = in_scope
        self.mode = mode

    def watches(self, code: CodeType) -> bool:
        """Return whether the calls, jumps and lines of ``code`` are watched."""
        return self.in_scope(code.co_filename)

    def enter(self, frame: FrameType, _: str, __: object) -> TraceFunction | None:
        """Trace function for ``call`` events: a function is entered, or a generator resumed."""
        code = frame.f_code
        if self.watches(code):
            opcodes = self.mode == "checkpoint"
            frame.f_trace_opcodes, frame.f_trace_lines = opcodes, not opcodes
            if opcodes and facts.checks_on_resume(code, frame.f_lasti):
                return self.entered(frame)
            return self.resumed(frame) if opcodes else self.local
        # A call by code in scope may check when this function returns.
        caller = frame.f_back
        if self.mode == "checkpoint" and code is not HANDLER and caller is not None and self.called(caller):
            frame.f_trace_lines = False
            return self.local
        return None

    def called(self, frame: FrameType) -> bool:
        """Return whether ``frame`` is watched and stands at a call."""
        return self.watches(frame.f_code) and facts.is_call(frame.f_code, frame.f_lasti)

    def start(self, frame: FrameType | None) -> None:
        """Begin while ``frame`` and its callers are running; see :class:`~pytest_maskcheck.interrupts.engine.Phase`."""
        opcodes = self.mode == "checkpoint"
        # ``settrace`` alone would see only functions that begin from now on.
        for running in stack(frame):
            if self.watches(running.f_code):
                running.f_trace_opcodes, running.f_trace_lines = opcodes, not opcodes
                running.f_trace = self.local
            elif opcodes and running.f_back is not None and self.called(running.f_back):
                running.f_trace_lines = False
                running.f_trace = self.local
        settrace(self.enter)

    def stop(self) -> None:
        """Do nothing: the engine removes the trace function."""

    def entered(self, frame: FrameType) -> TraceFunction | None:
        """Act on a function entry or a resumption; return the trace function of the frame."""
        raise NotImplementedError

    def resumed(self, _: FrameType) -> TraceFunction | None:
        """Act on a resumption that is not a checkpoint; return the trace function of the frame."""
        return self.local

    def local(self, frame: FrameType, event: str, value: object) -> Any:
        """Trace function for the events within a frame."""
        raise NotImplementedError


def untrace() -> None:
    """Stop tracing: in a forked child, and after the user's Ctrl-C arrived as tracing was about to end."""
    # A debugger or coverage.py may trace as well: remove only a trace function of ours.
    if isinstance(getattr(gettrace(), "__self__", None), Tracer):
        settrace(None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=untrace)


@arming
def tracing(tracer: Tracer) -> Iterator[None]:
    """Trace the body of the ``with`` statement."""
    before = gettrace()
    settrace(tracer.enter)
    try:
        yield
    finally:
        settrace(before)
