"""The engine for CPython 3.12 and later; see the package's docstring for its theory of operation."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.arming import arming
from pytest_maskcheck.interrupts.cpython import tools
from pytest_maskcheck.interrupts.cpython.probe import Probe
from pytest_maskcheck.interrupts.engine import nothing
from pytest_maskcheck.interrupts.signals.monitoring.catching import MonitoredCatching
from pytest_maskcheck.interrupts.signals.monitoring.checkpoints import CheckpointRecorder
from pytest_maskcheck.interrupts.signals.monitoring.line_starts import LineRecorder
from pytest_maskcheck.interrupts.signals.monitoring.passing import Passing
from pytest_maskcheck.interrupts.signals.monitoring.striker import Striker
from pytest_maskcheck.interrupts.signals.monitoring.surveyor import Surveyor
from pytest_maskcheck.interrupts.signals.monitoring.timing import Timing
from pytest_maskcheck.interrupts.signals.states import SignalRecording
from pytest_maskcheck.interrupts.signals.two_phases import arranged

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from pytest_maskcheck.interrupts.catching import Catching
    from pytest_maskcheck.interrupts.places import InScope, Mode, Site, Trigger
    from pytest_maskcheck.interrupts.recording import Recording
    from pytest_maskcheck.interrupts.signals.delivery import Delivery
    from pytest_maskcheck.interrupts.signals.monitoring.recorder import Recorder
    from pytest_maskcheck.interrupts.strike import Strike
    from pytest_maskcheck.interrupts.timing import Clock


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes phases that watch through one tool; see :class:`~..two_phases.Maker`."""

    tool: int
    in_scope: InScope
    mode: Mode

    def recorder(self, recording: SignalRecording) -> Recorder:
        kind = CheckpointRecorder if self.mode == "checkpoint" else LineRecorder
        return kind(self.tool, self.in_scope, recording)

    def striker(self, trigger: Trigger, delivery: Delivery) -> Striker:
        return Striker(self.tool, trigger, self.in_scope, self.mode, delivery)

    def catcher(self, catching: Catching) -> MonitoredCatching:
        return MonitoredCatching(self.tool, catching)


class MonitoringEngine:
    """Finds places and strikes at them with ``sys.monitoring``; see :class:`~pytest_maskcheck.interrupts.engine.Engine`."""

    name = "sys.monitoring"
    ahead = False

    @arming
    def record(
        self, in_scope: InScope, mode: Mode, numbers: Collection[int] = (), *, outside: bool = False
    ) -> Iterator[Recording]:
        with tools.taken() as tool:
            recording = SignalRecording(signums=tuple(numbers), outside=outside)
            recorder = _Maker(tool, in_scope, mode).recorder(recording)
            with Probe(recorder.heard, numbers) as recorder.probe:
                recorder.start(None)
                try:
                    yield recording
                finally:
                    recorder.stop()

    @arming
    def survey(self, in_scope: InScope, mode: Mode) -> Iterator[list[Site]]:
        sites: list[Site] = []
        if mode != "checkpoint":
            with self.record(in_scope, mode) as recording:
                yield sites
            sites += recording.sites()
            return
        with tools.taken() as tool:
            surveyor = Surveyor(tool, in_scope, sites)
            surveyor.start()
            try:
                yield sites
            finally:
                surveyor.stop()

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
        with tools.taken() as tool, ExitStack() as ending:
            make = _Maker(tool, in_scope, mode)
            phases = arranged(make, trigger, number, struck, then=then, begins=begins, catching=catching, ending=ending)
            phases.first.start(None)
            try:
                yield phases.strike
            finally:
                phases.first.stop()
                for phase in phases.later:
                    phase.stop()

    @arming
    def forward(
        self,
        triggers: Sequence[Trigger],
        in_scope: InScope,
        mode: Mode,
        strike: Strike,
        reached: Callable[[int], Delivery | None],
    ) -> Iterator[Strike]:
        with tools.taken() as tool, ExitStack() as ending:
            passing = Passing(tool, triggers, in_scope, mode, reached=reached, ending=ending)
            passing.start()
            try:
                yield strike
            finally:
                passing.stop()

    @arming
    def time(self, triggers: Sequence[Trigger], _in_scope: InScope, _mode: Mode) -> Iterator[Clock]:
        with tools.taken() as tool:
            timing = Timing(tool, triggers)
            timing.start()
            try:
                yield timing
            finally:
                timing.stop()

    def disarm(self) -> None:
        """Give the tool back."""
        tools.disarm()

    def reason_against_second(self, _: Mode) -> None:
        """Return ``None``: watching can always go on after an interrupt."""
