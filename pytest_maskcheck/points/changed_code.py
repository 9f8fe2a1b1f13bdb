"""Changed lines of source files, and whether a test reaches any of them.

A change must touch every test that it can make unsafe, although only the new text of a file can be run:

1. An added statement touches the tests that reach it.
2. Where code was removed or replaced, a test may now go past the place without reaching any new line (``release()`` moved into an
   ``if``). So that touches the tests that reach anything in the function around it.
3. Code that runs at import (module level, class bodies, decorators) is in no test's reach. A change there touches all tests that reach
   anything in the file; if the file has no function, such as one of constants, nothing shows which tests use it, so it touches all tests.
4. Blank lines and comments touch nothing.

What does not work: functions that only fixtures call are in no test's reach either. Files of data and templates are not looked at.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pytest_maskcheck.reasons import Reason

Span = tuple[int, int]
"""The first and the last of several lines."""

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINITION = re.compile(r"\s*(?:async\s+)?def\s+(\w+)")


@dataclass(frozen=True, slots=True)
class Hunk:
    """One stretch of changes in a file.

    Parameters:
        start: the number of its first line in the new text; if it only removes lines, that of the line after them.
        added: the number of lines that it adds or that replace others.
        removed: the lines that it removes or replaces.
    """

    start: int
    added: int
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """What changed in one source file.

    Parameters:
        spans: a test that reaches a line of them is touched.
        functions: the functions with any change, each with its decorators.
        at_import: code that runs at import changed.
        decorators: decorators of functions changed, which run at import, too.
        is_bare: the file has no function that a test could reach.
    """

    spans: tuple[Span, ...] = ()
    functions: tuple[Span, ...] = ()
    at_import: bool = False
    decorators: bool = False
    is_bare: bool = False

    def is_reached_by(self, lines: Iterable[int], *, own: bool, some: bool = False) -> bool:
        """Return whether a test is touched that reaches these lines.

        Parameters:
            lines: the lines that the test reaches in this file.
            own: the file is the test's own. A decorator there matters only to its function: it makes a fixture, or parameters.
            some: the test may reach more lines of the same functions.
        """
        reached = list(lines)
        if reached and (self.at_import or (self.decorators and not own)):
            return True
        spans = (*self.spans, *self.functions) if some else self.spans
        return any(first <= line <= last for line in reached for first, last in spans)


WHOLE = ChangedFile(at_import=True)
"""A file that is new, or cannot be parsed: every test that reaches it is touched."""


@dataclass(frozen=True, slots=True, repr=False)
class Changed:
    """What changed since a commit, as far as reached lines decide which tests that touches.

    Parameters:
        reason: why a test that is not touched is not audited.
        files: real path -> what changed there.
        folders: real paths of folders in which everything counts as changed, each with a separator at its end.
        own: the real paths of the test's own files.
        is_copy: returns whether a file is an installed copy of the project, which cannot be compared with the commit.
    """

    reason: Reason
    files: Mapping[str, ChangedFile] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    own: frozenset[str] = frozenset()
    is_copy: Callable[[str], bool] = lambda _: False

    @property
    def is_nothing(self) -> bool:
        """Whether no test can reach anything that changed."""
        return not (self.files or self.folders)

    def touches(self, reached: Mapping[str, Iterable[int]], *, some: bool = False) -> bool:
        """Return whether a test is touched that reaches these lines, by absolute path; ``some``: see :class:`ChangedFile`."""
        return any(self._touches(path, lines, some=some) for path, lines in reached.items())

    def _touches(self, path: str, lines: Iterable[int], *, some: bool) -> bool:
        real = os.path.realpath(path)
        if real in self.files:
            return self.files[real].is_reached_by(lines, own=real in self.own, some=some)
        return real.startswith(self.folders) or self.is_copy(path)


def changed_file(source: bytes, hunks: Iterable[Hunk]) -> ChangedFile:
    """Return what hunks have changed in a file, whose new text is ``source``."""
    if b"\r" in source.replace(b"\r\n", b"\n"):  # Python counts these as ends of lines, git does not
        return WHOLE
    try:
        layout = _Layout(source)
    except (SyntaxError, ValueError, RecursionError):
        return WHOLE
    for hunk in hunks:
        layout.take(hunk)
    changed = (layout.function(first) for first, _ in layout.spans)
    return ChangedFile(
        tuple(sorted(layout.spans)),
        tuple(sorted({function for function in changed if function})),
        at_import=layout.at_import,
        decorators=layout.decorators,
        is_bare=not layout.functions,
    )


class _Layout:
    """The statements and functions of a source file, and which of them changed.

    Attributes:
        spans, at_import, decorators: see :class:`ChangedFile`.
        functions: the span of each outermost function, with its decorators and all that is nested in it.
    """

    def __init__(self, source: bytes) -> None:
        self.spans: set[Span] = set()
        self.at_import = self.decorators = False
        self.functions: list[Span] = []
        self._lines = source.decode("utf-8", "replace").split("\n")
        self._statements: dict[int, Span] = {}
        self._decorators: set[int] = set()
        self._names: set[str] = set()
        self._read(ast.parse(source).body, outermost=True)

    def _read(self, body: Iterable[ast.stmt], *, outermost: bool) -> None:
        for statement in body:
            first, last = statement.lineno, statement.end_lineno or statement.lineno
            blocks = [*_blocks(statement)]
            if isinstance(statement, _FUNCTIONS):
                self._names.add(statement.name)
                if outermost:
                    start = _first_line(statement)
                    self.functions.append((start, last))
                    self._decorators.update(range(start, first))
            if blocks:  # its header is a statement, up to the line before the block
                last = max(first, self._code(range(_first_line(blocks[0][0]) - 1, first, -1)))
            self._statements |= dict.fromkeys(range(first, last + 1), (first, last))
            for block in blocks:
                self._read(block, outermost=outermost and not isinstance(statement, _FUNCTIONS))

    def take(self, hunk: Hunk) -> None:
        """Take in the changes of one hunk."""
        removed = [line for line in hunk.removed if _is_code(line)]
        lines = range(hunk.start, hunk.start + hunk.added)
        for line in lines:
            self._change(line, alone=not removed)
        before, after = self._around(lines)
        headed = any(map(_DEFINITION.match, removed))
        if (
            before and after and self._header(after) in lines and not headed
        ):  # a new ``def`` took over the end of a function
            self.spans.add(before)
        inside = self._statements.get(hunk.start - 1)
        if inside is not None and inside == self._statements.get(
            lines.stop
        ):  # in a text of several lines, all lines count
            self._change(hunk.start - 1, alone=False)
        elif removed:
            self._change_around(lines, removed)

    def _change(self, line: int, *, alone: bool) -> None:
        """Note that a line changed; ``alone``: nothing was removed there."""
        function, statement = self.function(line), self._statements.get(line)
        if statement is None and not _is_code(self._text(line)):
            return
        if function is None:
            self.at_import = True
        elif line in self._decorators:
            self.decorators = True
            self.spans.add(function)
        elif statement is None or not alone or statement[0] == self._header(function):
            self.spans.add(function)  # ``else`` and ``except`` are no statements
        else:
            self.spans.add(statement)

    def _change_around(self, lines: range, removed: Sequence[str]) -> None:
        """Note that code was removed between the code before and the code after these lines."""
        former, latter = self._around(lines)
        edge = _indentation(self._text(self._header(former))) if former else 0
        if former and _indentation(removed[0]) > edge:  # the end of that function
            self.spans.add(former)
            if all(_indentation(line) > edge for line in removed):
                return
        depth = min(map(_indentation, removed))
        for line in removed:
            if _indentation(line) > depth:
                continue
            if line.lstrip().startswith("@"):
                self.decorators = True
                self.spans.update([latter] if latter else [])
                continue
            # A function that is still defined was moved, or got another header: its lines count as added.
            definition = _DEFINITION.match(line)
            self.at_import = self.at_import or definition is None or definition[1] not in self._names

    def _around(self, lines: range) -> tuple[Span | None, Span | None]:
        """Return the functions of the code before and of the code after these lines."""
        before = self._code(range(lines.start - 1, 0, -1))
        after = self._code(range(lines.stop, len(self._lines) + 1))
        return self.function(before), self.function(after)

    def function(self, line: int) -> Span | None:
        """Return the outermost function that a line belongs to."""
        return next((span for span in self.functions if span[0] <= line <= span[1]), None)

    def _code(self, lines: range) -> int:
        """Return the first of these lines that has code; 0 if none has."""
        return next((line for line in lines if line in self._statements or _is_code(self._text(line))), 0)

    def _header(self, function: Span) -> int:
        """Return the line of a function's ``def``."""
        return next(line for line in range(function[0], function[1] + 1) if line not in self._decorators)

    def _text(self, line: int) -> str:
        return self._lines[line - 1] if line <= len(self._lines) else ""


def _first_line(statement: ast.stmt) -> int:
    """Return the first line of a statement, with its decorators."""
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(each.lineno for each in decorators)])


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    """Yield the blocks of a compound statement."""
    for name in ("body", "orelse", "finalbody"):
        if block := getattr(statement, name, None):
            yield block
    for each in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
        yield each.body


def _is_code(text: str) -> bool:
    """Return whether a line has more than blanks and a comment."""
    return bool(text.strip()) and not text.lstrip().startswith("#")


def _indentation(text: str) -> int:
    return len(text) - len(text.lstrip())
