"""Records what a run does from an interrupt on: each line in scope, and each function that the interrupt leaves.

It sees what :class:`~pytest_maskcheck.interrupts.catching.Catching` sees, and lines in addition. Each line costs a call, so only the one
run that ``--maskcheck-point`` tells of is recorded. A test that catches the interrupt may go on for long: only the beginning is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_maskcheck.interrupts.catching import Catching
from pytest_maskcheck.interrupts.cpython.positions import line_of
from pytest_maskcheck.results import StepKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

    from pytest_maskcheck.interrupts.places import InScope
    from pytest_maskcheck.interrupts.strike import Strike

MOST = 100
"""Number of steps that are kept."""


class Taken(NamedTuple):
    """A step as it is recorded: with code instead of names, which are made when the run is over."""

    kind: StepKind
    code: CodeType
    line: int


class Retelling(Catching):
    """The handlers that an interrupt enters and leaves in one run, and the lines that run from there on.

    Attributes:
        steps: the first steps.
        more: the number of further steps.
    """

    retells = True

    def __init__(self, counts: Callable[[BaseException, Strike], bool], in_scope: InScope) -> None:
        super().__init__(counts, in_scope)
        self.steps: list[Taken] = []
        self.more = 0

    def begins(self, frame: FrameType | None) -> None:
        """Record where the interrupt lands: the innermost line in scope."""
        super().begins(frame)
        if frame is not None and (site := self._site(frame)):
            self._take(StepKind.INTERRUPTED, *site)

    def left(self, frame: FrameType) -> None:
        """Record that the interrupt left a function."""
        super().left(frame)
        code = frame.f_code
        if self._in_scope(code.co_filename):
            self._take(StepKind.LEFT, code, line_of(code, frame.f_lasti))

    def line(self, code: CodeType, line: int) -> None:
        """Record that a line begins."""
        if self._in_scope(code.co_filename):
            self._take(StepKind.RAN, code, line)

    def _take(self, kind: StepKind, code: CodeType, line: int) -> None:
        if len(self.steps) < MOST:
            self.steps.append(Taken(kind, code, line))
        else:
            self.more += 1
