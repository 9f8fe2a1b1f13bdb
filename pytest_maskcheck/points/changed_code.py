"""Changed functions and files, and whether any of them decides what an audit of a test finds.

A change must touch every test that it can make unsafe:

1. A function counts as a whole. A test may now go past the place of a change without reaching any new line (``release()`` moved into an
   ``if``), and only an interrupted run reaches a statement that was added to an ``except`` block.
2. A changed function touches the tests that reach anything in it, and those whose interrupted runs may come to it: it is called in an
   ``except`` block, is an ``__exit__`` or a property that is used there, and so on (:mod:`.deciding_code`). Functions of fixtures, and
   what they may call, count, too. A new function may take the place of another one of its name.
3. Code that runs at import (module level, class bodies, decorators) is in no test's reach. A change there touches all tests that reach
   anything in the file, or may import it; if the file has no function, such as one of constants, and is imported, all tests.
4. Blank lines and comments touch nothing.

What does not work: a function that only an interrupted run calls, by a name that it computes, is not found. Files of data and templates
are not looked at.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pytest_maskcheck.points.deciding_code import Deciding
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
        functions: the functions with any change, each with its decorators and all that is nested in it.
        headers: those of them whose ``def`` is new: the function may be new, too.
        at_import: code that runs at import changed.
        decorators: decorators of functions changed, which run at import, too.
        is_bare: the file has no function that a test could reach.
    """

    functions: tuple[Span, ...] = ()
    headers: tuple[Span, ...] = ()
    at_import: bool = False
    decorators: bool = False
    is_bare: bool = False

    @property
    def is_changed(self) -> bool:
        """Whether anything but comments and blank lines changed."""
        return bool(self.functions) or self.at_import or self.decorators

    def is_reached_by(self, lines: Iterable[int], *, own: bool) -> bool:
        """Return whether a test is touched that reaches these lines.

        Parameters:
            lines: lines of this file, at least one of each function that the test reaches.
            own: the file is the test's own. A decorator there matters only to its function: it makes a fixture, or parameters.
        """
        reached = list(lines)
        if reached and self._concerns_file(own=own):
            return True
        return any(first <= line <= last for line in reached for first, last in self.functions)

    def decides(self, path: str, code: Deciding, *, own: bool) -> bool:
        """Return whether a test is touched whose audit this code decides.

        Parameters:
            path: the path of this file in ``code``.
            code: the code.
            own: as for :meth:`is_reached_by`.
        """
        if path in code.whole:
            return self.is_changed
        # Functions that ``code`` does not list count: it may have failed to parse the file.
        return (
            self._concerns_file(own=own)
            or not code.idle(path).issuperset(self.functions)
            or not code.apart(path).issuperset(self.headers)
        )

    def _concerns_file(self, *, own: bool) -> bool:
        return self.at_import or (self.decorators and not own)


WHOLE = ChangedFile(at_import=True)
"""A file that is new, or cannot be parsed: every test that reaches it, or may import it, is touched."""


@dataclass(frozen=True, slots=True, repr=False)
class Changed:
    """What changed since a commit, as far as the code of a test decides whether that touches it.

    Parameters:
        reason: why a test that is not touched is not audited.
        files: real path -> what changed there.
        folders: real paths of folders in which everything counts as changed, each with a separator at its end.
        own: the real paths of the test's own files.
        is_copy: returns whether a file is an installed copy of the project, which cannot be compared with the commit.
        deciding: returns the code that decides the test's audit, by the lines that it reaches; ``None``: only these lines count.
    """

    reason: Reason
    files: Mapping[str, ChangedFile] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    own: frozenset[str] = frozenset()
    is_copy: Callable[[str], bool] = lambda _: False
    deciding: Callable[[Mapping[str, Iterable[int]]], Deciding] | None = None

    @property
    def is_nothing(self) -> bool:
        """Whether no test can reach anything that changed."""
        return not (self.files or self.folders)

    def touches(self, reached: Mapping[str, Iterable[int]]) -> bool:
        """Return whether a test is touched that reaches these lines, by absolute path: at least one of each function."""
        if any(self._is_reached(path, lines) for path, lines in reached.items()):
            return True
        if self.deciding is None:
            return False
        code = self.deciding(reached)
        return any(self._decides(path, code) for path in code.files)

    def _is_reached(self, path: str, lines: Iterable[int]) -> bool:
        real = os.path.realpath(path)
        if real in self.files:
            return self.files[real].is_reached_by(lines, own=real in self.own)
        return real.startswith(self.folders) or self.is_copy(path)

    def _decides(self, path: str, code: Deciding) -> bool:
        real = os.path.realpath(path)
        if real in self.files:
            return self.files[real].decides(path, code, own=real in self.own)
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
    return ChangedFile(
        tuple(sorted(layout.changed)),
        tuple(sorted(layout.headers)),
        at_import=layout.at_import,
        decorators=layout.decorators,
        is_bare=not layout.functions,
    )


class _Layout:
    """The statements and functions of a source file, and which of them changed.

    Attributes:
        changed: the functions with any change.
        headers, at_import, decorators: see :class:`ChangedFile`.
        functions: the span of each outermost function, with its decorators and all that is nested in it.
    """

    def __init__(self, source: bytes) -> None:
        self.changed: set[Span] = set()
        self.headers: set[Span] = set()
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
            self._change(line)
        before, after = self._around(lines)
        headed = any(map(_DEFINITION.match, removed))
        if (
            before and after and self._header(after) in lines and not headed
        ):  # a new ``def`` took over the end of a function
            self.changed.add(before)
        inside = self._statements.get(hunk.start - 1)
        if inside is not None and inside == self._statements.get(
            lines.stop
        ):  # in a text of several lines, all lines count
            self._change(hunk.start - 1)
        elif removed:
            self._change_around(lines, removed)

    def _change(self, line: int) -> None:
        """Note that a line was added or replaced."""
        if line not in self._statements and not _is_code(self._text(line)):  # ``else`` and ``except`` are no statements
            return
        function = self.function(line)
        if function is None:
            self.at_import = True
            return
        self.changed.add(function)
        if line in self._decorators:
            self.decorators = True
        elif line == self._header(function):
            self.headers.add(function)

    def _change_around(self, lines: range, removed: Sequence[str]) -> None:
        """Note that code was removed between the code before and the code after these lines."""
        former, latter = self._around(lines)
        edge = _indentation(self._text(self._header(former))) if former else 0
        if former and _indentation(removed[0]) > edge:  # the end of that function
            self.changed.add(former)
            if all(_indentation(line) > edge for line in removed):
                return
        depth = min(map(_indentation, removed))
        for line in removed:
            if _indentation(line) > depth:
                continue
            if line.lstrip().startswith("@"):
                self.decorators = True
                self.changed.update([latter] if latter else [])
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
