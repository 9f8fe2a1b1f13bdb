"""Collects the lines of clean-up code: those that run from an interrupt on, and not in the uninterrupted test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck.audit.messages import CleanupRan
from pytest_maskcheck.results.lines import spans

if TYPE_CHECKING:
    from pytest_maskcheck.audit.assignment import Send
    from pytest_maskcheck.audit.instruments import Instruments
    from pytest_maskcheck.runs.requests import RunResult


class CleanupRecord:
    """The lines of the runs of one audit.

    Attributes:
        lines: file and number of each line that ran from an interrupt on; ``None`` if some of them could not be seen.
    """

    def __init__(self) -> None:
        self.lines: frozenset[tuple[str, int]] | None = frozenset()

    def take(self, ran: RunResult) -> None:
        """Add the lines of a run."""
        if ran.since or ran.since is None:
            self.add(ran.since)

    def add(self, lines: frozenset[tuple[str, int]] | None) -> None:
        """Add lines of runs made here or by another worker."""
        self.lines = None if self.lines is None or lines is None else self.lines | lines

    def send(self, instruments: Instruments, send: Send) -> None:
        """Send the lines, if they were noted and all of them could be seen."""
        if instruments.runner.since is None or self.lines is None:
            return
        lines = instruments.scope.unreached(self.lines).items()
        send(CleanupRan({instruments.names.short(path): spans(numbers) for path, numbers in lines}))
