"""Passes many triggers in one run that is not itself interrupted."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.cpython import facts, tools
from pytest_maskcheck.interrupts.cpython.frames import caller_frame
from pytest_maskcheck.interrupts.signals.delivery import deliver
from pytest_maskcheck.interrupts.signals.monitoring.events import EVERYWHERE, events_for, local_event
from pytest_maskcheck.interrupts.signals.waits import Waits
from pytest_maskcheck.system.unpatched import threading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import ExitStack
    from types import CodeType, FrameType

    from pytest_maskcheck.interrupts.places import InScope, Mode, Trigger
    from pytest_maskcheck.interrupts.signals.delivery import Delivery, Pending

_monitoring = sys.monitoring
_events = _monitoring.events


class Passing:
    """Passes many triggers in one run; at each of them ``reached`` decides whether to strike, in a process of its own."""

    def __init__(
        self,
        tool: int,
        triggers: Sequence[Trigger],
        in_scope: InScope,
        mode: Mode,
        *,
        reached: Callable[[int], Delivery | None],
        ending: ExitStack,
    ) -> None:
        self._tool = tool
        self._triggers = triggers
        self._in_scope = in_scope
        self._mode = mode
        self._reached = reached
        self._ending = ending
        self._main = threading.get_ident()  # where gevent has patched, ``main_thread().ident`` is gevent's
        self._waits = Waits(triggers)
        starts = [trigger.since for trigger in triggers if trigger.since is not None]
        self._watched, self._everywhere = events_for(
            (*(trigger for trigger in triggers if trigger.since is None), *starts)
        )
        self._armed_since: list[CodeType] = []
        for trigger in triggers:
            if trigger.since is not None and trigger.event == "C_RETURN":  # see ``Striker.start``
                _, events = self._watched.get(id(trigger.code), (trigger.code, 0))
                self._watched[id(trigger.code)] = (trigger.code, events | _events.CALL)
        self._names = {"CALL", *(trigger.event for trigger in (*triggers, *starts))}

    def start(self) -> None:
        for event in self._names:
            _monitoring.register_callback(self._tool, getattr(_events, event), self._callback(event))
        for code, events in self._watched.values():
            _monitoring.set_local_events(self._tool, code, events)
        _monitoring.set_events(self._tool, self._everywhere)

    def stop(self) -> None:
        if tools.is_held(self._tool):
            _monitoring.set_events(self._tool, 0)
            for code in (*(code for code, _ in self._watched.values()), *self._armed_since):
                _monitoring.set_local_events(self._tool, code, 0)

    def _callback(self, event: str) -> Callable[..., object]:
        """Return the callback for an event."""
        returns = event == "C_RETURN"
        by_caller = event in {"PY_START", "PY_RESUME", "PY_RETURN", "PY_THROW"}

        def callback(code: CodeType, at: int, *about: object) -> object:
            waits = self._waits
            wanted = waits.wants(event, code, at)
            if not wanted and not by_caller:
                # Switch the event off at this instruction, unless C_RETURN depends on it or it cannot be switched off.
                needed = returns or event in EVERYWHERE or (event == "CALL" and waits.wants("C_RETURN", code, at))
                return None if needed else _monitoring.DISABLE
            if threading.get_ident() != self._main or self._tool not in tools.ARMED:
                return None
            positions = waits.come(event, code, at) if wanted else ()
            if by_caller and (place := caller_frame().f_back) is not None:
                # Count the same event also as an event of the callee that ``place`` has called.
                positions = (*positions, *waits.come(event, place.f_code, place.f_lasti, code))
            late = bool(positions) and returns and facts.handles_signals_late(about[0])
            del about  # see ``Striker._callback``
            trip = self._strike(positions, caller_frame(), late=late) if positions else None
            if trip is None and waits.changed:
                self._follow()
            return trip and trip.now

        return callback

    def _follow(self) -> None:
        """Watch for triggers counted from the event that has just come, and stop watching for those counted from an earlier one."""
        self._waits.changed = False
        for code in self._armed_since:
            _, events = self._watched.get(id(code), (code, 0))
            _monitoring.set_local_events(self._tool, code, events)
        self._armed_since = []
        for trigger in self._waits.following:
            _, events = self._watched.get(id(trigger.code), (trigger.code, 0))
            self._armed_since.append(trigger.code)
            others = [other for other in self._waits.following if other.code is trigger.code]
            for other in others:
                events |= local_event(other)
            _monitoring.set_local_events(self._tool, trigger.code, events)

    def _strike(self, positions: Sequence[int], frame: FrameType, *, late: bool) -> Pending | None:
        for position in positions:
            # ``reached`` may fork. A child that finds its tool in ARMED gives it back (``disarm``), but this child is to be interrupted.
            tools.ARMED.discard(self._tool)
            delivery = self._reached(position)
            tools.ARMED.add(self._tool)
            if delivery is not None:
                self.stop()
                self._ending.callback(delivery.close)
                return deliver(delivery, self._triggers[position], frame, self._in_scope, self._mode, late=late)
        return None
