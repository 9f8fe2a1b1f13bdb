"""Uses ``sys.monitoring`` to report to a :class:`~pytest_maskcheck.interrupts.catching.Catching` which handlers an interrupt enters."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.cpython import tools
from pytest_maskcheck.interrupts.cpython.frames import caller_frame
from pytest_maskcheck.system.unpatched import threading

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from pytest_maskcheck.interrupts.catching import Catching

_monitoring = sys.monitoring
_events = _monitoring.events


class MonitoredCatching:
    """A phase of the engine; see :class:`~pytest_maskcheck.interrupts.engine.Phase`.

    Parameters:
        tool: the number of the tool.
        catching: receives the reports.
    """

    def __init__(self, tool: int, catching: Catching) -> None:
        self._tool = tool
        self._catching = catching
        self._main = threading.main_thread().ident
        self._watched: dict[int, CodeType] = {}

    def start(self, frame: FrameType | None) -> None:
        """Begin when the interrupt lands in ``frame``."""
        self._catching.begins(frame)
        for event, callback in (
            (_events.EXCEPTION_HANDLED, self._handled),
            (_events.PY_UNWIND, self._unwind),
            (_events.PY_START, self._start),
            (_events.INSTRUCTION, self._instruction),
        ):
            _monitoring.register_callback(self._tool, event, callback)
        events = _events.EXCEPTION_HANDLED | _events.PY_UNWIND | _events.PY_START
        if self._catching.retells:
            _monitoring.register_callback(self._tool, _events.LINE, self._line)
            events |= _events.LINE
        _monitoring.set_events(self._tool, events)

    def stop(self) -> None:
        """Stop watching."""
        if self._tool in tools.ARMED:
            _monitoring.set_events(self._tool, 0)
            for code in self._watched.values():
                _monitoring.set_local_events(self._tool, code, 0)
            # Other phases have no callbacks for these events, so none would replace these.
            _monitoring.register_callback(self._tool, _events.EXCEPTION_HANDLED, None)
            if self._catching.retells:
                _monitoring.register_callback(self._tool, _events.LINE, None)
        self._watched.clear()

    def _is_main(self) -> bool:
        return threading.get_ident() == self._main and self._tool in tools.ARMED

    def _handled(self, code: CodeType, offset: int, error: BaseException) -> None:
        if self._is_main() and self._catching.is_interrupt(error) and self._catching.handled(caller_frame(), offset):
            # Watch only this code, and only until it is clear which clause matched: each instruction costs a callback.
            self._watched[id(code)] = code
            _monitoring.set_local_events(self._tool, code, _events.INSTRUCTION)

    def _instruction(self, code: CodeType, offset: int) -> None:
        if self._is_main() and not self._catching.runs(caller_frame(), offset):
            self._watched.pop(id(code), None)
            _monitoring.set_local_events(self._tool, code, 0)

    def _line(self, code: CodeType, line: int) -> None:
        if self._is_main():
            self._catching.line(code, line)

    def _start(self, _: CodeType, __: int) -> None:
        if self._is_main():
            self._catching.starts(caller_frame())

    def _unwind(self, _: CodeType, __: int, error: BaseException) -> None:
        if self._is_main() and self._catching.is_interrupt(error):
            self._catching.left(caller_frame())
