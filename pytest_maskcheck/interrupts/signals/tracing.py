"""The engine for CPython 3.11, built on ``sys.settrace`` with opcode events.

Theory of operation. 3.11 has no event for "this call has returned". But a signal that is made pending before
a call is handled by CPython itself at the next checkpoint, and that is after the call, unless the call was
inlined or ran Python code. So the recorder makes a signal of its own pending (``probe.py``) before every call, every
backward jump and everything that makes text of an object (f-strings, ``%``), and again whenever a Python function that
such a call ran returns: where CPython calls the probe's handler is a checkpoint; if the tracer itself is interrupted,
there was none. To strike there later, the same event of the run is awaited and the real signal made pending.

===========  ==========================================  ================================================
place        event awaited                               delivery (see ``delivery.py``)
===========  ==========================================  ================================================
entry        ``call``                                    at once: the check lies behind
resume       ``call``, not after ``await``               at once, likewise
call, jump   ``opcode`` of the call, text or jump, or    left pending
             ``return`` of a function that the call ran
line         ``line``                                    ``line``: left pending; ``raise``: raised at once
into, back   ``call`` of a function out of scope, or     at once; left pending
             ``opcode`` of a call or jump there
===========  ==========================================  ================================================

Rules:

1. Only the main thread is traced: only it runs signal handlers. What other threads reach is noted.
2. Frames out of scope are traced only if a call in scope ran them, and then only for their return; instruction by instruction in the
   stretches that are followed (``excursions.py``). CPython is not asked there: calls are carried out unspecialised while they are traced.
3. A strike switches tracing off before it sends the signal: the tracer's own entry would be the next checkpoint.
4. A child process forked by the code under test is not traced.
5. If something begins when the interrupt lands, the signal is left pending at function entries, too: raising in the trace function
   would end tracing for good. The ``RESUME`` checks again after the trace function has returned.

Where it still fails: while tracing, a C function that runs several Python functions (``sorted`` with a
``key``) is struck after the last of them, as a real signal at the end of the call would be. Checks of C code that waits
are not found, as in ``monitoring.py``; and ``int("x")``, which loses interrupts, cannot be told from other calls. Lines
that a thread reaches which was started before the run are not noted. While a wakeup descriptor is set
(``signal.set_wakeup_fd``) it is taken away for each question; lines that name it are not asked then, and their calls have no place.
"""

from __future__ import annotations

from contextlib import ExitStack
from sys import gettrace, settrace
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.interrupts.cpython.codes import is_stand_in
from pytest_maskcheck.interrupts.cpython.known import is_within
from pytest_maskcheck.interrupts.cpython.probe import HANDLER, Probe
from pytest_maskcheck.interrupts.signals.base import (
    OUTERMOST,
    Recording,
    Trigger,
    Waits,
    arming,
    nothing,
    site_of,
    stack,
    wakeup_lines,
)
from pytest_maskcheck.interrupts.signals.catching import TracedCatching
from pytest_maskcheck.interrupts.signals.delivery import Delivery
from pytest_maskcheck.interrupts.signals.excursions import Excursions
from pytest_maskcheck.system.own_code import is_ours
from pytest_maskcheck.system.unpatched import os, signal, threading
from pytest_maskcheck.system.wakeup_descriptor import NONE, put_back, wakeup_descriptor

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from types import CodeType, FrameType

    from pytest_maskcheck.interrupts.signals.base import InScope, Mode, PlaceKind, Strike
    from pytest_maskcheck.interrupts.signals.catching import Catching

    TraceFunction = Callable[[FrameType, str, Any], Any]


def _untrace() -> None:
    """Trace no more: in a forked child, and where a Ctrl-C of the user's came as tracing was to end."""
    if isinstance(getattr(gettrace(), "__self__", None), _Tracer):
        settrace(None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_untrace)


@arming
def _tracing(tracer: _Tracer) -> Iterator[None]:
    before = gettrace()
    settrace(tracer.enter)
    try:
        yield
    finally:
        settrace(before)


class TracingEngine:
    """Finds and hits places with ``sys.settrace``."""

    name = "sys.settrace"
    ahead = True

    @arming
    def record(
        self, in_scope: InScope, mode: Mode, avoid: Collection[int] = (), *, outside: bool = False
    ) -> Iterator[Recording]:
        """Watch the run in the body of the ``with`` statement; see :class:`~.base.Engine`."""
        recorder = _Recorder(in_scope, mode, Recording(signums=tuple(avoid), outside=outside))
        before = threading.gettrace()
        threading.settrace(recorder.elsewhere)
        try:
            recorder.recording.waking = wakeup_descriptor() != NONE
            with Probe(recorder.heard, avoid) as recorder.probe, _tracing(recorder):
                yield recorder.recording
        finally:
            threading.settrace(before)

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
        with ExitStack() as ending:
            last: Delivery | None = None
            catcher = TracedCatching(catching) if catching else None
            phase: TracedCatching | _Tracer | None = catcher
            if isinstance(then, Recording):
                recorder = phase = _Recorder(in_scope, mode, then)
                recorder.probe = ending.enter_context(Probe(recorder.heard, {signum}))
            elif then is not None:
                last = Delivery(signum, struck, catcher.start if catcher else None)
                ending.callback(last.close)
                phase = _Striker(then, in_scope, mode, last, at_once=catcher is None)
            first = Delivery(signum, struck if last is None else begins, phase.start if phase else None)
            ending.callback(first.close)
            if last is not None:
                last.strike.earlier = first.strike
            if catching is not None and catcher is not None:
                (last or first).held = catcher.start
                catching.strike = (last or first).strike
            with _tracing(_Striker(trigger, in_scope, mode, first, at_once=phase is None)):
                yield (last or first).strike

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
        with ExitStack() as ending, _tracing(_Passing(triggers, in_scope, mode, reached, ending)):
            yield strike

    def disarm(self) -> None:
        """Trace no more; see :class:`~.base.Engine`."""
        _untrace()

    def reason_against_second(self, mode: Mode) -> str:
        """Raising in a trace function ends tracing for good; see :class:`~.base.Engine`."""
        return (
            "an interrupt raised by force ends sys.settrace, with which this CPython is watched"
            if mode == "raise"
            else ""
        )


class _Tracer:
    """Chooses which frames to trace, and for what."""

    def __init__(self, in_scope: InScope, mode: Mode) -> None:
        self.in_scope = in_scope
        self.mode = mode

    def watches(self, code: CodeType) -> bool:
        """Tell whether calls, jumps and lines of ``code`` matter."""
        return self.in_scope(code.co_filename)

    def enter(self, frame: FrameType, _: str, __: object) -> TraceFunction | None:
        """Trace function for ``call`` events: a function is entered, or a generator resumed."""
        code = frame.f_code
        if self.watches(code):
            opcodes = self.mode == "checkpoint"
            frame.f_trace_opcodes, frame.f_trace_lines = opcodes, not opcodes
            if opcodes and facts.checks_on_resume(code, frame.f_lasti):
                return self.entered(frame)
            return self.resumed(frame) if opcodes else self.local
        caller = frame.f_back
        if self.mode == "checkpoint" and code is not HANDLER and caller is not None and self.called(caller):
            frame.f_trace_lines = False
            return self.local
        return None

    def called(self, frame: FrameType) -> bool:
        """Tell whether ``frame`` is watched and stands at a call."""
        return self.watches(frame.f_code) and facts.is_call(frame.f_code, frame.f_lasti)

    def start(self, frame: FrameType | None) -> None:
        """Begin while ``frame`` and those that called it are running; see :class:`~.base.Phase`."""
        opcodes = self.mode == "checkpoint"
        for running in stack(frame):
            if self.watches(running.f_code):
                running.f_trace_opcodes, running.f_trace_lines = opcodes, not opcodes
                running.f_trace = self.local
            elif opcodes and running.f_back is not None and self.called(running.f_back):
                running.f_trace_lines = False
                running.f_trace = self.local
        settrace(self.enter)

    def entered(self, frame: FrameType) -> TraceFunction | None:
        """Act on a function entry or a resumption; return the trace function of the frame."""
        raise NotImplementedError

    def resumed(self, _: FrameType) -> TraceFunction | None:
        """Act on a resumption that is no checkpoint; return the trace function of the frame."""
        return self.local

    def local(self, frame: FrameType, event: str, value: object) -> Any:
        """Trace function for the events within a frame."""
        raise NotImplementedError


class _Recorder(_Tracer):
    """Lists every hit of one run."""

    probe: Probe

    def __init__(self, in_scope: InScope, mode: Mode, recording: Recording) -> None:
        super().__init__(in_scope, mode)
        self.recording = recording
        self._counts: dict[tuple[str, int, int, int], int] = {}
        self._kept: dict[int, CodeType] = {}
        self._asked: tuple[int, int, Trigger] | None = None  # id of the frame, offset, trigger
        self._hears = False
        self._left = False  # asked where the code out of scope that goes on now checks
        self._excursions = Excursions(recording, in_scope) if recording.outside and mode == "checkpoint" else None
        self._taken = NONE  # the wakeup descriptor while CPython is asked

    def start(self, frame: FrameType | None) -> None:
        self.recording.waking = wakeup_descriptor() != NONE
        for running in stack(frame):
            self.recording.begins(running.f_code)
        super().start(frame)

    def enter(self, frame: FrameType, event: str, value: object) -> TraceFunction | None:
        self.recording.begins(frame.f_code)
        if frame.f_code is HANDLER:
            self._hears = True  # it is traced like any other function, and so is what it calls
        if self._excursions is None or self._hears or is_ours(frame.f_code.co_filename):
            return super().enter(frame, event, value)
        return self._follow(frame, self._excursions) or super().enter(frame, event, value)

    def _count(self, event: str, code: CodeType, offset: int, callee: CodeType | None = None) -> Trigger:
        self._kept[id(code)] = code
        key = (event, id(code), offset, id(callee))
        self._counts[key] = self._counts.get(key, 0) + 1
        return Trigger(event, code, offset, self._counts[key], callee)

    def _follow(self, frame: FrameType, excursions: Excursions) -> TraceFunction | None:
        """Note that a function begins or goes on; return the trace function of one out of scope that is to be followed."""
        code, caller = frame.f_code, frame.f_back
        if self.watches(code):
            excursions.ends()
            return None
        checks = facts.checks_on_resume(code, frame.f_lasti)
        if caller is not None and self.watches(caller.f_code):
            at = facts.calling(caller.f_code, caller.f_lasti)
            self._kept[id(code)] = code
            excursions.calls(caller, frame, self._count("call", caller.f_code, at, code), checks=checks)
        elif not excursions.follows:
            return None
        elif checks:
            excursions.passes("call", code, frame.f_lasti)
        frame.f_trace_opcodes, frame.f_trace_lines = excursions.finely, False
        return self.beyond

    def beyond(self, frame: FrameType, event: str, value: object) -> Any:
        """Trace function for frames out of scope."""
        excursions, code = self._excursions, frame.f_code
        assert excursions is not None
        if event == "opcode":
            at = facts.operation(code, frame.f_lasti)
            if facts.is_call(code, at) or facts.is_backward_jump(code, at):
                excursions.begins_call("opcode", code, frame.f_lasti)
        elif event == "return":
            caller = frame.f_back
            if excursions.left(frame) and caller is not None and self.called(caller):
                return self.local(frame, event, value)  # asks whether the call checks now
        return self.beyond

    def entered(self, frame: FrameType) -> TraceFunction | None:
        code, offset = frame.f_code, frame.f_lasti
        kind: PlaceKind = "entry" if facts.is_entry(code, offset) else "resume"
        self.recording.add(kind, offset, frame, self.in_scope, self._count("call", code, offset))
        return self.local

    def local(self, frame: FrameType, event: str, _: object) -> Any:
        code, offset = frame.f_code, frame.f_lasti
        if event == "line":
            trigger = self._count("line", code, frame.f_lineno)
            self.recording.add("line", offset, frame, self.in_scope, trigger)
        elif event == "opcode":
            at = facts.operation(code, offset)
            if facts.is_call(code, at) or facts.is_backward_jump(code, at) or facts.makes_text(code, at):
                trigger = self._count("opcode", code, offset)
                if self.recording.waking and not self._take(frame):
                    return self.local
                self._asked = (id(frame), at, trigger)
                return self.probe.trip.now
        elif event == "return":
            self.recording.running = 0
            caller = frame.f_back
            if caller is not None and self.watches(code) and self._leaves(frame, caller):
                self._asked, self._left = None, True
                return self.probe.trip.now
            if self.mode == "checkpoint" and caller is not None and self.called(caller):
                trigger = self._count("return", caller.f_code, caller.f_lasti)
                if self.recording.waking and not self._take(caller):
                    return self.local
                self._asked = (id(caller), caller.f_lasti, trigger)
                return self.probe.trip.now
        return self.local

    def _leaves(self, frame: FrameType, caller: FrameType) -> bool:
        """Note that a frame in scope goes back to its caller; tell whether that is out of scope, to be followed and watched now."""
        code, offset, excursions = frame.f_code, frame.f_lasti, self._excursions
        if excursions is None or self.watches(caller.f_code):
            return False
        if not excursions.leaves(frame, offset, self._count("leave", code, offset)):
            return False
        for running in stack(caller):
            if self.watches(running.f_code) or id(running.f_code) in OUTERMOST:
                break
            running.f_trace, running.f_trace_opcodes, running.f_trace_lines = self.beyond, True, False
        return True

    def _take(self, frame: FrameType) -> bool:
        """Take the wakeup descriptor away while CPython is asked in ``frame``: the probe would be written there. Tell whether it may."""
        if frame.f_lineno in wakeup_lines(frame.f_code):  # the very next call may return the descriptor to its owner
            return wakeup_descriptor() == NONE
        self._taken = signal.set_wakeup_fd(NONE)
        return True

    def elsewhere(self, frame: FrameType, event: str, _: object) -> TraceFunction | None:
        """Trace function for other threads: note the lines that they reach."""
        if not self.watches(frame.f_code):
            return None
        if event == "line":
            self.recording.other_threads.add((frame.f_code.co_filename, frame.f_lineno))
        return self.elsewhere

    def heard(self, frame: FrameType) -> None:
        """Learn that the probe was handled in ``frame``."""
        self._hear(frame)
        self._hears = False

    def _hear(self, frame: FrameType) -> None:
        if self._taken != NONE:
            taken, self._taken = self._taken, NONE
            put_back(taken)
        asked, self._asked = self._asked, None
        left, self._left = self._left, False
        if (
            left
            and self._excursions is not None
            and not (self.watches(frame.f_code) or is_ours(frame.f_code.co_filename))
        ):
            self._excursions.passes("leave", frame.f_code, frame.f_lasti)
        if asked is None or id(frame) != asked[0] or frame.f_lasti != asked[1]:
            return
        kind: PlaceKind = "jump" if facts.is_backward_jump(frame.f_code, frame.f_lasti) else "call"
        self.recording.add(kind, frame.f_lasti, frame, self.in_scope, asked[2])


class _Striker(_Tracer):
    """Waits for one trigger and sends the signal; if it is counted from another event on, waits for that one first.

    Parameters:
        at_once: a signal at a function entry is delivered by the tracer. Otherwise it is left pending: the ``RESUME`` checks
            again when the tracer has returned.
    """

    def __init__(
        self, trigger: Trigger, in_scope: InScope, mode: Mode, delivery: Delivery, *, at_once: bool = True
    ) -> None:
        super().__init__(in_scope, mode)
        self._trigger = trigger
        self._delivery = delivery
        self._at_once = at_once
        self._await(trigger.since or trigger)

    def _await(self, trigger: Trigger) -> None:
        self._awaited = trigger
        self._left = trigger.count
        self._returning = trigger.event == "return"
        self._diverted = 0  # the frame in which the trigger came, by ``id``, if the strike takes a detour

    def watches(self, code: CodeType) -> bool:
        return _is_same(code, self._awaited.callee or self._awaited.code)

    def _comes(self, frame: FrameType | None) -> bool:
        """Count the awaited event; tell whether it is time to strike in ``frame``."""
        self._left -= 1
        if self._left:
            return False
        if self._awaited is not self._trigger:
            self._await(self._trigger)
            self.start(frame)
            return False
        assert frame is not None  # only the caller of a frame that ends may be missing, and nothing is struck there
        settrace(None)
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
        """Deliver in ``frame`` now: left pending, the signal might pass calls that are specialised, which do not check."""
        settrace(None)
        self._delivery.fires(frame, self.in_scope)
        self._delivery.at_once(frame)


def _is_same(code: CodeType, wanted: CodeType) -> bool:
    """Tell whether ``code`` is what is wanted, or what that stands in for."""
    return code is wanted or (is_stand_in(wanted) and code == wanted)


def _calls(place: FrameType, trigger: Trigger) -> bool:
    """Tell whether a frame stands at the call that a trigger names."""
    return _is_same(place.f_code, trigger.code) and facts.calling(place.f_code, place.f_lasti) == trigger.offset


class _Passing(_Tracer):
    """Goes by many triggers in one run; at each of them somebody decides whether to strike, in a process of its own."""

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
                settrace(None)
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
