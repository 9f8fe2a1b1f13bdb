"""Arranges the phases of an interrupted run: the wait for a trigger, and what begins when that interrupt has landed.

==================  ============================  ========================================
purpose             first phase                   when the first interrupt has landed
==================  ============================  ========================================
one interrupt       the wait for its trigger      nothing, or the watch for what catches it
a recording after   the wait for its trigger      the recording
a second interrupt  the wait for the first one's  the wait for the second one's trigger,
                    trigger                       then as for one interrupt
==================  ============================  ========================================

The arrangement is the same for both engines; they differ in how each phase watches (:class:`Maker`). All this runs before anything is
armed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from pytest_maskcheck.interrupts.cpython.probe import Probe
from pytest_maskcheck.interrupts.places import Trigger
from pytest_maskcheck.interrupts.signals.delivery import Delivery
from pytest_maskcheck.interrupts.signals.states import SignalRecording

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from types import FrameType

    from pytest_maskcheck.interrupts.catching import Catching
    from pytest_maskcheck.interrupts.engine import Phase
    from pytest_maskcheck.interrupts.recording import Recording
    from pytest_maskcheck.interrupts.strike import Strike


S = TypeVar("S", bound="Phase")
S_co = TypeVar("S_co", bound="Phase", covariant=True)


class Records(Protocol):
    """A phase that records, with a probe."""

    probe: Probe

    def heard(self, frame: FrameType) -> None:
        """Record that CPython handled the probe in ``frame``."""
        ...

    def start(self, frame: FrameType | None) -> None:
        """See :class:`.engine.Phase`."""
        ...

    def stop(self) -> None:
        """See :class:`.engine.Phase`."""
        ...


class Maker(Protocol[S_co]):
    """Makes the phases of one engine; ``S_co`` is the type of its phase that waits for a trigger."""

    def recorder(self, recording: SignalRecording) -> Records:
        """Return the phase that fills in a recording."""
        ...

    def striker(self, trigger: Trigger, delivery: Delivery) -> S_co:
        """Return the phase that waits for a trigger and delivers there."""
        ...

    def catcher(self, catching: Catching) -> Phase:
        """Return the phase that watches which handlers catch the interrupt."""
        ...


@dataclass(frozen=True, slots=True, repr=False)
class Phases(Generic[S]):
    """The phase that an engine starts, and the phases that it has to stop later.

    Parameters:
        first: the phase to start at once.
        later: phases that begin when the first interrupt, or the last one, has landed.
        strike: what becomes of the last interrupt.
    """

    first: S
    later: tuple[Phase, ...]
    strike: Strike


def arranged(
    make: Maker[S],
    trigger: Trigger,
    signum: int,
    struck: Callable[[], None],
    *,
    then: Trigger | Recording | None,
    begins: Callable[[], None],
    catching: Catching | None,
    ending: ExitStack,
) -> Phases[S]:
    """Return the phases of an interrupted run; the parameters are those of :meth:`.engine.Engine.strike`.

    Parameters:
        make: makes the phases.
        trigger: the trigger of the first interrupt.
        signum: the signal.
        struck: called just before the last signal is sent.
        then: what begins when the first interrupt has landed.
        begins: called just before the first of two signals is sent.
        catching: collects the handlers that the last interrupt enters and leaves.
        ending: on exit, takes back signals that have not arrived.
    """
    catcher = make.catcher(catching) if catching is not None else None
    after, last = catcher, None
    if isinstance(then, Trigger):
        last = Delivery(signum, struck, catcher.start if catcher else None)
        ending.callback(last.close)
        after = make.striker(then, last)
    elif then is not None:
        assert isinstance(then, SignalRecording)  # because ``SignalMechanism.recording`` made it
        after = recorder = make.recorder(then)
        recorder.probe = ending.enter_context(Probe(recorder.heard, {signum}))
    first = Delivery(signum, struck if last is None else begins, after.start if after else None)
    ending.callback(first.close)
    if last is not None:
        last.strike.earlier = first.strike
    final = last or first
    if catching is not None and catcher is not None:
        # The landing of a blocked signal cannot be seen, so the watch begins when the signal is sent.
        final.held = catcher.start
        catching.strike = final.strike
    later = tuple(phase for phase in (after, catcher) if phase is not None)
    return Phases(make.striker(trigger, first), later, final.strike)
