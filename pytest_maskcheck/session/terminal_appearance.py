"""How the summary looks on pytest's terminal: with its colours, and with links where the terminal has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck.reports.appearance import Appearance, Tone
from pytest_maskcheck.system.hyperlinks import has_hyperlinks, hyperlink
from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    import pytest

_MARKUP: dict[Tone, dict[str, bool]] = {
    Tone.BAD: {"red": True, "bold": True},
    Tone.GOOD: {"green": True},
    Tone.WARNING: {"yellow": True},
    Tone.STRONG: {"bold": True},
    Tone.FAINT: {"light": True},
}
"""Tone -> the markup of pytest's writer, which heeds ``--color``, ``NO_COLOR`` and whatever else pytest does."""


class TerminalAppearance(Appearance):
    """Marks texts up for the terminal of a session.

    Parameters:
        reporter: what writes to it.
    """

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self._writer = reporter.config.get_terminal_writer()
        self.columns = max(self._writer.fullwidth, 1)
        self._links = has_hyperlinks(is_terminal=bool(reporter.isatty), environment=os.environ)

    def toned(self, text: str, tone: Tone) -> str:
        """Return a part of a text that stands out."""
        return self._writer.markup(text, **_MARKUP[tone])

    def linked(self, text: str, file: str, line: int) -> str:
        """Return a part of a text that leads to a line of a file."""
        return hyperlink(text, file, line) if self._links else text
