"""Waits for one trigger of a run, or for two in turn, and strikes."""

from __future__ import annotations

import sys
from types import FunctionType, MethodType
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.cpython import codes, facts, tools
from pytest_maskcheck.interrupts.cpython.bytecode import enters_next, following
from pytest_maskcheck.interrupts.cpython.frames import caller_frame
from pytest_maskcheck.interrupts.cpython.handlers import is_within
from pytest_maskcheck.interrupts.signals.delivery import deliver
from pytest_maskcheck.interrupts.signals.monitoring.events import EVERYWHERE, local_event
from pytest_maskcheck.system.unpatched import threading

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from pytest_maskcheck.interrupts.places import Detour, InScope, Mode, Trigger
    from pytest_maskcheck.interrupts.signals.delivery import Delivery, Pending

_monitoring = sys.monitoring
_events = _monitoring.events


class Striker:
    """Waits for one trigger and strikes; if the trigger is counted from another event on, waits for that event first.

    Code that the run has yet to compile is represented by a stand-in. The real code object is recognised when it begins to run, because
    it is equal to the stand-in.
    """

    def __init__(self, tool: int, trigger: Trigger, in_scope: InScope, mode: Mode, delivery: Delivery) -> None:
        self._tool = tool
        self._trigger = trigger
        self._in_scope = in_scope
        self._mode = mode
        self._delivery = delivery
        self._main = threading.get_ident()  # where gevent has patched, ``main_thread().ident`` is gevent's
        self._absent = {id(code): code for code in trigger.codes() if codes.is_stand_in(code)}
        self._await(trigger.since or trigger)

    def _await(self, trigger: Trigger) -> None:
        self._awaited = trigger
        self._watched = trigger.callee or trigger.code
        self._at = trigger.offset if trigger.callee is None else None  # for LINE events this is the line
        self._event = getattr(_events, trigger.event)
        self._left = trigger.count
        self._diverted = 0  # the frame where the trigger came, by ``id``, if the strike takes a detour
        self._detour = -1  # the instruction of the detour where to strike
        self._entering = -1  # the call of another ``__enter__`` on the detour, whose callee has to be checked

    def start(self, _: FrameType | None) -> None:
        _monitoring.register_callback(self._tool, self._event, self._callback)
        passes_calls = self._trigger.detour is not None and not self._trigger.detour.raises
        # C_RETURN fires only where CALL is watched, and of the two only CALL can be switched off.
        if self._event == _events.C_RETURN or (passes_calls and self._event != _events.CALL):
            _monitoring.register_callback(self._tool, _events.CALL, self._elsewhere)
        everywhere = self._event if self._awaited.event in EVERYWHERE else 0
        if self._absent:
            _monitoring.register_callback(self._tool, _events.PY_START, self._appears)
            everywhere |= _events.PY_START
        _monitoring.set_events(self._tool, everywhere)
        local = {id(self._watched): (self._watched, local_event(self._awaited))}
        trigger = self._trigger
        if self._awaited is not trigger and trigger.event == "C_RETURN":
            # The return of a call that is under way when the count begins is seen only if the call was watched when it began.
            known = local.get(id(trigger.code), (trigger.code, 0))[1]
            local[id(trigger.code)] = (trigger.code, known | _events.CALL)
        if detour := trigger.detour:
            event = _events.LINE if detour.raises else _events.INSTRUCTION
            _monitoring.register_callback(self._tool, event, self._past)
            watched, known = local[id(self._watched)]
            local[id(watched)] = (watched, known | event | (_events.CALL if passes_calls else 0))
        for watched, events in local.values():
            _monitoring.set_local_events(self._tool, watched, 0 if self._awaited.event in EVERYWHERE else events)

    def stop(self) -> None:
        if tools.is_held(self._tool):
            _monitoring.set_events(self._tool, 0)
            for code in (self._watched, self._trigger.code):
                _monitoring.set_local_events(self._tool, code, 0)

    def _appears(self, code: CodeType, at: int) -> object:
        """Replace a stand-in by the real code that begins to run."""
        for absent in [absent for absent in self._absent.values() if code == absent]:
            del self._absent[id(absent)]
            # The count goes on: events of the code that already exists may have come.
            since, left = self._awaited is not self._trigger, self._left
            self._trigger = self._trigger.with_code(absent, code)
            self._await((since and self._trigger.since) or self._trigger)
            self._left = left
            self.start(None)
        if self._event != _events.PY_START or code is not self._watched or self._at not in {at, None}:
            return None
        trip = self._come(code, caller_frame())
        return trip and trip.now

    def _elsewhere(self, _: CodeType, at: int, function: object, __: object) -> object:
        """Handle a ``CALL`` watched only for its ``C_RETURN``, or for another ``__enter__`` on the detour; switch other calls off."""
        if self._entering == at and id(caller_frame()) == self._diverted and self._tool in tools.ARMED:
            self._entering = -1
            # Not ``isinstance``, which may run code of the object.
            if type(function) is FunctionType or type(function) is MethodType:
                return self._strike_past(caller_frame())  # arrives when the Python function begins
            self._detour = following(caller_frame().f_code, at)
        return None if at == self._trigger.offset or self._trigger.detour else _monitoring.DISABLE

    def _callback(self, code: CodeType, at: int, *about: object) -> object:
        if self._at not in {at, None}:
            return self._beside(caller_frame(), at)
        late = bool(about) and self._event == _events.C_RETURN and facts.handles_signals_late(about[0])
        # A traceback keeps this frame alive: the callee and its argument would still exist in ``finally`` blocks.
        del about
        trip = self._come(code, caller_frame(), late=late)
        return trip and trip.now

    def _beside(self, frame: FrameType, at: int) -> object:
        """Handle an event at a place other than the awaited one; switch it off, unless a detour ends there."""
        detour = self._trigger.detour
        if detour is not None and detour.raises and at == detour.offset:
            return self._raise_past(frame, detour) if id(frame) == self._diverted else None
        # CPython raises on an attempt to disable these two.
        can_disable = self._event not in {_events.C_RETURN, _events.PY_UNWIND}
        return _monitoring.DISABLE if can_disable else None

    def _come(self, code: CodeType, frame: FrameType, *, late: bool = False) -> Pending | None:
        """Count an event in ``frame``; if it is the awaited one, strike, or return what to leave pending."""
        if threading.get_ident() != self._main or self._tool not in tools.ARMED:
            return None  # the tool is not armed in a forked child, where the call that forked returns
        if not self._is_there(code, frame):
            return None
        self._left -= 1
        if self._left:
            return None
        if self._trigger.detour is not None and self._awaited is self._trigger:
            # ``start`` has already armed the events of the detour.
            self._diverted = id(frame)
            self._detour = self._trigger.detour.offset
            return None
        self.stop()  # before the signal is sent: another callback would be a checkpoint
        if self._awaited is not self._trigger:
            self._await(self._trigger)
            self.start(None)
            return None
        return deliver(self._delivery, self._trigger, frame, self._in_scope, self._mode, late=late)

    def _past(self, code: CodeType, _: int) -> object:
        """Handle ``LINE`` and ``INSTRUCTION`` events on the detour; strike where it ends."""
        frame = caller_frame()
        detour = self._trigger.detour
        if detour is None or id(frame) != self._diverted or self._tool not in tools.ARMED:
            return None
        if detour.raises:
            return self._raise_past(frame, detour)
        if frame.f_lasti != self._detour:
            return None
        entering = enters_next(code, self._detour)
        if entering is not None:
            self._entering = entering
            return None
        return self._strike_past(frame)

    def _raise_past(self, frame: FrameType, detour: Detour) -> object:
        """Deliver on the detour around a jump, as the last act of a callback."""
        self._diverted = 0
        if is_within(frame.f_code, frame.f_lasti, detour.offset):
            self.stop()
            self._delivery.fires(frame, self._in_scope)
            self._delivery.at_once(frame)
        return None

    def _strike_past(self, frame: FrameType) -> object:
        """Leave the signal pending on the detour, as the last act of a callback."""
        self.stop()
        self._delivery.fires(frame, self._in_scope)
        trip = self._delivery.pending(frame)
        return trip.now

    def _is_there(self, code: CodeType, frame: FrameType) -> bool:
        """Return whether the event belongs to the awaited code and, for a callee, whether the trigger's instruction called it."""
        if code is not self._watched:
            return False
        if self._at is not None:
            return True
        place, trigger = frame.f_back, self._awaited
        return (
            place is not None
            and place.f_code is trigger.code
            and facts.calling(trigger.code, place.f_lasti) == facts.calling(trigger.code, trigger.offset)
        )
