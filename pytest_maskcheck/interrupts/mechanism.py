"""The protocol of a mechanism: one way for an asynchronous exception to arrive.

A mechanism answers five questions, and no other part of the plugin does:

==========================  =====================================================================================
who is the victim           ``victim``
which are its places        ``engine.record``, which fills in what ``recording`` returns
how is one delivered        ``engine.strike``, ``engine.forward``, ``engine.disarm``, ``delivery``,
                            ``hold_back``
which exception counts      ``is_interrupt``, ``is_delivered``; ``may_be_users``, ``begins_delivery``, ``raises_in``
what holds it back          before the audit ``reason_against`` and ``clear_way``; in a run ``Strike.held`` and
                            ``Strike.undelivered``; between two interrupts ``engine.reason_against_second``
==========================  =====================================================================================

Its interrupts have numbers that no other mechanism uses: those of signals are the signal numbers. What other parts handle (aims, points
of a first run, strikes) carries the number alone; :func:`.registry.mechanism_of` returns the mechanism.

A new mechanism is a folder beside ``signals`` and a row in :mod:`.registry`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, Self, TypeVar

from pytest_maskcheck.interrupts.engine import Engine, Sendable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import CodeType, FrameType

    from pytest_maskcheck.interrupts.places import InScope
    from pytest_maskcheck.interrupts.recording import Recording
    from pytest_maskcheck.interrupts.strike import Strike
    from pytest_maskcheck.interrupts.timing import Samples
    from pytest_maskcheck.reasons import Reason

D = TypeVar("D", bound=Sendable)


@dataclass(frozen=True, slots=True)
class Victim:
    """The thread or task that is interrupted, as reports describe it.

    Parameters:
        elsewhere: why a line that the victim did not reach, but others did, has no point.
        absent: why a test cannot be audited if the victim does not run its body.
    """

    elsewhere: Reason
    absent: Reason


class Mechanism(Protocol[D]):
    """One way for an asynchronous exception to arrive; ``D`` is the type that its engine delivers."""

    name: ClassVar[str]
    """Its name in settings."""
    victim: ClassVar[Victim]
    engine: Engine[D]
    raises_in: ClassVar[str]
    """The module of this package whose functions raise the interrupt, or call the handler that does."""

    @classmethod
    def choose(cls) -> tuple[Self, str]:
        """Return the mechanism with the engine for this interpreter, and why that engine was chosen.

        Raises:
            EngineUnavailableError: there is no engine for this interpreter.
        """
        ...

    def get_ready(self) -> None:
        """Find out now, in the main thread, what each process forked later would find out for itself; further calls do nothing."""
        ...

    # Names of its interrupts

    @classmethod
    def has(cls, number: int) -> bool:
        """Return whether this number is that of one of its interrupts."""
        ...

    @classmethod
    def parse(cls, text: str) -> int:
        """Return the number of the interrupt with this name, as spelled in ids; for ``""``, that of the default interrupt.

        Raises:
            ValueError: it has no interrupt with this name.
        """
        ...

    @classmethod
    def label(cls, number: int) -> str:
        """Return the name of an interrupt in reports."""
        ...

    @classmethod
    def suffix(cls, number: int) -> str:
        """Return the suffix of point ids: ``@`` and the name, or ``""`` for the default interrupt."""
        ...

    # Places and delivery, besides those of the engine

    def recording(self, numbers: Collection[int], *, outside: bool) -> Recording:
        """Return an empty recording for these interrupts; see :meth:`.engine.Engine.record`."""
        ...

    def delivery(
        self,
        number: int,
        struck: Callable[[], None],
        landed: Callable[[FrameType], object] | None = None,
        strike: Strike | None = None,
    ) -> D:
        """Return one interrupt to deliver, for :meth:`.engine.Engine.forward`.

        Parameters:
            number: which interrupt.
            struck: called just before it is sent.
            landed: called with the interrupted frame when it has landed, if that can be seen; see :class:`.engine.Sendable`.
            strike: filled in with what becomes of it.
        """
        ...

    def hold_back(self, number: int) -> Callable[[], bool]:
        """Send an interrupt that waits.

        Returns:
            A function that takes it back, so that further ones are delivered again, and returns whether it was still waiting.
        """
        ...

    def samples(self, in_scope: InScope, every: float) -> Samples:
        """Return a way to note where interrupts land that come at random moments of a run.

        Parameters:
            in_scope: whether the code of a file is in scope.
            every: seconds between two of them, on average.
        """
        ...

    def begin(self) -> None:
        """Record the state that the interrupts depend on, as the body of the test begins and before anything is armed."""
        ...

    # Which exception counts

    def is_interrupt(self, error: BaseException, strike: Strike | None = None) -> bool:
        """Return whether ``error`` is an interrupt, or a group of interrupts only; ``strike`` is what became of the one that was sent."""
        ...

    def is_delivered(self, error: BaseException, strike: Strike) -> bool:
        """Return whether ``error`` is the interrupt that was sent, or a group with it, and not one that the test raised itself."""
        ...

    def may_be_users(self, strike: Strike) -> bool:
        """Return whether the result of a strike may look like the user's own Ctrl-C."""
        ...

    def begins_delivery(self, code: CodeType, frame: FrameType, strike: Strike) -> bool:
        """Return whether the traceback entries from this one on, given by its code and frame, only show how the interrupt was raised."""
        ...

    # What holds it back

    def reason_against(self, numbers: Collection[int], inherited: Collection[int]) -> Reason | None:
        """Return why these interrupts cannot be delivered in this process, whose state must not be changed, or ``None``.

        Parameters:
            numbers: the interrupts.
            inherited: signals that were blocked before pytest began, and still are.
        """
        ...

    def clear_way(self, numbers: Collection[int], inherited: Collection[int]) -> list[Reason]:
        """Remove what keeps these interrupts from reaching this process, which belongs to the audit; return a note on each change."""
        ...
