"""Records every hit of one run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.interrupts.cpython.frames import stack
from pytest_maskcheck.interrupts.cpython.probe import HANDLER
from pytest_maskcheck.interrupts.places import OUTERMOST, Trigger
from pytest_maskcheck.interrupts.signals.excursions import Excursions
from pytest_maskcheck.interrupts.signals.states import wakeup_lines
from pytest_maskcheck.interrupts.signals.tracing.tracer import Tracer
from pytest_maskcheck.system.own_code import is_ours
from pytest_maskcheck.system.unpatched import signal
from pytest_maskcheck.system.wakeup_descriptor import NONE, put_back, wakeup_descriptor

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from pytest_maskcheck.interrupts.cpython.probe import Probe
    from pytest_maskcheck.interrupts.places import InScope, Mode, PlaceKind
    from pytest_maskcheck.interrupts.signals.states import SignalRecording
    from pytest_maskcheck.interrupts.signals.tracing.tracer import TraceFunction
    from pytest_maskcheck.interrupts.signals.waits import Awaited


class Recorder(Tracer):
    """The phase that records every hit of one run."""

    probe: Probe

    def __init__(self, in_scope: InScope, mode: Mode, recording: SignalRecording) -> None:
        super().__init__(in_scope, mode)
        self.recording = recording
        self._counts: dict[Awaited, int] = {}
        self._kept: dict[int, CodeType] = {}  # by ``id``; kept alive so that no other code object gets the same ``id``
        self._probed: tuple[int, int, Trigger] | None = (
            None  # where the probe was sent: id of the frame, offset, trigger
        )
        self._hears = False
        self._left = False  # the probe was sent as code in scope gave control back to code out of scope
        self._excursions = Excursions(recording, in_scope) if recording.outside and mode == "checkpoint" else None
        self._taken = NONE  # the wakeup descriptor while a probe is on its way

    def start(self, frame: FrameType | None) -> None:
        self.recording.waking = wakeup_descriptor() != NONE
        for running in stack(frame):
            self.recording.begins(running.f_code)
        super().start(frame)

    def enter(self, frame: FrameType, event: str, value: object) -> TraceFunction | None:
        self.recording.begins(frame.f_code)
        if frame.f_code is HANDLER:
            self._hears = True  # the handler is traced like any other function, and so are its callees
        if self._excursions is None or self._hears or is_ours(frame.f_code.co_filename):
            return super().enter(frame, event, value)
        return self._follow(frame, self._excursions) or super().enter(frame, event, value)

    def _count(self, event: str, code: CodeType, offset: int, callee: CodeType | None = None) -> Trigger:
        self._kept[id(code)] = code
        key = (event, id(code), offset, id(callee))
        self._counts[key] = self._counts.get(key, 0) + 1
        return Trigger(event, code, offset, self._counts[key], callee)

    def _follow(self, frame: FrameType, excursions: Excursions) -> TraceFunction | None:
        """Record that a function begins or resumes; return a trace function if it is out of scope and to be followed, else ``None``."""
        code, caller = frame.f_code, frame.f_back
        if self.watches(code):
            excursions.ends()
            return None
        checks = facts.checks_on_resume(code, frame.f_lasti)
        if caller is not None and self.watches(caller.f_code):
            at = facts.calling(caller.f_code, caller.f_lasti)
            self._kept[id(code)] = code
            # Counted as an event of the caller, since the stretch belongs to the caller's instruction.
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
                return self.local(frame, event, value)  # sends a probe: the call in scope may check now
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
                    return self.local  # counted, but no place
                self._probed = (id(frame), at, trigger)
                return self.probe.trip.now
        elif event == "return":
            self.recording.running = 0
            caller = frame.f_back
            if caller is not None and self.watches(code) and self._leaves(frame, caller):
                self._probed, self._left = None, True
                return self.probe.trip.now
            if self.mode == "checkpoint" and caller is not None and self.called(caller):
                trigger = self._count("return", caller.f_code, caller.f_lasti)
                if self.recording.waking and not self._take(caller):
                    return self.local
                self._probed = (id(caller), caller.f_lasti, trigger)
                return self.probe.trip.now
        return self.local

    def _leaves(self, frame: FrameType, caller: FrameType) -> bool:
        """Record that a frame in scope gives control back to its caller; return whether the caller is out of scope and now followed."""
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
        """Remove the wakeup descriptor, since the probe would be written to it; return whether a probe may be sent in ``frame``."""
        if frame.f_lineno in wakeup_lines(frame.f_code):  # the very next call may return the descriptor to its owner
            return wakeup_descriptor() == NONE
        self._taken = signal.set_wakeup_fd(NONE)
        return True

    def elsewhere(self, frame: FrameType, event: str, _: object) -> TraceFunction | None:
        """Trace function for other threads: record the lines that they reach."""
        if not self.watches(frame.f_code):
            return None
        if event == "line":
            self.recording.other_threads.add((frame.f_code.co_filename, frame.f_lineno))
        return self.elsewhere

    def heard(self, frame: FrameType) -> None:
        """Record that CPython handled the probe in ``frame``."""
        self._hear(frame)
        self._hears = False

    def _hear(self, frame: FrameType) -> None:
        if self._taken != NONE:
            taken, self._taken = self._taken, NONE
            put_back(taken)
        probed, self._probed = self._probed, None
        left, self._left = self._left, False
        if (
            left
            and self._excursions is not None
            and not (self.watches(frame.f_code) or is_ours(frame.f_code.co_filename))
        ):
            self._excursions.passes("leave", frame.f_code, frame.f_lasti)
        if probed is None or id(frame) != probed[0] or frame.f_lasti != probed[1]:
            return
        kind: PlaceKind = "jump" if facts.is_backward_jump(frame.f_code, frame.f_lasti) else "call"
        self.recording.add(kind, frame.f_lasti, frame, self.in_scope, probed[2])
