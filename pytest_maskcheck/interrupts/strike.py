"""A strike, as its record: what became of one interrupt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.places import Context, InScope, context_of
from pytest_maskcheck.system.unpatched import signal

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from pytest_maskcheck.reasons import Reason


@dataclass(slots=True, repr=False)
class Strike:
    """What became of one interrupt.

    Attributes:
        signum: which interrupt; the number of the signal.
        fired: the place was reached and the interrupt was sent there.
        landed: its handler was seen to begin.
        raised: the handler in force raised; ``None`` if that cannot be seen (the kernel delivers it).
        error: the type that the handler raised, if known.
        sent: it was sent by way of the kernel.
        held: what held the interrupt back for a while (``"signal mask"``), or ``""``.
        undelivered: why it cannot have caused an exception there (the signal has no handler), or ``None``.
        withdrawn: it was held back until the end of the run, and then taken back.
        handler: the name of the handler in force, for reports; ``""`` for Python's own.
        handler_code: the code of that handler, if it is written in Python.
        code, offset, context: where it fired.
        strayed: it fired in a different calling context from that of the intended hit.
        earlier: the first of two interrupts, if this is the second.
    """

    signum: int = int(signal.SIGINT)
    fired: bool = False
    landed: bool = False
    raised: bool | None = None
    error: type[BaseException] | None = None
    sent: bool = False
    held: str = ""
    undelivered: Reason | None = None
    withdrawn: bool = False
    handler: str = ""
    handler_code: CodeType | None = None
    code: CodeType | None = None
    offset: int = -1
    context: Context = ()
    strayed: bool = False
    earlier: Strike | None = None

    @property
    def waits(self) -> bool:
        """Whether the interrupt did not arrive where it was sent: the handler raised nothing, or something held it back."""
        return self.raised is False or bool(self.held)

    def in_turn(self) -> tuple[Strike, ...]:
        """Return the interrupts of the run in the order of their points."""
        return (*(self.earlier.in_turn() if self.earlier else ()), self)

    def fires(self, frame: FrameType, in_scope: InScope) -> None:
        """Record that ``frame`` reached the place; for a stretch of code out of scope, ``frame`` is the frame that called it."""
        self.fired = True
        self.code, self.offset = frame.f_code, frame.f_lasti
        self.context = context_of(frame, in_scope)
