"""Reads the source files of a report as they are now, and highlights them.

A report may be written on another machine than that of the audit, or later. A file that is missing or cannot be decoded, or that has changed,
leads to a sentence on the page. Lines of a file that has changed have no marks, as what was audited there may be another line now; only
those of findings have, if their text is the same.
"""

from __future__ import annotations

import tokenize
from dataclasses import dataclass
from functools import cache
from html import escape
from typing import TYPE_CHECKING

from markupsafe import Markup
from pygments.lexers.python import PythonLexer
from pygments.token import Comment, Keyword, Name, Number, String

from pytest_maskcheck.reports.source_content import content, digest
from pytest_maskcheck.system.unpatched import io, os

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

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

_CHANGED = (
    "The file has changed since the audit: nothing is known of its lines as they are now, so they have no marks. "
    "Audit it again, or write the report from the sources that were audited."
)
_UNKNOWN = "The report does not say what the file was like when it was audited, so its lines have no marks."


@dataclass(frozen=True, slots=True)
class Source:
    """A source file.

    Parameters:
        lines: its lines, highlighted; none if it cannot be shown.
        problem: what a reader should know about it, as a sentence, or ``""``.
        changed: its content is not known to be that of the audit.
        same: if it has changed, the lines that are known to have their text still.
    """

    lines: tuple[Markup, ...] = ()
    problem: str = ""
    changed: bool = False
    same: frozenset[int] = frozenset()

    def is_known(self, number: int) -> bool:
        """Return whether what the audit knows of a line is about the line as it is now."""
        return not self.changed or number in self.same

    def line(self, number: int) -> Markup:
        """Return a line, counted from 1; an empty one if there is no such line."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else Markup()


def read(path: str, file: str, expected: Mapping[int, str], last: int, digests: Collection[str]) -> Source:
    """Return a source file.

    Parameters:
        path: as shown in reports; relative to the working directory, it is tried if there is no such ``file``.
        file: the absolute path at the time of the audit.
        expected: line -> its text at that time, for the lines that findings are about.
        last: the last line that the audit knows.
        digests: those that audits have of it; none: they do not know what it was like.
    """
    if not path.endswith(_SUFFIXES):
        return Source(problem="The source is not shown: it is no file of Python.")
    try:
        data = content(file if os.path.exists(file) else path)
    except (OSError, ValueError) as error:  # ValueError: not a path, such as one with a null character
        why = getattr(error, "strerror", None) or str(error)
        return Source(problem=f"The source cannot be read ({why}): write the report where the tests ran.")
    text, problem = _decoded(data)
    plain = text.split("\n")
    lines = tuple(highlighted(text))
    # The digest alone decides, not the lines of findings: where there is no finding, a line that was edited would keep its sign of a clean one.
    if {*digests} == {digest(data)} and last <= len(plain):
        return Source(lines, problem)
    what = f"{problem} {_CHANGED if any(digests) else _UNKNOWN}".strip()
    same = frozenset(number for number, text in expected.items() if text and _is_same(plain, number, text))
    return Source(lines, what, changed=True, same=same)


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
