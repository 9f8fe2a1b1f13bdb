"""The engine for CPython 3.12 and later, built on ``sys.monitoring``.

Theory of operation. CPython runs signal handlers at function entry, after calls of what it does not inline, at
backward jumps, and in ``str`` and ``repr``. Most of these have an event:

=============  =====================  ==========================================================
place          event                  delivery (see ``delivery.py``)
=============  =====================  ==========================================================
entry          ``PY_START``           at once: the check lies behind when the event fires
resume         ``PY_RESUME``          at once, likewise; not after ``await`` or ``yield from``
call           ``C_RETURN``           at once: the result is dropped, as by a signal in the call
call           ``PY_RETURN`` of the   left pending: a bound method called through ``*args`` is
               method called          checked on return but fires no ``C_RETURN``
call           ``CALL``               left pending: the same, where the method runs no Python
                                      code yet (generators, coroutines, bound builtins); and
                                      calls that check inside and then fail (``float("x")``)
call           ``INSTRUCTION``        left pending: f-strings and ``%``, which have no event
jump           ``INSTRUCTION`` of     left pending: raising here would skip enclosing blocks, and
               the jump               ``JUMP`` fires after the check on 3.13 and later
line           ``LINE``, or           ``line``: left pending; ``raise``: raised at once
               ``PY_START`` where a   (3.13 and later fire no ``LINE`` for ``def f(): return 1``)
               body begins on the
               line of its ``def``
=============  =====================  ==========================================================

Whether the last two sorts of calls check depends on the objects at hand. The recorder asks CPython itself: it leaves a
signal of its own pending (``probe.py``) at the event; where the handler runs in this very frame, at this very
instruction, is a place. If a callback of ours is interrupted first, there was no check.

Rules:

1. Never raise from a ``JUMP``, ``BRANCH``, ``CALL`` or ``INSTRUCTION`` callback. A detour that raises waits for a ``LINE``; a comprehension
   on one line has none at its head, where alone it is raised from ``INSTRUCTION``.
2. Only the main thread counts: only it runs signal handlers.
3. A strike arms the one code object it waits for; before it sends the signal it switches its events off.
4. A child process forked by the code under test is not watched.
5. What begins when an interrupt lands is armed just before its handler runs, for code on the stack and generators that are
   suspended, too. A handler that is called from a callback runs by ``sys.call_tracing``, or nothing in it would be seen.
6. Frames are never held, nor what is called or handed over: what a function drops must die when it would die unwatched.

Where it still fails: C code that no call runs and that waits (``with lock`` while another thread has it, a ``for`` over a
slow file) handles a signal that comes meanwhile; arithmetic of huge integers, too. Such checks depend on time.
``int("x")`` checks inside, but loses what the handler raises (:func:`~.facts.loses_interrupts`): not a place. While the
code under test has a wakeup descriptor (``signal.set_wakeup_fd``), CPython is not asked: each question would wake it.
Of a recording that begins in the middle of a run: calls under way are asked about as they are, cold or warm.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.cpython import codes, facts, probe, tools
from pytest_maskcheck.interrupts.cpython.known import enters_next, following, is_within
from pytest_maskcheck.interrupts.cpython.probe import Probe
from pytest_maskcheck.interrupts.signals import base
from pytest_maskcheck.interrupts.signals.base import (
    Recording,
    Trigger,
    Waits,
    arming,
    caller_frame,
    line_of,
    nothing,
    stack,
)
from pytest_maskcheck.interrupts.signals.catching import MonitoredCatching
from pytest_maskcheck.interrupts.signals.delivery import Delivery, deliver
from pytest_maskcheck.interrupts.signals.excursions import Excursions
from pytest_maskcheck.system.own_code import is_ours
from pytest_maskcheck.system.unpatched import signal, threading
from pytest_maskcheck.system.wakeup_descriptor import NONE, wakeup_descriptor

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from types import CodeType, FrameType

    from pytest_maskcheck.interrupts.signals.base import Awaited, Detour, InScope, Mode, Phase, Strike
    from pytest_maskcheck.interrupts.signals.catching import Catching
    from pytest_maskcheck.interrupts.signals.delivery import Pending

_monitoring = sys.monitoring
_events = _monitoring.events
_OURS = frozenset({codes.__file__, base.__file__, facts.__file__, probe.__file__, __file__})
"""Files of what runs when CPython handles the probe: nobody under test called it."""


_EVERYWHERE = {"PY_THROW", "PY_UNWIND"}
"""Events that cannot be asked for of one code object."""

_GOES = _events.PY_RETURN | _events.PY_YIELD
"""How a frame ends or is suspended, besides by an exception."""

_FINE = _events.CALL | _events.JUMP
"""What shows checkpoints out of scope, besides function entries."""

_LOCAL = {
    "checkpoint": _events.CALL | _events.JUMP,  # C_RETURN and C_RAISE come with CALL
    "line": _events.LINE,
    "raise": _events.LINE,
}


class MonitoringEngine:
    """Finds and hits places with ``sys.monitoring``."""

    name = "sys.monitoring"
    ahead = False

    @arming
    def record(
        self, in_scope: InScope, mode: Mode, avoid: Collection[int] = (), *, outside: bool = False
    ) -> Iterator[Recording]:
        """Watch the run in the body of the ``with`` statement; see :class:`~.base.Engine`."""
        with tools.taken() as tool:
            recorder = _Recorder(tool, in_scope, mode, Recording(signums=tuple(avoid), outside=outside))
            with Probe(recorder.heard, avoid) as recorder.probe:
                recorder.start(None)
                try:
                    yield recorder.recording
                finally:
                    recorder.stop()

    @arming
    def strike(
        self,
        trigger: Trigger,
        in_scope: InScope,
        mode: Mode,
        signum: int,
        struck: Callable[[], None],
        *,
        then: Trigger | Recording | None = None,
        begins: Callable[[], None] = nothing,
        catching: Catching | None = None,
    ) -> Iterator[Strike]:
        """Send ``signum`` when ``trigger`` comes; see :class:`~.base.Engine`."""
        with tools.taken() as tool, ExitStack() as ending:
            last: Delivery | None = None
            catcher = MonitoredCatching(tool, catching, lambda: tool in tools.ARMED) if catching else None
            phase: Phase | None = catcher
            if isinstance(then, Recording):
                recorder = phase = _Recorder(tool, in_scope, mode, then)
                recorder.probe = ending.enter_context(Probe(recorder.heard, {signum}))
            elif then is not None:
                last = Delivery(signum, struck, catcher.start if catcher else None)
                ending.callback(last.close)
                phase = _Striker(tool, then, in_scope, mode, last)
            first = Delivery(signum, struck if last is None else begins, phase.start if phase else None)
            ending.callback(first.close)
            if last is not None:
                last.strike.earlier = first.strike
            if catching is not None and catcher is not None:
                (last or first).held = catcher.start
                catching.strike = (last or first).strike
            striker = _Striker(tool, trigger, in_scope, mode, first)
            striker.start(None)
            try:
                yield (last or first).strike
            finally:
                striker.stop()
                for each in (phase, catcher):
                    if each is not None:
                        each.stop()

    @arming
    def forward(
        self,
        triggers: Sequence[Trigger],
        in_scope: InScope,
        mode: Mode,
        strike: Strike,
        reached: Callable[[int], Delivery | None],
    ) -> Iterator[Strike]:
        """Go by all triggers; see :class:`~.base.Engine`."""
        with tools.taken() as tool, ExitStack() as ending:
            passing = _Passing(tool, triggers, in_scope, mode, reached=reached, ending=ending)
            passing.start()
            try:
                yield strike
            finally:
                passing.stop()

    def disarm(self) -> None:
        """Give the tool back; see :class:`~.base.Engine`."""
        tools.disarm()

    def reason_against_second(self, _: Mode) -> str:
        """Return ``""``: nothing stops the watching; see :class:`~.base.Engine`."""
        return ""


class _Striker:
    """Waits for one trigger and strikes; if it is counted from another event on, waits for that one first.

    Code that is not there yet, as it is compiled in the run, has a stand-in: it is known by being equal when it begins to run.
    """

    def __init__(self, tool: int, trigger: Trigger, in_scope: InScope, mode: Mode, delivery: Delivery) -> None:
        self._tool = tool
        self._trigger = trigger
        self._in_scope = in_scope
        self._mode = mode
        self._delivery = delivery
        self._main = threading.get_ident()  # that of ``main_thread()`` is gevent's where it has patched
        self._absent = {id(code): code for code in trigger.codes() if codes.is_stand_in(code)}
        self._await(trigger.since or trigger)

    def _await(self, trigger: Trigger) -> None:
        self._awaited = trigger
        self._watched = trigger.callee or trigger.code
        self._at = trigger.offset if trigger.callee is None else None  # of LINE events this is the line
        self._event = getattr(_events, trigger.event)
        self._left = trigger.count
        self._diverted = 0  # the frame in which the trigger came, by ``id``, if the strike takes a detour
        self._detour = -1  # the instruction on it at which to strike
        self._entering = -1  # the call of ``__enter__`` on it that is looked at

    def start(self, _: FrameType | None) -> None:
        _monitoring.register_callback(self._tool, self._event, self._callback)
        passes_calls = self._trigger.detour is not None and not self._trigger.detour.raises
        if self._event == _events.C_RETURN or (passes_calls and self._event != _events.CALL):
            _monitoring.register_callback(self._tool, _events.CALL, self._elsewhere)
        everywhere = self._event if self._awaited.event in _EVERYWHERE else 0
        if self._absent:
            _monitoring.register_callback(self._tool, _events.PY_START, self._appears)
            everywhere |= _events.PY_START
        _monitoring.set_events(self._tool, everywhere)
        local = {id(self._watched): (self._watched, _local_event(self._awaited))}
        trigger = self._trigger
        if self._awaited is not trigger and trigger.event == "C_RETURN":
            # A call that is under way when the count begins is seen to return only if it was watched when it began.
            known = local.get(id(trigger.code), (trigger.code, 0))[1]
            local[id(trigger.code)] = (trigger.code, known | _events.CALL)
        if detour := trigger.detour:
            event = _events.LINE if detour.raises else _events.INSTRUCTION
            _monitoring.register_callback(self._tool, event, self._past)
            watched, known = local[id(self._watched)]
            local[id(watched)] = (watched, known | event | (_events.CALL if passes_calls else 0))
        for watched, events in local.values():
            _monitoring.set_local_events(self._tool, watched, 0 if self._awaited.event in _EVERYWHERE else events)

    def stop(self) -> None:
        if tools.is_held(self._tool):
            _monitoring.set_events(self._tool, 0)
            for code in (self._watched, self._trigger.code):
                _monitoring.set_local_events(self._tool, code, 0)

    def _appears(self, code: CodeType, at: int) -> object:
        """Take code that begins to run in place of its stand-in."""
        for absent in [absent for absent in self._absent.values() if code == absent]:
            del self._absent[id(absent)]
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
        """Switch off the events of calls that are not the awaited one, but for another ``__enter__`` on the detour."""
        if self._entering == at and id(caller_frame()) == self._diverted and self._tool in tools.ARMED:
            self._entering = -1
            if type(function) is FunctionType or type(function) is MethodType:  # isinstance would ask the object
                return self._strike_past(caller_frame())  # arrives as it begins
            self._detour = following(caller_frame().f_code, at)
        return None if at == self._trigger.offset or self._trigger.detour else _monitoring.DISABLE

    def _callback(self, code: CodeType, at: int, *about: object) -> object:
        if self._at not in {at, None}:
            return self._beside(caller_frame(), at)
        late = bool(about) and self._event == _events.C_RETURN and facts.handles_signals_late(about[0])
        # The traceback keeps this frame: what was called, and its argument, would live on in ``finally`` blocks.
        del about
        trip = self._come(code, caller_frame(), late=late)
        return trip and trip.now

    def _beside(self, frame: FrameType, at: int) -> object:
        """Switch off the events of other places than the awaited one, but for that where a detour ends."""
        detour = self._trigger.detour
        if detour is not None and detour.raises and at == detour.offset:
            return self._raise_past(frame, detour) if id(frame) == self._diverted else None
        can_disable = self._event not in {_events.C_RETURN, _events.PY_UNWIND}
        return _monitoring.DISABLE if can_disable else None

    def _come(self, code: CodeType, frame: FrameType, *, late: bool = False) -> Pending | None:
        """Count an event in ``frame``; strike if it is time, or return what to leave pending."""
        if threading.get_ident() != self._main or self._tool not in tools.ARMED:
            return None  # the last: in a child, after the very call that forked
        if not self._is_there(code, frame):
            return None
        self._left -= 1
        if self._left:
            return None
        if self._trigger.detour is not None and self._awaited is self._trigger:
            self._diverted = id(frame)
            self._detour = self._trigger.detour.offset
            return None
        self.stop()
        if self._awaited is not self._trigger:
            self._await(self._trigger)
            self.start(None)
            return None
        return deliver(self._delivery, self._trigger, frame, self._in_scope, self._mode, late=late)

    def _past(self, code: CodeType, _: int) -> object:
        """Strike on the detour: events of lines and instructions."""
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
        """Tell whether the event is that of the code that is awaited, called where the trigger says."""
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


class _Passing:
    """Goes by many triggers in one run; at each of them somebody decides whether to strike, in a process of its own."""

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
        self._main = threading.get_ident()  # that of ``main_thread()`` is gevent's where it has patched
        self._waits = Waits(triggers)
        starts = [trigger.since for trigger in triggers if trigger.since is not None]
        self._watched: dict[int, tuple[CodeType, int]] = {}  # code by ``id``, and its local events
        self._armed_since: list[CodeType] = []
        self._everywhere = 0
        for trigger in (*(trigger for trigger in triggers if trigger.since is None), *starts):
            if trigger.event in _EVERYWHERE:
                self._everywhere |= getattr(_events, trigger.event)
                continue
            code = trigger.callee or trigger.code
            _, events = self._watched.get(id(code), (code, 0))
            self._watched[id(code)] = (code, events | _local_event(trigger))
        for trigger in triggers:
            if trigger.since is not None and trigger.event == "C_RETURN":  # see ``_Striker.start``
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
                needed = returns or event in _EVERYWHERE or (event == "CALL" and waits.wants("C_RETURN", code, at))
                return None if needed else _monitoring.DISABLE
            if threading.get_ident() != self._main or self._tool not in tools.ARMED:
                return None
            positions = waits.come(event, code, at) if wanted else ()
            if by_caller and (place := caller_frame().f_back) is not None:
                positions = (*positions, *waits.come(event, place.f_code, place.f_lasti, code))
            late = bool(positions) and returns and facts.handles_signals_late(about[0])
            del about  # see ``_Striker``
            trip = self._strike(positions, caller_frame(), late=late) if positions else None
            if trip is None and waits.changed:
                self._follow()
            return trip and trip.now

        return callback

    def _follow(self) -> None:
        """Watch what is counted from the event that has just come on, and no more what was counted from another one."""
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
                events |= _local_event(other)
            _monitoring.set_local_events(self._tool, trigger.code, events)

    def _strike(self, positions: Sequence[int], frame: FrameType, *, late: bool) -> Pending | None:
        for position in positions:
            tools.ARMED.discard(self._tool)  # a child that is forked now keeps its tool
            delivery = self._reached(position)
            tools.ARMED.add(self._tool)
            if delivery is not None:
                self.stop()
                self._ending.callback(delivery.close)
                return deliver(delivery, self._triggers[position], frame, self._in_scope, self._mode, late=late)
        return None


def _local_event(trigger: Trigger) -> int:
    """Return what to ask for to see the event of a trigger."""
    return int(_events.CALL if trigger.event == "C_RETURN" else getattr(_events, trigger.event))


@dataclass(frozen=True, slots=True)
class _Question:
    """Does CPython handle a signal in a frame, at the offset of the trigger?

    Frames are known by ``id``: to hold one would keep alive what its function drops.

    Parameters:
        frame: the ``id`` of the frame.
        trigger: how to strike there.
        answers: a yes means a place; otherwise it depends on how the call ends.
    """

    frame: int
    trigger: Trigger
    answers: bool = True


class _Recorder:
    """The callbacks of one recording."""

    probe: Probe

    def __init__(self, tool: int, in_scope: InScope, mode: Mode, recording: Recording) -> None:
        self.recording = recording
        self._tool = tool
        facts.with_checks_on_entering()  # not for the first time in a callback
        self._in_scope = in_scope
        self._local = _LOCAL[mode]
        self._lines = mode != "checkpoint"
        self._codes: dict[int, tuple[CodeType, int]] = {}  # code in scope that was entered, and its local events
        self._counts: dict[Awaited, int] = {}
        self._main = threading.get_ident()  # that of ``main_thread()`` is gevent's where it has patched
        self._asked: _Question | None = None
        self._inside: _Question | None = None
        self._methods: dict[int, int] = {}
        self._under_way: dict[int, int] = {}  # frames that had called something before the start, and where
        self._returning: dict[int, CodeType] = {}
        self._begun = 0
        self._excursions = Excursions(recording, in_scope) if recording.outside and not self._lines else None
        self._hears = False
        self._outer: dict[int, tuple[CodeType, int]] = {}  # code out of scope, and its local events
        if self._excursions is not None:
            self._local |= _GOES

    def start(self, frame: FrameType | None) -> None:
        register = _monitoring.register_callback
        register(self._tool, _events.PY_START, self._start)
        register(self._tool, _events.PY_RESUME, self._resume)
        register(self._tool, _events.PY_THROW, self._throw)
        register(self._tool, _events.CALL, self._call)
        register(self._tool, _events.C_RETURN, self._c_return)
        register(self._tool, _events.C_RAISE, self._c_raise)
        register(self._tool, _events.INSTRUCTION, self._instruction)
        register(self._tool, _events.PY_RETURN, self._return)
        register(self._tool, _events.PY_YIELD, self._yield)
        register(self._tool, _events.PY_UNWIND, self._unwind)
        register(self._tool, _events.JUMP, self._jump)
        register(self._tool, _events.LINE, self._line)
        self.recording.waking = wakeup_descriptor() != NONE
        for running in stack(frame):
            self.recording.begins(running.f_code)
            self._enter(running.f_code)
        for running in stack(frame):
            if running.f_back is not None:
                self._under_way[id(running.f_back)] = running.f_back.f_lasti
            self._watch_return(running)
        everywhere = _events.PY_START | _events.PY_RESUME | _events.PY_THROW
        _monitoring.set_events(self._tool, everywhere | (_events.PY_UNWIND if self._excursions else 0))

    def stop(self) -> None:
        if tools.is_held(self._tool):
            _monitoring.set_events(self._tool, 0)
            watched = (*self._codes.values(), *self._outer.values())
            for code in (*(code for code, _ in watched), *self._returning.values()):
                _monitoring.set_local_events(self._tool, code, 0)
        self._asked = self._inside = None
        self._begun = 0
        self._methods.clear()

    def _count(self, event: str, code: CodeType, offset: int, callee: CodeType | None = None) -> Trigger:
        key = (event, id(code), offset, id(callee))
        self._counts[key] = self._counts.get(key, 0) + 1
        return Trigger(event, code, offset, self._counts[key], callee)

    def _mine(self, code: CodeType, offset: int) -> bool:
        """Tell whether the main thread runs ``code``; note what other threads reach."""
        if threading.get_ident() == self._main:
            return True
        self.recording.other_threads.add((code.co_filename, line_of(code, offset)))
        return False

    def _enter(self, code: CodeType) -> bool:
        """Arm a code object in scope when it is first entered; tell whether it is in scope."""
        if id(code) in self._codes:
            return True
        if not self._in_scope(code.co_filename):
            return False
        silent = not self._lines and facts.silent(code)
        events = self._local | (_events.INSTRUCTION if silent else 0)
        self._codes[id(code)] = (code, events)
        _monitoring.set_local_events(self._tool, code, events)
        return True

    def _start(self, code: CodeType, offset: int) -> object:
        if code.co_filename in _OURS:
            return _monitoring.DISABLE
        self.recording.begins(code)
        in_scope = self._enter(code)
        frame = caller_frame()
        if self._lines:
            if in_scope and facts.starts_on_its_line(code, offset) and threading.get_ident() == self._main:
                self._begun = id(frame)
                trigger = self._count("PY_START", code, offset)
                self.recording.add("line", offset, frame, self._in_scope, trigger)
            return None
        if self._excursions is not None and threading.get_ident() == self._main:
            self._follow("PY_START", code, offset, frame, self._excursions, in_scope=in_scope, checks=True)
        if in_scope and self._mine(code, offset):
            self.recording.add("entry", offset, frame, self._in_scope, self._count("PY_START", code, offset))
        self._watch_return(frame)
        return None

    def _resume(self, code: CodeType, offset: int) -> None:
        self.recording.running = 0
        in_scope = self._enter(code)
        if self._lines:
            return
        checks = facts.checks_on_resume(code, offset)
        if self._excursions is not None and threading.get_ident() == self._main:
            frame = caller_frame()
            self._follow("PY_RESUME", code, offset, frame, self._excursions, in_scope=in_scope, checks=checks)
        if in_scope and checks and self._mine(code, offset):
            self.recording.add("resume", offset, caller_frame(), self._in_scope, self._count("PY_RESUME", code, offset))

    def _throw(self, code: CodeType, offset: int, _: object) -> None:
        self.recording.running = 0
        in_scope = self._enter(code)  # of a generator suspended when the recording began, this may be the first event
        if self._excursions is not None and threading.get_ident() == self._main:
            frame = caller_frame()
            self._follow("PY_THROW", code, offset, frame, self._excursions, in_scope=in_scope, checks=False)

    # Stretches of code out of scope

    def _follow(
        self,
        event: str,
        code: CodeType,
        offset: int,
        frame: FrameType,
        excursions: Excursions,
        *,
        in_scope: bool,
        checks: bool,
    ) -> None:
        """Note that a function begins or goes on; ``checks``: which is a checkpoint."""
        if self._hears or is_ours(code.co_filename):
            return
        if in_scope:
            excursions.ends()
            return
        caller = frame.f_back
        if caller is not None and id(caller.f_code) in self._codes:
            at = facts.calling(caller.f_code, caller.f_lasti)
            excursions.calls(caller, frame, self._count(event, caller.f_code, at, code), checks=checks)
            self._watch(code, _GOES | (_FINE if excursions.finely else 0))
        elif excursions.follows:
            if excursions.finely:
                self._watch(code, _FINE)
            if checks:
                excursions.passes(event, code, offset)

    def _watch(self, code: CodeType, events: int) -> None:
        """Ask for events of code out of scope, besides those asked for already."""
        _, known = self._outer.get(id(code), (code, 0))
        if known | events != known:
            self._outer[id(code)] = (code, known | events)
            _monitoring.set_local_events(self._tool, code, known | events)

    def _goes(self, event: str, code: CodeType, offset: int, frame: FrameType) -> None:
        """Note that a frame ends or is suspended."""
        excursions = self._excursions
        if excursions is None or threading.get_ident() != self._main:
            return
        if id(code) not in self._codes:
            excursions.left(frame)
            return
        caller = frame.f_back
        if caller is None or id(caller.f_code) in self._codes:
            return
        if excursions.leaves(frame, offset, self._count(event, code, offset)):
            for running in stack(caller):
                if id(running.f_code) in self._codes or id(running.f_code) in base.OUTERMOST:
                    break
                self._watch(running.f_code, _FINE)

    def _yield(self, code: CodeType, offset: int, _: object) -> None:
        self._goes("PY_YIELD", code, offset, caller_frame())

    def _unwind(self, code: CodeType, offset: int, _: object) -> None:
        self._goes("PY_UNWIND", code, offset, caller_frame())

    # Calls, and what they return

    def _watch_return(self, frame: FrameType) -> None:
        """Ask for the return of a function to code in scope if it may be checked without a ``C_RETURN``.

        So it is with what was called through ``*args``, which may be a method, and with what is called by C code which was
        called before the start.
        """
        caller = frame.f_back
        if self._lines or caller is None or id(caller.f_code) not in self._codes:
            return
        code, offset = caller.f_code, caller.f_lasti
        if facts.is_star_call(code, offset) or (self._is_under_way(caller) and facts.is_call(code, offset)):
            callee = frame.f_code
            _, known = self._codes.get(id(callee)) or self._outer.get(id(callee), (callee, 0))
            _monitoring.set_local_events(self._tool, frame.f_code, known | _events.PY_RETURN)
            self._returning[id(frame.f_code)] = frame.f_code

    def _is_under_way(self, frame: FrameType) -> bool:
        return self._under_way.get(id(frame)) == frame.f_lasti

    def _return(self, code: CodeType, at: int, _: object) -> object:
        frame = caller_frame().f_back
        if frame is None or threading.get_ident() != self._main:
            return None
        if self._excursions is not None:
            self._goes("PY_RETURN", code, at, caller_frame())
        caller, offset = frame.f_code, frame.f_lasti
        under_way = self._is_under_way(frame)
        if id(caller) not in self._codes or not (under_way or facts.is_star_call(caller, offset)):
            return None
        trigger = self._count("PY_RETURN", caller, offset, code)
        if facts.STAR_CALL_OF_METHOD_IS_SILENT or under_way:
            self._asked = _Question(id(frame), trigger)
            return self.probe.trip.now
        if self._methods.pop(id(frame), -1) == offset:
            self.recording.add("call", offset, frame, self._in_scope, trigger)
        return None

    def _instruction(self, code: CodeType, offset: int) -> object:
        if offset not in facts.silent(code):
            return _monitoring.DISABLE
        if threading.get_ident() != self._main:
            return None
        trigger = self._count("INSTRUCTION", code, offset)
        if self.recording.waking and wakeup_descriptor() != NONE:
            return None
        self._asked = _Question(id(caller_frame()), trigger)
        return self.probe.trip.now

    def _call(self, code: CodeType, offset: int, function: object, _: object) -> object:
        if threading.get_ident() != self._main or id(code) not in self._codes:
            return None
        frame = id(caller_frame())
        self._under_way.pop(frame, None)
        method = type(function) is MethodType and facts.is_star_call(code, offset)
        if method:
            self._methods[frame] = offset
        else:
            self._methods.pop(frame, None)
        self._inside = None
        trigger = self._count("CALL", code, offset)
        if function is signal.set_wakeup_fd:
            self.recording.waking = True
        if self.recording.waking and wakeup_descriptor() != NONE:
            return None
        self._asked = _Question(frame, trigger, answers=method)
        return self.probe.trip.now

    def heard(self, frame: FrameType) -> None:
        """Learn that CPython handled the probe in ``frame``."""
        asked, self._asked = self._asked, None
        if asked is None or id(frame) != asked.frame or frame.f_lasti != asked.trigger.offset:
            return
        if asked.answers:
            self._hears = True  # what is called from here is seen, unlike what callbacks call
            self._found(asked, frame)
            self._hears = False
        else:
            self._inside = asked

    def _found(self, asked: _Question, frame: FrameType) -> None:
        self.recording.add("call", asked.trigger.offset, frame, self._in_scope, asked.trigger)

    def _c_return(self, code: CodeType, offset: int, _: object, __: object) -> None:
        if id(code) not in self._codes:
            self._passes("C_RETURN", code, offset, checks=facts.checks_on_return(code, offset))
        elif not facts.checks_on_return(code, offset):
            self._checked_inside(offset)
        elif self._mine(code, offset):
            self.recording.add("call", offset, caller_frame(), self._in_scope, self._count("C_RETURN", code, offset))

    def _passes(self, event: str, code: CodeType, offset: int, *, checks: bool) -> None:
        """Note a checkpoint out of scope, if it is one."""
        if self._excursions is not None and checks and threading.get_ident() == self._main:
            self._excursions.passes(event, code, offset)

    def _c_raise(self, code: CodeType, offset: int, function: object, __: object) -> None:
        if id(code) in self._codes and not facts.loses_interrupts(function):
            self._checked_inside(offset)

    def _checked_inside(self, offset: int) -> None:
        """Note a call that did not check when it ended, if it did before."""
        inside, frame = self._inside, caller_frame(2)
        if inside is not None and id(frame) == inside.frame and offset == inside.trigger.offset:
            self._found(inside, frame)

    def _jump(self, code: CodeType, offset: int, destination: int) -> None:
        backward = destination <= offset and facts.is_backward_jump(code, offset)
        if id(code) not in self._codes:
            self._passes("INSTRUCTION", code, offset, checks=backward)
        elif backward and self._mine(code, offset):
            trigger = self._count("INSTRUCTION", code, offset)
            self.recording.add("jump", offset, caller_frame(), self._in_scope, trigger)

    def _line(self, code: CodeType, line: int) -> None:
        if threading.get_ident() != self._main:
            self.recording.other_threads.add((code.co_filename, line))
            return
        frame = caller_frame()
        trigger = self._count("LINE", code, line)
        if id(frame) != self._begun or line != line_of(code, facts.resume_of(code)):
            self.recording.add("line", frame.f_lasti, frame, self._in_scope, trigger)
        self._begun = 0
