"""What each way in which an asynchronous exception comes has to say of itself.

A mechanism answers five questions, and no other room does:

==========================  =====================================================================================
who is the victim           ``victim``
which are its places        ``engine.record``, which fills in what ``recording`` returns
how is one delivered        ``engine.strike``, ``engine.forward``, ``engine.disarm``, ``delivery``
which exception counts      ``is_interrupt``, ``is_delivered``; ``may_be_users``, ``begins_delivery``, ``raises_in``
what holds it back          before the audit ``reason_against`` and ``clear_way``; in a run ``Strike.held`` and
                            ``Strike.undelivered``; between two interrupts ``engine.reason_against_second``
==========================  =====================================================================================

Its interrupts have numbers, which no other mechanism has: those of signals are the numbers of the signals. Everything that passes through
the other rooms (aims, points of a first run, strikes) carries the number alone; :func:`.registry.mechanism_of` returns the mechanism.

A new mechanism is a folder beside ``signals`` and a row in :mod:`.registry`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, Self, TypeVar

from pytest_maskcheck.interrupts.engine import Engine, Sendable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import CodeType, FrameType

    from pytest_maskcheck.interrupts.recording import Recording
    from pytest_maskcheck.interrupts.strike import Strike
    from pytest_maskcheck.reasons import Reason

D = TypeVar("D", bound=Sendable)


@dataclass(frozen=True, slots=True)
class Victim:
    """Who is interrupted, as far as reports tell.

    Parameters:
        elsewhere: the reason why a line has no point that only others than the victim reached.
        absent: why a test cannot be audited whose body the victim does not run.
    """

    elsewhere: Reason
    absent: Reason


class Mechanism(Protocol[D]):
    """One way in which an asynchronous exception comes; ``D`` is what its engine delivers."""

    name: ClassVar[str]
    """As settings name it."""
    victim: ClassVar[Victim]
    engine: Engine[D]
    raises_in: ClassVar[str]
    """The module of this package whose functions raise the interrupt, or call the handler that does."""

    @classmethod
    def choose(cls) -> tuple[Self, str]:
        """Return the mechanism with the engine for this interpreter, and why it is that one.

        Raises:
            EngineUnavailableError: there is none.
        """
        ...

    # Names of its interrupts

    @classmethod
    def has(cls, number: int) -> bool:
        """Return whether an interrupt with this number is one of its own."""
        ...

    @classmethod
    def parse(cls, text: str) -> int:
        """Return the number of the interrupt with this name, as it stands in ids; for ``""`` that of the default one.

        Raises:
            ValueError: there is none.
        """
        ...

    @classmethod
    def label(cls, number: int) -> str:
        """Return the name of an interrupt in reports."""
        ...

    @classmethod
    def suffix(cls, number: int) -> str:
        """Return what ids of points end with: ``@`` and the name, or ``""`` for the default interrupt."""
        ...

    # Places and delivery, besides those of the engine

    def recording(self, numbers: Collection[int], *, outside: bool) -> Recording:
        """Return an empty recording, for these interrupts; see :meth:`.engine.Engine.record`."""
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
            strike: what becomes of it.
        """
        ...

    def begin(self) -> None:
        """Take note of what the interrupts depend on as the body of the test begins, before anything is armed."""
        ...

    # Which exception counts

    def is_interrupt(self, error: BaseException, strike: Strike | None = None) -> bool:
        """Return whether ``error`` is an interrupt, or a group of nothing else; ``strike`` is what became of the one that was sent."""
        ...

    def is_delivered(self, error: BaseException, strike: Strike) -> bool:
        """Return whether ``error`` is the very interrupt that was sent, not one that the test raises itself, or a group of it."""
        ...

    def may_be_users(self, strike: Strike) -> bool:
        """Return whether what came of a strike may look like a Ctrl-C of the user's."""
        ...

    def begins_delivery(self, code: CodeType, frame: FrameType, strike: Strike) -> bool:
        """Return whether all behind an entry of a traceback, given by its code and frame, is how the interrupt was raised."""
        ...

    # What holds it back

    def reason_against(self, numbers: Collection[int], inherited: Collection[int]) -> Reason | None:
        """Return why these interrupts cannot be delivered in this process, which must stay as it is, or ``None``.

        Parameters:
            numbers: the interrupts.
            inherited: signals that are blocked since before pytest began.
        """
        ...

    def clear_way(self, numbers: Collection[int], inherited: Collection[int]) -> list[Reason]:
        """Remove what keeps these interrupts from this process, which is the audit's own; return a note on each change."""
        ...
