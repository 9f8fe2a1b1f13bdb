"""Waits for one trigger of a run, or for two in turn, and sends the signal."""

from __future__ import annotations

from sys import settrace
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.interrupts.cpython.codes import is_stand_in
from pytest_maskcheck.interrupts.cpython.handlers import is_within
from pytest_maskcheck.interrupts.places import site_of
from pytest_maskcheck.interrupts.signals.tracing.tracer import Tracer

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from pytest_maskcheck.interrupts.places import InScope, Mode, Trigger
    from pytest_maskcheck.interrupts.signals.delivery import Delivery
    from pytest_maskcheck.interrupts.signals.tracing.tracer import TraceFunction


class Striker(Tracer):
    """Waits for one trigger and sends the signal; if the trigger is counted from another event on, waits for that event first."""

    def __init__(self, trigger: Trigger, in_scope: InScope, mode: Mode, delivery: Delivery) -> None:
        super().__init__(in_scope, mode)
        self._trigger = trigger
        self._delivery = delivery
        # At a function entry the tracer delivers at once. But raising there would end tracing. So if something begins when the signal
        # lands, the signal is left pending, and the ``RESUME`` checks again when the tracer has returned.
        self._at_once = delivery.begin is None
        self._await(trigger.since or trigger)

    def _await(self, trigger: Trigger) -> None:
        self._awaited = trigger
        self._left = trigger.count
        self._returning = trigger.event == "return"
        self._diverted = 0  # the frame where the trigger came, by ``id``, if the strike takes a detour

    def watches(self, code: CodeType) -> bool:
        return _is_same(code, self._awaited.callee or self._awaited.code)

    def _comes(self, frame: FrameType | None) -> bool:
        """Count the awaited event; return whether it is time to strike in ``frame``."""
        self._left -= 1
        if self._left:
            return False
        if self._awaited is not self._trigger:
            self._await(self._trigger)
            self.start(frame)
            return False
        assert frame is not None  # only the caller of a frame that ends may be missing, and nothing is struck there
        settrace(None)  # otherwise the entry of the tracer would be the next checkpoint
        place = site_of(frame, self.in_scope) if self._trigger.since or self._trigger.leaves else None
        self._delivery.fires(place or frame, self.in_scope)
        return True

    def entered(self, frame: FrameType) -> TraceFunction | None:
        trigger = self._awaited
        if trigger.event != "call":
            return self.local
        if trigger.callee is not None:
            place = frame.f_back
            if (
                place is None
                or not _calls(place, trigger)
                or not self._comes(place if trigger is self._trigger else frame)
            ):
                return self.local
        elif frame.f_lasti != trigger.offset or not self._comes(frame):
            return self.local
        if self._at_once:
            self._delivery.at_once(frame)
            return None
        trip = self._delivery.pending(frame)
        return trip.now

    def resumed(self, frame: FrameType) -> TraceFunction | None:
        trigger = self._awaited
        if trigger.event == "call" and trigger.callee is not None and trigger is not self._trigger:
            place = frame.f_back
            if place is not None and _calls(place, trigger):
                self._comes(frame)
        return self.local

    def local(self, frame: FrameType, event: str, _: object) -> Any:  # noqa: PLR0911
        trigger = self._awaited
        if self._diverted and id(frame) == self._diverted and trigger.detour is not None:
            if trigger.detour.raises and event == "line":
                return self._past(frame)
            if not trigger.detour.raises and event == "opcode" and frame.f_lasti == trigger.detour.offset:
                return self._strike_past(frame)
        if event != ("return" if trigger.event == "leave" else trigger.event) or self._left <= 0:
            return self.local
        place: FrameType | None = frame.f_back if self._returning else frame
        if place is None or not _is_same(place.f_code, trigger.code):
            return self.local
        where = place.f_lineno if event == "line" else place.f_lasti
        if where != trigger.offset:
            return self.local
        if trigger.detour is not None and self._left == 1:
            self._left, self._diverted = 0, id(frame)
            frame.f_trace_lines = trigger.detour.raises
            return self.local
        if not self._comes(frame.f_back if trigger.event == "leave" else place):
            return self.local
        if self.mode == "raise":
            self._delivery.by_force(place)
            return None
        trip = self._delivery.pending(place)
        return trip.now

    def _past(self, frame: FrameType) -> Any:
        """Strike on the detour around a jump."""
        detour, self._diverted = self._trigger.detour, 0
        if detour is None or not is_within(frame.f_code, frame.f_lasti, detour.offset):
            return self.local
        return self._strike_past(frame)

    def _strike_past(self, frame: FrameType) -> None:
        """Deliver in ``frame`` now: a signal left pending might pass specialised calls, which do not check."""
        settrace(None)
        self._delivery.fires(frame, self.in_scope)
        self._delivery.at_once(frame)


def _is_same(code: CodeType, wanted: CodeType) -> bool:
    """Return whether ``code`` is the wanted code, or the real code for a stand-in that is wanted."""
    return code is wanted or (is_stand_in(wanted) and code == wanted)


def _calls(place: FrameType, trigger: Trigger) -> bool:
    """Return whether a frame stands at the call of a trigger."""
    return _is_same(place.f_code, trigger.code) and facts.calling(place.f_code, place.f_lasti) == trigger.offset
