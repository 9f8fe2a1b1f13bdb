"""How a summary looks: what stands out, and what leads to the source.

The texts of a summary are the same everywhere. A terminal that has colours and links shows some of their parts with them; everything
else, such as a file, a pipe or the command ``merge``, has the texts alone.
"""

from __future__ import annotations

from enum import Enum


class Tone(Enum):
    """How a part of a text stands out."""

    BAD = "bad"
    GOOD = "good"
    WARNING = "warning"
    STRONG = "strong"
    FAINT = "faint"


class Appearance:
    """Shows texts as they are; a terminal derives its own from it.

    Attributes:
        columns: the width of the terminal; of a file, what one may expect.
    """

    columns = 80

    def toned(self, text: str, tone: Tone) -> str:
        """Return a part of a text that stands out."""
        del tone
        return text

    def linked(self, text: str, file: str, line: int) -> str:
        """Return a part of a text that leads to a line of a file, given by its absolute path."""
        del file, line
        return text


PLAIN = Appearance()
