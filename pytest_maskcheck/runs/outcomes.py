"""What came out of a body, as plain data: the exception, and its traceback from the test to the interrupted line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.runs.raised import Raised, chain
from pytest_maskcheck.runs.tracebacks import entries_of, is_harness
from pytest_maskcheck.system.stopwatch import their_time
from pytest_maskcheck.system.untrusted import last_line, name_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType

    from pytest_maskcheck.interrupts import InScope, Mechanism, Strike
    from pytest_maskcheck.points.ids import Names
    from pytest_maskcheck.resources import Surroundings
    from pytest_maskcheck.results import Frame
    from pytest_maskcheck.runs.tracebacks import Entry


@dataclass(frozen=True, slots=True, repr=False)
class Outcomes:
    """Reads exceptions that came out of runs.

    Parameters:
        surroundings: names of volatile directories.
        names: names of files in reports.
        in_scope: whether a file is in scope; distinguishes the test's frames from those that called it.
        mechanism: recognizes interrupts and how they were raised.
    """

    surroundings: Surroundings
    names: Names
    in_scope: InScope
    mechanism: Mechanism[Any]

    def entries(self, error: BaseException, strike: Strike) -> list[Entry]:
        """Return the traceback from the test's body to the interrupted line, frames of the harness left out."""
        entries = entries_of(error)
        scoped = (at for at, entry in enumerate(entries) if self.in_scope(entry.code.co_filename))
        entries = entries[next(scoped, 0) :]
        # From the handler on, frames belong to the delivery, not to the code under test.
        begins = self.mechanism.begins_delivery
        deliveries = [at for at, entry in enumerate(entries) if begins(entry.code, entry.frame, strike)]
        entries = entries[: deliveries[-1]] if deliveries else entries
        return [entry for entry in entries if not is_harness(entry.frame)]

    def raised(self, error: BaseException, entries: list[Entry], strike: Strike) -> Raised:
        """Return an exception, with these entries of its traceback, as plain data."""
        frames = tuple(self.names.frame(entry.code, entry.line) for entry in entries)
        with their_time:  # its __str__ is the test's
            text = last_line(error)
        return Raised(
            type=name_of(type(error)),
            text=self.surroundings.named(text),
            interrupt=self.mechanism.is_interrupt(error, strike),
            over=any(self.mechanism.is_interrupt(item, strike) for item in chain(error) if item is not error),
            frames=frames,
            late=not frames,
        )

    def place(self, error: BaseException) -> str:
        """Return where an exception was raised, as words to append to a message."""
        entries = entries_of(error)
        if not entries:
            return ""
        frame = self.names.frame(entries[-1].code, entries[-1].line)
        return f", at {frame.path}:{frame.line} in {frame.function}"

    def beginning_out_of_scope(self, codes: Sequence[CodeType]) -> Frame | None:
        """Return where the first of these functions begins, if none of them is in scope."""
        if not codes or any(self.in_scope(code.co_filename) for code in codes):
            return None
        return self.names.frame(codes[0], codes[0].co_firstlineno)
