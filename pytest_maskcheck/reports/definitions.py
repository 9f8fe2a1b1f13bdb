"""What a source file defines: where its functions are, and the lines in them, as a baseline names them."""

from __future__ import annotations

import ast
import linecache
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from pytest_maskcheck.reports import files
from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_NAMELESS = ("<locals>", "<lambda>", "<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>", "<module>")
"""Parts of qualified names that no statement defines."""


@dataclass(frozen=True, slots=True)
class Definitions:
    """What a file of Python defines.

    Parameters:
        spans: qualified name -> the lines of each definition of that name; ``""`` is the file itself.
        cleanups: the lines of an ``except`` or ``finally``, with those of the ``try`` that leads there.
    """

    spans: dict[str, list[range]] = field(default_factory=dict)
    cleanups: list[tuple[range, range]] = field(default_factory=list)


def file_of(root: str, paths: Sequence[str], path: str) -> str:
    """Return the file that reports show as ``path``, or ``""``.

    Parameters:
        root: the root directory of the tests.
        paths: where modules are imported from.
        path: relative to one of these directories, or absolute.
    """
    candidates = (os.path.join(folder, path) for folder in (root, *paths))
    return next((file for file in candidates if os.path.isfile(file)), "")


def may_define(file: str, function: str) -> bool:
    """Return whether a file defines a function, given by its qualified name; True if the file cannot be parsed."""
    known = _definitions(file)
    return known is None or _name(function) in known.spans


def lines_of_function(file: str, function: str) -> frozenset[int]:
    """Return the lines of all definitions of a function; none if the file cannot be parsed."""
    known = _definitions(file) or Definitions()
    return frozenset(line for span in known.spans.get(_name(function), ()) for line in span)


def text_of(file: str, function: str, line: int) -> str:
    """Return the text of a line, with its number among equal lines of its function."""
    lines = _stripped(file)
    if not 0 < line <= len(lines):
        return ""
    text = lines[line - 1]
    known = _definitions(file) or Definitions()
    spans = known.spans.get(_name(function))
    before = spans[-1].start - 1 if spans else 0  # of several definitions, the last one is in force
    number = lines[before:line].count(text)
    return f"{text} ({number})" if number > 1 else text


def lines_with(file: str, function: str, text: str) -> frozenset[int]:
    """Return the lines of a function for which :func:`text_of` returns ``text``."""
    lines = _stripped(file)
    candidates = (line for line in lines_of_function(file, function) if line <= len(lines))
    # Few lines begin alike: counting for each line of a file would take time that grows with its square.
    alike = (line for line in candidates if text.startswith(lines[line - 1]))
    return frozenset(line for line in alike if text_of(file, function, line) == text)


def lines_that_lead_to(file: str, line: int) -> frozenset[int]:
    """Return a line and, if only an exception leads there, the lines of the ``try`` before it."""
    known = _definitions(file) or Definitions()
    return frozenset({line, *(each for cleanup, body in known.cleanups if line in cleanup for each in body)})


def _stripped(file: str) -> list[str]:
    return [line.strip() for line in linecache.getlines(file)]


def _name(function: str) -> str:
    """Return the name that a statement defines, of a qualified name such as ``Store.get.<locals>.<lambda>``."""
    parts = function.split(".")
    while parts and parts[-1] in _NAMELESS:
        parts.pop()
    return ".".join(parts)


@cache
def _definitions(file: str) -> Definitions | None:
    """Return what a file of Python defines; ``None`` if it cannot be parsed."""
    try:
        content = files.read(file)
        tree = ast.parse(content)
    except (OSError, ValueError, SyntaxError, RecursionError):
        return None
    found = Definitions({"": [range(1, content.count(b"\n") + 2)]})
    for name, span in _defined(tree, ""):
        found.spans.setdefault(name, []).append(span)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Try, ast.TryStar)):
            body = _span(node.body)
            found.cleanups.extend((_span(part), body) for part in (node.handlers, node.finalbody) if part)
    return found


def _span(nodes: Sequence[ast.stmt | ast.excepthandler]) -> range:
    return range(nodes[0].lineno, (nodes[-1].end_lineno or nodes[-1].lineno) + 1)


def _defined(tree: ast.AST, prefix: str) -> Iterator[tuple[str, range]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield prefix + node.name, _span([node])
            yield from _defined(node, f"{prefix}{node.name}.<locals>.")
        elif isinstance(node, ast.ClassDef):
            yield prefix + node.name, _span([node])
            yield from _defined(node, f"{prefix}{node.name}.")
        else:
            yield from _defined(node, prefix)
