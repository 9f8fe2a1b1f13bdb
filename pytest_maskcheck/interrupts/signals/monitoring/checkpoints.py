"""Records every checkpoint that a run reaches: the places of the mode ``checkpoint``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import MethodType
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.cpython import facts, tools
from pytest_maskcheck.interrupts.cpython.entering import checks_on_return, with_checks_on_entering
from pytest_maskcheck.interrupts.cpython.frames import caller_frame
from pytest_maskcheck.interrupts.signals.monitoring.recorder import OURS, Recorder
from pytest_maskcheck.interrupts.signals.monitoring.stretches import GOES, Stretches
from pytest_maskcheck.system.unpatched import signal, threading
from pytest_maskcheck.system.wakeup_descriptor import NONE, wakeup_descriptor

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

    from pytest_maskcheck.interrupts.places import InScope, Trigger
    from pytest_maskcheck.interrupts.signals.states import SignalRecording

_monitoring = sys.monitoring
_events = _monitoring.events

_OURS = OURS | {__file__}


@dataclass(frozen=True, slots=True)
class _Probed:
    """The frame and trigger of the last probe. If CPython handles the probe in that frame, at the offset of the trigger, it is a place.

    Frames are identified by ``id``: a reference to a frame would keep alive what its function drops.

    Parameters:
        frame: the ``id`` of the frame.
        trigger: how to strike there.
        suffices: a probe handled there proves the place. If false, that also depends on how the call ends.
    """

    frame: int
    trigger: Trigger
    suffices: bool = True


class CheckpointRecorder(Recorder):
    """Records hits of all kinds but ``line``; for calls that may or may not check, a probe finds out."""

    local = _events.CALL | _events.JUMP  # C_RETURN and C_RAISE come with CALL

    def __init__(self, tool: int, in_scope: InScope, recording: SignalRecording) -> None:
        super().__init__(tool, in_scope, recording)
        with_checks_on_entering()  # cache the answer now: the first call must not happen in a callback
        self._probed: _Probed | None = None
        self._inside: _Probed | None = (
            None  # where the call under way has checked; valid until that call returns or raises
        )
        self._methods: dict[int, int] = {}  # frames, by ``id``, and where they call a bound method through ``*args``
        self._under_way: dict[int, int] = {}  # frames that had called something before the start, and where
        self._returning: dict[int, CodeType] = {}  # code whose returns are watched
        self._hears = False  # ``heard`` is running
        self._stretches = Stretches(self) if recording.outside else None
        if self._stretches is not None:
            self.local |= GOES
            self.everywhere |= _events.PY_UNWIND

    def callbacks(self) -> dict[int, Callable[..., object]]:
        found: dict[int, Callable[..., object]] = {
            _events.PY_START: self._start,
            _events.PY_RESUME: self._resume,
            _events.PY_THROW: self._throw,
            _events.CALL: self._call,
            _events.C_RETURN: self._c_return,
            _events.C_RAISE: self._c_raise,
            _events.INSTRUCTION: self._instruction,
            _events.PY_RETURN: self._return,
            _events.JUMP: self._jump,
        }
        if self._stretches is not None:
            found |= {_events.PY_YIELD: self._stretches.yields, _events.PY_UNWIND: self._stretches.unwinds}
        return found

    def is_running(self, frame: FrameType) -> None:
        if frame.f_back is not None:
            self._under_way[id(frame.f_back)] = frame.f_back.f_lasti
        self._watch_return(frame)

    def stop(self) -> None:
        super().stop()
        if tools.is_held(self.tool):
            for code in self._returning.values():
                _monitoring.set_local_events(self.tool, code, 0)
        self._probed = self._inside = None
        self._methods.clear()

    def events_in(self, code: CodeType) -> int:
        return self.local | (_events.INSTRUCTION if facts.silent(code) else 0)

    # Functions that begin or resume

    def _start(self, code: CodeType, offset: int) -> object:
        if code.co_filename in _OURS:
            return _monitoring.DISABLE
        self.recording.begins(code)
        in_scope = self.enter(code)
        frame = caller_frame()
        if self._stretches is not None and not self._hears and threading.get_ident() == self.main:
            self._stretches.begins("PY_START", code, offset, frame, in_scope=in_scope, checks=True)
        if in_scope and self.is_mine(code, offset):
            self.recording.add("entry", offset, frame, self.in_scope, self.count("PY_START", code, offset))
        self._watch_return(frame)
        return None

    def _resume(self, code: CodeType, offset: int) -> None:
        self.recording.running = 0
        in_scope = self.enter(code)
        checks = facts.checks_on_resume(code, offset)
        if self._stretches is not None and not self._hears and threading.get_ident() == self.main:
            self._stretches.begins("PY_RESUME", code, offset, caller_frame(), in_scope=in_scope, checks=checks)
        if in_scope and checks and self.is_mine(code, offset):
            self.recording.add("resume", offset, caller_frame(), self.in_scope, self.count("PY_RESUME", code, offset))

    def _throw(self, code: CodeType, offset: int, _: object) -> None:
        self.recording.running = 0
        in_scope = self.enter(code)  # may be the first event of a generator suspended when the recording began
        if self._stretches is not None and not self._hears and threading.get_ident() == self.main:
            self._stretches.begins("PY_THROW", code, offset, caller_frame(), in_scope=in_scope, checks=False)

    # Calls and returns

    def _watch_return(self, frame: FrameType) -> None:
        """Watch for the return of a function to code in scope if that may be a checkpoint without a ``C_RETURN``.

        There are two such cases: the function was called through ``*args``, so that it may be a method; or C code called it, and that
        C code was itself called before the recording began.
        """
        caller = frame.f_back
        if caller is None or id(caller.f_code) not in self.codes:
            return
        code, offset = caller.f_code, caller.f_lasti
        if facts.is_star_call(code, offset) or (self._is_under_way(caller) and facts.is_call(code, offset)):
            callee = frame.f_code
            _, known = self.codes.get(id(callee)) or self.outer.get(id(callee), (callee, 0))
            _monitoring.set_local_events(self.tool, frame.f_code, known | _events.PY_RETURN)
            self._returning[id(frame.f_code)] = frame.f_code

    def _is_under_way(self, frame: FrameType) -> bool:
        return self._under_way.get(id(frame)) == frame.f_lasti

    def _return(self, code: CodeType, at: int, _: object) -> object:
        frame = caller_frame().f_back
        if frame is None or threading.get_ident() != self.main:
            return None
        if self._stretches is not None:
            self._stretches.goes("PY_RETURN", code, at, caller_frame())
        caller, offset = frame.f_code, frame.f_lasti
        under_way = self._is_under_way(frame)
        if id(caller) not in self.codes or not (under_way or facts.is_star_call(caller, offset)):
            return None
        trigger = self.count("PY_RETURN", caller, offset, code)
        if facts.STAR_CALL_OF_METHOD_IS_SILENT or under_way:
            self._probed = _Probed(id(frame), trigger)
            return self.probe.trip.now
        if self._methods.pop(id(frame), -1) == offset:
            self.recording.add("call", offset, frame, self.in_scope, trigger)
        return None

    def _instruction(self, code: CodeType, offset: int) -> object:
        if offset not in facts.silent(code):
            return _monitoring.DISABLE
        if threading.get_ident() != self.main:
            return None
        trigger = self.count("INSTRUCTION", code, offset)
        if self.recording.waking and wakeup_descriptor() != NONE:
            return None
        self._probed = _Probed(id(caller_frame()), trigger)
        return self.probe.trip.now

    def _call(self, code: CodeType, offset: int, function: object, _: object) -> object:
        if threading.get_ident() != self.main or id(code) not in self.codes:
            return None
        frame = id(caller_frame())
        self._under_way.pop(frame, None)  # the call that was under way at the start has returned
        method = type(function) is MethodType and facts.is_star_call(code, offset)
        if method:
            self._methods[frame] = offset
        else:
            self._methods.pop(frame, None)
        self._inside = None
        trigger = self.count("CALL", code, offset)
        if function is signal.set_wakeup_fd:  # called by another name, so that ``names_wakeup`` did not see it
            self.recording.waking = True
        if self.recording.waking and wakeup_descriptor() != NONE:
            return None
        self._probed = _Probed(frame, trigger, suffices=method)
        return self.probe.trip.now

    def heard(self, frame: FrameType) -> None:
        """Record that CPython handled the probe in ``frame``; see :class:`.recorder.Recorder`."""
        probed, self._probed = self._probed, None
        if probed is None or id(frame) != probed.frame or frame.f_lasti != probed.trigger.offset:
            return
        if probed.suffices:
            # CPython calls this as a signal handler, not as a callback, so functions called here fire events. They are no part of the run.
            self._hears = True
            self._found(probed, frame)
            self._hears = False
        else:
            self._inside = probed

    def _found(self, probed: _Probed, frame: FrameType) -> None:
        self.recording.add("call", probed.trigger.offset, frame, self.in_scope, probed.trigger)

    def _c_return(self, code: CodeType, offset: int, _: object, __: object) -> None:
        if id(code) not in self.codes:
            if self._stretches is not None:
                self._stretches.passes("C_RETURN", code, offset, checks=checks_on_return(code, offset))
        elif not checks_on_return(code, offset):  # such as ``super()``, which LOAD_SUPER_ATTR replaces
            self._checked_inside(offset)
        elif self.is_mine(code, offset):
            self.recording.add("call", offset, caller_frame(), self.in_scope, self.count("C_RETURN", code, offset))

    def _c_raise(self, code: CodeType, offset: int, function: object, __: object) -> None:
        if id(code) in self.codes and not facts.loses_interrupts(function):
            self._checked_inside(offset)

    def _checked_inside(self, offset: int) -> None:
        """Record a call that did not check when it ended, if it had checked before it ended."""
        inside, frame = self._inside, caller_frame(2)
        if inside is not None and id(frame) == inside.frame and offset == inside.trigger.offset:
            self._found(inside, frame)

    def _jump(self, code: CodeType, offset: int, destination: int) -> None:
        backward = destination <= offset and facts.is_backward_jump(code, offset)
        if id(code) not in self.codes:
            if self._stretches is not None:
                self._stretches.passes("INSTRUCTION", code, offset, checks=backward)
        elif backward and self.is_mine(code, offset):
            trigger = self.count("INSTRUCTION", code, offset)
            self.recording.add("jump", offset, caller_frame(), self.in_scope, trigger)
