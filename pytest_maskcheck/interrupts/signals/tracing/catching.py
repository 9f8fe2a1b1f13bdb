"""Uses ``sys.settrace`` to report to a :class:`~pytest_maskcheck.interrupts.catching.Catching` which handlers an interrupt enters."""

from __future__ import annotations

from sys import settrace
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.interrupts.cpython import facts, opcodes
from pytest_maskcheck.interrupts.cpython.frames import stack
from pytest_maskcheck.interrupts.places import OUTERMOST

if TYPE_CHECKING:
    from types import FrameType

    from pytest_maskcheck.interrupts.catching import Catching


class TracedCatching:
    """A phase of the engine; see :class:`~pytest_maskcheck.interrupts.engine.Phase`."""

    def __init__(self, catching: Catching) -> None:
        self._catching = catching
        self._carrying: set[int] = set()  # frames that the interrupt has entered, by ``id``

    def start(self, frame: FrameType | None) -> None:
        """Begin when the interrupt lands in ``frame``."""
        self._catching.begins(frame)
        for running in stack(frame):
            if id(running.f_code) in OUTERMOST:
                break
            running.f_trace, running.f_trace_lines = self._local, self._catching.retells
        settrace(self._enter)

    def stop(self) -> None:
        """Do nothing: the engine removes the trace function."""

    def _enter(self, frame: FrameType, _: str, __: object) -> Any:
        self._carrying.discard(id(frame))  # may be left over from a frame that has ended and had the same ``id``
        self._catching.starts(frame)
        frame.f_trace_lines = self._catching.retells
        return self._local

    def _local(self, frame: FrameType, event: str, about: Any) -> Any:
        if event == "exception":
            if self._catching.is_interrupt(about[1]):
                self._carrying.add(id(frame))
                frame.f_trace_opcodes = True
            else:
                self._carrying.discard(id(frame))
        elif event == "line":
            self._catching.line(frame.f_code, frame.f_lineno)
        elif event == "opcode":
            if id(frame) in self._carrying and facts.bytecode(frame.f_code)[frame.f_lasti] == opcodes.PUSH_EXC_INFO:
                self._catching.handled(frame, frame.f_lasti)
            else:
                self._catching.runs(frame, frame.f_lasti)
        # A frame that an exception leaves also has a ``return`` event, but not at an instruction that returns.
        elif event == "return" and id(frame) in self._carrying:
            self._carrying.discard(id(frame))
            if facts.bytecode(frame.f_code)[frame.f_lasti] not in opcodes.GOES:
                self._catching.left(frame)
        return self._local
