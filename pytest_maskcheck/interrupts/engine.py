"""What an engine is: it records where interrupts can come, and strikes at one of those places.

``record`` watches one uninterrupted run and lists every hit in order; ``strike`` arms exactly one hit and delivers the interrupt
there. When an interrupt has *landed*, that is, just before its handler runs, something else can begin: a recording of what the run reaches
from there on, or the wait for a second strike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from contextlib import AbstractContextManager
    from types import FrameType

    from pytest_maskcheck.interrupts.catching import Catching
    from pytest_maskcheck.interrupts.places import InScope, Mode, Trigger
    from pytest_maskcheck.interrupts.recording import Recording
    from pytest_maskcheck.interrupts.strike import Strike
    from pytest_maskcheck.reasons import Reason


class Sendable(Protocol):
    """One interrupt to deliver; the rest of it is a matter of its engine."""

    def lands_at_once(self) -> bool:
        """Return whether an interrupt that is delivered now is seen to land, and neither waits nor is lost."""
        ...


D_contra = TypeVar("D_contra", bound=Sendable, contravariant=True)


def nothing() -> None:
    """Do nothing."""


class Engine(Protocol[D_contra]):
    """A way to find and to hit places; ``D_contra`` is what it delivers: see :meth:`.mechanism.Mechanism.delivery`."""

    name: str
    ahead: bool
    """Whether an interrupt is sent before the call at whose end it is to arrive."""

    def record(
        self, in_scope: InScope, mode: Mode, numbers: Collection[int] = (), *, outside: bool = False
    ) -> AbstractContextManager[Recording]:
        """Watch the run in the body of the ``with`` statement.

        Parameters:
            in_scope: whether code of a file is watched.
            mode: where interrupts go.
            numbers: the interrupts meant; what the engine sends to find places is none of them.
            outside: stretches of code out of scope, called from code in scope, are places too.
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
            then: what begins when the interrupt has landed: the wait for a second trigger, counted from there, at which it is sent
                again; or a recording, to be filled in.
            begins: called just before the first of two interrupts is sent.
            catching: collects which handlers the interrupt (the last one) enters and leaves.

        Returns:
            What became of the interrupt; of the second one, with the first as its ``earlier``, if there are to be two.
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
        """Go by all triggers in the body of the ``with`` statement, which runs to its end.

        Parameters:
            triggers: each counted from the beginning of the run.
            in_scope: which calling frames make up a context.
            mode: where interrupts go.
            strike: what is returned; in a process that is interrupted, what became of the interrupt.
            reached: called with the position of each trigger that comes. It may fork, and returns what to deliver there in the
                process that is to be interrupted, ``None`` in the one that goes on.
        """
        ...

    def disarm(self) -> None:
        """Watch nothing any more, whatever was interrupted before it could end: the user's own Ctrl-C comes anywhere."""
        ...

    def reason_against_second(self, mode: Mode, /) -> Reason | None:
        """Return why nothing can begin when an interrupt has landed, or ``None``."""
        ...


class Phase(Protocol):
    """What an engine does from one moment of a run on: wait for a trigger, or record."""

    def start(self, frame: FrameType | None) -> None:
        """Begin; ``frame`` and those that called it are running already."""
        ...

    def stop(self) -> None:
        """End, whether it began or not."""
        ...
