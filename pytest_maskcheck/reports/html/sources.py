"""Reads the source files of a report as they are now, and highlights them.

A report may be written on another machine than that of the audit, or later. A file that is missing or cannot be decoded, or that has changed,
leads to a sentence on the page.
"""

from __future__ import annotations

import stat
import tokenize
from dataclasses import dataclass
from functools import cache
from html import escape
from typing import TYPE_CHECKING

from markupsafe import Markup
from pygments.lexers.python import PythonLexer
from pygments.token import Comment, Keyword, Name, Number, String

from pytest_maskcheck.reports import files
from pytest_maskcheck.system.unpatched import io, os

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pygments.token import _TokenType

_SUFFIXES = (".py", ".pyw")
"""Other files are not shown: a report from elsewhere could name any file of this machine, and the page may be published."""

_CLASSES = (
    (Keyword, "k"),
    (Name.Builtin.Pseudo, ""),
    (Name.Builtin, "b"),
    (Name.Decorator, "b"),
    (Name.Function, "f"),
    (Name.Class, "f"),
    (Comment, "c"),
    (String, "s"),
    (Number, "b"),
)
"""Kinds of tokens -> their class in page.css; the first that fits. All others look alike: a name needs no element of its own."""

_LARGEST = 2_000_000
"""Bytes of a file that is shown."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source file.

    Parameters:
        lines: its lines, highlighted; none if it cannot be shown.
        problem: what a reader should know about it, as a sentence, or ``""``.
    """

    lines: tuple[Markup, ...] = ()
    problem: str = ""

    def line(self, number: int) -> Markup:
        """Return a line, counted from 1; an empty one if there is no such line."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else Markup()


def read(path: str, file: str, expected: Mapping[int, str], last: int) -> Source:
    """Return a source file.

    Parameters:
        path: as shown in reports; relative to the working directory, it is tried if there is no such ``file``.
        file: the absolute path at the time of the audit.
        expected: line -> its text at that time, for the lines that findings are about.
        last: the last line that the audit knows.
    """
    if not path.endswith(_SUFFIXES):
        return Source(problem="The source is not shown: it is no file of Python.")
    try:
        data = _content(file if os.path.exists(file) else path)
    except (OSError, ValueError) as error:  # ValueError: not a path, such as one with a null character
        why = getattr(error, "strerror", None) or str(error)
        return Source(problem=f"The source cannot be read ({why}): write the report where the tests ran.")
    text, problem = _decoded(data)
    plain = text.split("\n")
    if last > len(plain) or not all(_is_same(plain, *each) for each in expected.items()):
        problem = (
            f"{problem} The file has changed since the audit: marks may be on other lines than they belong to.".strip()
        )
    return Source(tuple(highlighted(text)), problem)


def highlighted(text: str) -> list[Markup]:
    """Return the lines of a source as HTML."""
    lines: list[list[str]] = [[]]
    for kind, value in PythonLexer(stripnl=False).get_tokens(text):
        name = _class(kind)
        for number, part in enumerate(value.split("\n")):
            if number:
                lines.append([])
            if part:
                shown = escape(part, quote=False)
                lines[-1].append(f'<b class="{name}">{shown}</b>' if name and not part.isspace() else shown)
    return [Markup("".join(line)) for line in (lines if lines[-1] else lines[:-1])]


@cache
def _class(kind: _TokenType) -> str:
    """Return the class of a kind of tokens, or ``""``; a kind "contains" those that are special cases of it."""
    return next((name for known, name in _CLASSES if kind in known), "")  # type: ignore[comparison-overlap]


def _content(file: str) -> bytes:
    status = os.stat(file)
    if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device could wait for ever
        raise OSError("it is no file")
    if status.st_size > _LARGEST:
        raise OSError(f"it has {status.st_size:,} bytes")
    return files.read(file)


def _decoded(data: bytes) -> tuple[str, str]:
    """Return the text of a file with line ends as Python reads them, and what is wrong with its encoding."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text, problem = data.decode(encoding), ""
    except (SyntaxError, UnicodeDecodeError, LookupError):
        text = data.decode("utf-8", "backslashreplace")
        problem = "The file cannot be decoded: what is no text in UTF-8 is shown with backslashes."
    return text.replace("\r\n", "\n").replace("\r", "\n"), problem


def _is_same(lines: list[str], number: int, text: str) -> bool:
    """Return whether a line still has its text; the second of equal lines in a function has ``(2)`` behind it, and so on."""
    if not text or number > len(lines):
        return not text
    now = lines[number - 1].strip()
    return text == now or text.startswith(f"{now} (")
