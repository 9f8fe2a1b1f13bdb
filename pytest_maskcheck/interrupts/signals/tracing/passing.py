"""Passes many triggers in one run that is not itself interrupted."""

from __future__ import annotations

from sys import settrace
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.interrupts.places import site_of
from pytest_maskcheck.interrupts.signals.tracing.tracer import Tracer
from pytest_maskcheck.interrupts.signals.waits import Waits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import ExitStack
    from types import CodeType, FrameType

    from pytest_maskcheck.interrupts.places import InScope, Mode, Trigger
    from pytest_maskcheck.interrupts.signals.delivery import Delivery
    from pytest_maskcheck.interrupts.signals.tracing.tracer import TraceFunction


class Passing(Tracer):
    """Passes many triggers in one run; at each of them ``reached`` decides whether to strike, in a process of its own."""

    def __init__(
        self,
        triggers: Sequence[Trigger],
        in_scope: InScope,
        mode: Mode,
        reached: Callable[[int], Delivery | None],
        ending: ExitStack,
    ) -> None:
        super().__init__(in_scope, mode)
        starts = [trigger.since for trigger in triggers if trigger.since is not None]
        self._triggers = triggers
        self._codes = {id(trigger.callee or trigger.code) for trigger in (*triggers, *starts)}
        self._waits = Waits(triggers)
        self._reached = reached
        self._ending = ending

    def watches(self, code: CodeType) -> bool:
        return id(code) in self._codes

    def _comes(self, event: str, place: FrameType, where: int, callee: CodeType | None = None) -> Delivery | None:
        """Count an event; return what to deliver if this process is to be interrupted here."""
        for position in self._waits.come(event, place.f_code, where, callee):
            delivery = self._reached(position)
            if delivery is not None:
                settrace(None)  # otherwise the entry of the tracer would be the next checkpoint
                self._ending.callback(delivery.close)
                trigger = self._triggers[position]
                beyond = place.f_back if trigger.leaves else place if trigger.since else None
                delivery.fires(site_of(beyond, self.in_scope) or place, self.in_scope)
                return delivery
        return None

    def entered(self, frame: FrameType) -> TraceFunction | None:
        delivery = self._comes("call", frame, frame.f_lasti) or self._is_called(frame)
        if delivery is None:
            return self.local
        # No phase begins when the signal lands, so tracing may end here.
        delivery.at_once(frame)
        return None

    def resumed(self, frame: FrameType) -> TraceFunction | None:
        self._is_called(frame)
        return self.local

    def _is_called(self, frame: FrameType) -> Delivery | None:
        place = frame.f_back
        return self._comes("call", place, place.f_lasti, frame.f_code) if place is not None else None

    def local(self, frame: FrameType, event: str, _: object) -> Any:
        place: FrameType | None = frame.f_back if event == "return" else frame
        delivery = self._comes("leave", frame, frame.f_lasti) if event == "return" else None
        if place is None:
            return self.local
        delivery = delivery or self._comes(event, place, place.f_lineno if event == "line" else place.f_lasti)
        if delivery is None:
            return self.local
        if self.mode == "raise":
            delivery.by_force(place)
            return None
        trip = delivery.pending(place)
        return trip.now
