"""Times runs.

Rules:

1. Unlike in :mod:`.passing`, no event is switched on or off during a run, not even for triggers that are counted from another event: code
   objects that run after such a change are prepared anew, and that takes longer than most gaps.
2. A callback does as little as it can. The clock leaves out the time that it takes, but not what it leaves in the caches of the processor: code
   that runs after it is slower.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.cpython import facts, tools
from pytest_maskcheck.interrupts.cpython.frames import caller_frame
from pytest_maskcheck.interrupts.places import Trigger
from pytest_maskcheck.interrupts.signals.clock import Clock
from pytest_maskcheck.interrupts.signals.monitoring.events import EVERYWHERE, events_for
from pytest_maskcheck.system.unpatched import threading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import CodeType

_monitoring = sys.monitoring
_events = _monitoring.events

_BY_CALLER = {"PY_START", "PY_RESUME", "PY_RETURN", "PY_THROW"}
"""Events of a callee that triggers may await as events of its caller."""

_Site = tuple[str, int, int]
"""Event, code object by ``id``, and offset."""

_NEVER = sys.maxsize
"""A count that no event reaches: it is watched for, and that is all."""


class Timing(Clock):
    """Notes when each of several triggers comes, in each of several runs."""

    def __init__(self, tool: int, triggers: Sequence[Trigger]) -> None:
        super().__init__(triggers)
        self._tool = tool
        starts = [trigger.since for trigger in triggers if trigger.since is not None]
        awaited = [*triggers, *starts, *self._in_loops()]
        self._local, self._everywhere = events_for(awaited)
        self._names = {"CALL", *(trigger.event for trigger in awaited)}
        self._kept = {
            (trigger.event, id(trigger.code), trigger.offset) for trigger in awaited if trigger.callee is None
        }
        # ``C_RETURN`` fires only where ``CALL`` is watched.
        self._kept |= {("CALL", code, at) for event, code, at in self._kept if event == "C_RETURN"}
        # Most triggers are counted from the beginning of a run, as events of their own code. What else there is takes a slower way.
        simple = [position for position, each in enumerate(triggers) if each.since is None and each.callee is None]
        self._others = [position for position in range(len(triggers)) if position not in {*simple}]
        self._sites: dict[_Site, dict[int, int]] = {}
        for position in simple:
            each = triggers[position]
            self._sites.setdefault((each.event, id(each.code), each.offset), {})[each.count] = position
        self._slow = {
            (each.event, id(each.code), each.offset)
            for position in self._others
            for each in (triggers[position], triggers[position].since)
            if each is not None and each.callee is None
        }
        self._callees = {id(each.callee) for each in awaited if each.callee is not None}
        self._counts = dict.fromkeys(self._kept, 0)

    def _in_loops(self) -> list[Trigger]:
        """Return triggers that make the events in the loops fire."""
        calls, entries, jumps = (each.__code__ for each in (self.calls, self.nothing, self.jumps))
        at_call = next(at for at in range(0, len(calls.co_code), facts.CODE_UNIT) if facts.is_call(calls, at))
        at_jump = next(at for at in range(0, len(jumps.co_code), facts.CODE_UNIT) if facts.is_backward_jump(jumps, at))
        return [
            Trigger("C_RETURN", calls, at_call, _NEVER),
            Trigger("PY_START", entries, facts.resume_of(entries), _NEVER),
            Trigger("INSTRUCTION", jumps, at_jump, _NEVER),
        ]

    def start(self) -> None:
        """Begin to watch."""
        for event in self._names:
            _monitoring.register_callback(self._tool, getattr(_events, event), self._callback(event))
        for code, events in self._local.values():
            _monitoring.set_local_events(self._tool, code, events)
        _monitoring.set_events(self._tool, self._everywhere)

    def stop(self) -> None:
        """Cease to watch."""
        if tools.is_held(self._tool):
            _monitoring.set_events(self._tool, 0)
            for code, _ in self._local.values():
                _monitoring.set_local_events(self._tool, code, 0)

    def reset(self, triggers: Sequence[Trigger]) -> None:
        super().reset([triggers[position] for position in self._others] if triggers else ())
        self.reached = [None] * len(triggers)
        for site in self._counts:
            self._counts[site] = 0

    def _come(self, positions: Sequence[int], moment: int) -> None:
        """Note that triggers came that take the slower way, given their positions among those."""
        if positions:
            self.note([self._others[position] for position in positions], moment)

    def _callback(self, event: str) -> Callable[..., object]:
        """Return the callback for an event."""
        callees = self._callees if event in _BY_CALLER else set()
        cannot_disable = event in {"C_RETURN", *_BY_CALLER, *EVERYWHERE}
        counts, sites, slow, nowhere = self._counts, self._sites, self._slow, dict[int, int]()
        main, tool, armed, thread, now = self.main, self._tool, tools.ARMED, threading.get_ident, self.now

        def callback(code: CodeType, at: int, *about: object) -> object:
            begin = now()
            del about  # see ``Striker._callback``
            site = (event, id(code), at)
            count = counts.get(site)
            if count is None and not cannot_disable:
                return _monitoring.DISABLE
            if thread() != main or tool not in armed:
                return None
            if count is not None:
                counts[site] = count = count + 1
                position = sites.get(site, nowhere).get(count)
                if position is not None and self.reached:
                    self.note((position,), begin)
                if site in slow:
                    self._come(self.waits.come(event, code, at), begin)
            if id(code) in callees and (place := caller_frame().f_back) is not None:
                # Count the same event also as an event of the callee that ``place`` has called.
                self._come(self.waits.come(event, place.f_code, place.f_lasti, code), begin)
            self.events += 1
            self.lost += now() - begin
            return None

        return callback
