"""The engine for CPython 3.11; see the package's docstring for its theory of operation."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.arming import arming
from pytest_maskcheck.interrupts.cpython.probe import Probe
from pytest_maskcheck.interrupts.engine import nothing
from pytest_maskcheck.interrupts.signals.states import SignalRecording
from pytest_maskcheck.interrupts.signals.tracing.catching import TracedCatching
from pytest_maskcheck.interrupts.signals.tracing.passing import Passing
from pytest_maskcheck.interrupts.signals.tracing.recorder import Recorder
from pytest_maskcheck.interrupts.signals.tracing.striker import Striker
from pytest_maskcheck.interrupts.signals.tracing.timing import Timing
from pytest_maskcheck.interrupts.signals.tracing.tracer import tracing, untrace
from pytest_maskcheck.interrupts.signals.two_phases import arranged
from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.system.unpatched import threading
from pytest_maskcheck.system.wakeup_descriptor import NONE, wakeup_descriptor

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from pytest_maskcheck.interrupts.catching import Catching
    from pytest_maskcheck.interrupts.places import InScope, Mode, Site, Trigger
    from pytest_maskcheck.interrupts.recording import Recording
    from pytest_maskcheck.interrupts.signals.delivery import Delivery
    from pytest_maskcheck.interrupts.strike import Strike
    from pytest_maskcheck.interrupts.timing import Clock


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes phases that trace; see :class:`~..two_phases.Maker`."""

    in_scope: InScope
    mode: Mode

    def recorder(self, recording: SignalRecording) -> Recorder:
        return Recorder(self.in_scope, self.mode, recording)

    def striker(self, trigger: Trigger, delivery: Delivery) -> Striker:
        return Striker(trigger, self.in_scope, self.mode, delivery)

    def catcher(self, catching: Catching) -> TracedCatching:
        return TracedCatching(catching)


class TracingEngine:
    """Finds places and strikes at them with ``sys.settrace``; see :class:`~pytest_maskcheck.interrupts.engine.Engine`."""

    name = "sys.settrace"
    ahead = True

    @arming
    def record(
        self, in_scope: InScope, mode: Mode, numbers: Collection[int] = (), *, outside: bool = False
    ) -> Iterator[Recording]:
        recorder = Recorder(in_scope, mode, SignalRecording(signums=tuple(numbers), outside=outside))
        before = threading.gettrace()
        threading.settrace(recorder.elsewhere)
        try:
            recorder.recording.waking = wakeup_descriptor() != NONE
            with Probe(recorder.heard, numbers) as recorder.probe, tracing(recorder):
                yield recorder.recording
        finally:
            threading.settrace(before)

    @arming
    def survey(self, in_scope: InScope, mode: Mode) -> Iterator[list[Site]]:
        sites: list[Site] = []
        with self.record(in_scope, mode, outside=True) as recording:
            yield sites
        sites += recording.sites()

    @arming
    def strike(
        self,
        trigger: Trigger,
        in_scope: InScope,
        mode: Mode,
        number: int,
        struck: Callable[[], None],
        *,
        then: Trigger | Recording | None = None,
        begins: Callable[[], None] = nothing,
        catching: Catching | None = None,
    ) -> Iterator[Strike]:
        with ExitStack() as ending:
            make = _Maker(in_scope, mode)
            phases = arranged(make, trigger, number, struck, then=then, begins=begins, catching=catching, ending=ending)
            with tracing(phases.first):
                yield phases.strike

    @arming
    def forward(
        self,
        triggers: Sequence[Trigger],
        in_scope: InScope,
        mode: Mode,
        strike: Strike,
        reached: Callable[[int], Delivery | None],
    ) -> Iterator[Strike]:
        with ExitStack() as ending, tracing(Passing(triggers, in_scope, mode, reached, ending)):
            yield strike

    @arming
    def time(self, triggers: Sequence[Trigger], in_scope: InScope, mode: Mode) -> Iterator[Clock]:
        yield Timing(triggers, in_scope, mode)

    def disarm(self) -> None:
        """Stop tracing."""
        untrace()

    def reason_against_second(self, mode: Mode) -> Reason | None:
        """Return a reason in mode ``raise``: raising in a trace function ends tracing for good."""
        return Reason(NotAudited.TRACING_ENDS) if mode == "raise" else None
