"""Records each time that a line begins: the places of the modes ``line`` and ``raise``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.interrupts.cpython.frames import caller_frame
from pytest_maskcheck.interrupts.cpython.positions import line_of
from pytest_maskcheck.interrupts.signals.monitoring.recorder import OURS, Recorder
from pytest_maskcheck.system.unpatched import threading

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

    from pytest_maskcheck.interrupts.places import InScope
    from pytest_maskcheck.interrupts.signals.states import SignalRecording

_monitoring = sys.monitoring
_events = _monitoring.events

_OURS = OURS | {__file__}


class LineRecorder(Recorder):
    """Records hits of kind ``line``. No probe is sent: in these modes the beginning of a line is a place, whether or not CPython checks."""

    local = _events.LINE

    def __init__(self, tool: int, in_scope: InScope, recording: SignalRecording) -> None:
        super().__init__(tool, in_scope, recording)
        self._begun = 0  # the frame, by ``id``, whose first line was recorded at its entry

    def callbacks(self) -> dict[int, Callable[..., object]]:
        return {
            _events.PY_START: self._start,
            _events.PY_RESUME: self._resume,
            _events.PY_THROW: self._throw,
            _events.LINE: self._line,
        }

    def stop(self) -> None:
        super().stop()
        self._begun = 0

    def _start(self, code: CodeType, offset: int) -> object:
        if code.co_filename in _OURS:
            return _monitoring.DISABLE
        self.recording.begins(code)
        # ``def f(): return 1`` fires no LINE on 3.13 and later.
        if self.enter(code) and facts.starts_on_its_line(code, offset) and threading.get_ident() == self.main:
            frame = caller_frame()
            self._begun = id(frame)
            self.recording.add("line", offset, frame, self.in_scope, self.count("PY_START", code, offset))
        return None

    def _resume(self, code: CodeType, _: int) -> None:
        self.recording.running = 0
        self.enter(code)

    def _throw(self, code: CodeType, _: int, __: object) -> None:
        self.recording.running = 0
        self.enter(code)  # a generator that was suspended when the recording began may have this as its first event

    def _line(self, code: CodeType, line: int) -> None:
        if threading.get_ident() != self.main:
            self.recording.other_threads.add((code.co_filename, line))
            return
        frame = caller_frame()
        trigger = self.count("LINE", code, line)
        if id(frame) != self._begun or line != line_of(code, facts.resume_of(code)):
            self.recording.add("line", frame.f_lasti, frame, self.in_scope, trigger)
        self._begun = 0
