"""The protocol of an engine, which records where interrupts can arrive and strikes at one of those places.

``record`` watches one uninterrupted run and lists every hit in order. ``strike`` arms exactly one hit and delivers the interrupt
there. An interrupt has *landed* just before its handler runs. At that moment something else can begin: a recording of what the run
reaches from there on, or the wait for a second strike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from contextlib import AbstractContextManager
    from types import FrameType

    from pytest_maskcheck.interrupts.catching import Catching
    from pytest_maskcheck.interrupts.places import InScope, Mode, Site, Trigger
    from pytest_maskcheck.interrupts.recording import Recording
    from pytest_maskcheck.interrupts.strike import Strike
    from pytest_maskcheck.interrupts.timing import Clock
    from pytest_maskcheck.reasons import Reason


class Sendable(Protocol):
    """One interrupt to deliver; everything else about it is private to its engine."""

    def lands_at_once(self) -> bool:
        """Return whether an interrupt delivered now would be seen to land, and would neither wait nor be lost."""
        ...


D_contra = TypeVar("D_contra", bound=Sendable, contravariant=True)


def nothing() -> None:
    """Do nothing."""


class Engine(Protocol[D_contra]):
    """A way to find places and to strike at them; ``D_contra`` is what it delivers: see :meth:`.mechanism.Mechanism.delivery`."""

    name: str
    ahead: bool
    """Whether an interrupt that is to arrive at the end of a call is sent before that call."""

    def record(
        self, in_scope: InScope, mode: Mode, numbers: Collection[int] = (), *, outside: bool = False
    ) -> AbstractContextManager[Recording]:
        """Watch the run in the body of the ``with`` statement.

        Parameters:
            in_scope: whether the code of a file is watched.
            mode: where interrupts go.
            numbers: the interrupts under audit; the engine uses none of them to probe for places.
            outside: stretches of code out of scope, called from code in scope, are places too.
        """
        ...

    def survey(self, in_scope: InScope, mode: Mode) -> AbstractContextManager[list[Site]]:
        """Note the instructions where an interrupt may arrive in the body of the ``with`` statement, each once in a calling context.

        Parameters:
            in_scope: whether the code of a file is watched.
            mode: where interrupts go.

        Returns:
            The list, which is complete when the ``with`` statement has ended. It may have instructions that are no places, and may lack
            contexts of places that are reached often.
        """
        ...

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
    ) -> AbstractContextManager[Strike]:
        """Send an interrupt when ``trigger`` comes in the body of the ``with`` statement.

        Parameters:
            trigger: counted from the beginning of the run.
            in_scope: which calling frames make up a context.
            mode: where interrupts go.
            number: which interrupt.
            struck: called just before the (last) interrupt is sent.
            then: what begins when the interrupt has landed: either the wait for a second trigger, counted from there, where the
                interrupt is sent again; or a recording, which is filled in.
            begins: called just before the first of two interrupts is sent.
            catching: collects the handlers that the (last) interrupt enters and leaves.

        Returns:
            What became of the interrupt. If there are two, that is the second, with the first as its ``earlier``.
        """
        ...

    def forward(
        self,
        triggers: Sequence[Trigger],
        in_scope: InScope,
        mode: Mode,
        strike: Strike,
        reached: Callable[[int], D_contra | None],
    ) -> AbstractContextManager[Strike]:
        """Run the body of the ``with`` statement to its end, and call ``reached`` at each trigger on the way.

        Parameters:
            triggers: each counted from the beginning of the run.
            in_scope: which calling frames make up a context.
            mode: where interrupts go.
            strike: the value that ``with`` binds; in a process that is interrupted, it records what became of the interrupt.
            reached: called with the index of each trigger as the run reaches it. It may fork. In the process to be interrupted it
                returns what to deliver there; in the process that goes on it returns ``None``.
        """
        ...

    def time(self, triggers: Sequence[Trigger], in_scope: InScope, mode: Mode) -> AbstractContextManager[Clock]:
        """Time uninterrupted runs in the body of the ``with`` statement.

        Parameters:
            triggers: what to note the moments of; each counted from the beginning of a run.
            in_scope: which calling frames make up a context.
            mode: where interrupts go.
        """
        ...

    def disarm(self) -> None:
        """Stop all watching, even if an interrupt prevented the usual cleanup: the user's own Ctrl-C can arrive anywhere."""
        ...

    def reason_against_second(self, mode: Mode, /) -> Reason | None:
        """Return why no recording and no second strike can begin when an interrupt has landed, or ``None``."""
        ...


class Phase(Protocol):
    """What an engine does from some moment of a run on: wait for a trigger, or record."""

    def start(self, frame: FrameType | None) -> None:
        """Begin; ``frame`` and its callers are already running."""
        ...

    def stop(self) -> None:
        """End the phase, whether or not it has begun."""
        ...
