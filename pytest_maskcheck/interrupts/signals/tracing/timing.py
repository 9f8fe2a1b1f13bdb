"""Times runs.

A trigger before a call or a jump comes with the event of that instruction, and the interrupt arrives after it: the moment is that of the next
event in the same frame. Instructions that are traced one by one are also slower than others, so that the intervals are wide.
"""

from __future__ import annotations

from sys import gettrace, settrace
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.interrupts.signals.clock import Clock
from pytest_maskcheck.interrupts.signals.tracing.tracer import Tracer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, FrameType

    from pytest_maskcheck.interrupts.places import InScope, Mode, Trigger
    from pytest_maskcheck.interrupts.signals.tracing.tracer import TraceFunction


class Timing(Clock, Tracer):
    """Notes when each of several triggers comes, in each of several runs."""

    def __init__(self, triggers: Sequence[Trigger], in_scope: InScope, mode: Mode) -> None:
        Clock.__init__(self, triggers)
        Tracer.__init__(self, in_scope, mode)
        starts = [trigger.since for trigger in triggers if trigger.since is not None]
        codes = [trigger.callee or trigger.code for trigger in (*triggers, *starts)]
        loops = [each.__code__ for each in (self.calls, self.entries, self.jumps)]
        self._codes = {id(code) for code in (*codes, *loops)}
        self._due: dict[int, list[int]] = {}  # frames, by ``id``, and the triggers whose moment is the next event there
        self._begin_of_event = 0
        self._before: Any = None

    def watching(self) -> None:
        self._due.clear()
        self._before = gettrace()
        settrace(self.enter)

    def resting(self) -> None:
        settrace(self._before)

    def watches(self, code: CodeType) -> bool:
        return id(code) in self._codes

    def enter(self, frame: FrameType, event: str, value: object) -> TraceFunction | None:
        begin = self._begin_of_event = self.now()
        function = super().enter(frame, event, value)
        self.events += 1
        self.lost += self.now() - begin
        return function

    def entered(self, frame: FrameType) -> TraceFunction | None:
        self.note(self.waits.come("call", frame.f_code, frame.f_lasti), self._begin_of_event)
        return self.resumed(frame)

    def resumed(self, frame: FrameType) -> TraceFunction | None:
        place = frame.f_back
        if place is not None:
            self.note(self.waits.come("call", place.f_code, place.f_lasti, frame.f_code), self._begin_of_event)
        return self.local

    def local(self, frame: FrameType, event: str, _: object) -> Any:
        begin = self.now()
        if due := self._due.pop(id(frame), None):
            self.note(due, begin)
        place: FrameType | None = frame
        if event == "return":
            self.note(self.waits.come("leave", frame.f_code, frame.f_lasti), begin)
            place = frame.f_back
        if place is not None:
            where = place.f_lineno if event == "line" else place.f_lasti
            if positions := self.waits.come(event, place.f_code, where):
                self._due.setdefault(id(place), []).extend(positions)
        self.events += 1
        self.lost += self.now() - begin
        return self.local
