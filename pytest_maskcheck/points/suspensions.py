"""Where a function is suspended: at an ``await`` or a ``yield``, after which other code runs before it goes on."""

from __future__ import annotations

import ast
import tokenize
from collections.abc import Iterator
from functools import lru_cache

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES = (*_FUNCTIONS, ast.Lambda, ast.ClassDef)
_BLOCKS = (ast.AsyncFor, ast.AsyncWith)


def suspends(path: str, first: int, last: int | None) -> bool:
    """Return whether the function around a line is suspended between it and another line, or (``None``) the end of the function.

    ``False`` if the source cannot be read.
    """
    tree = _tree(path)
    around = (
        [node for node in ast.walk(tree) if isinstance(node, _FUNCTIONS) and _contains(node, first)] if tree else []
    )
    if not around:
        return False
    function = max(around, key=lambda node: node.lineno)
    end = last or function.end_lineno or function.lineno
    return any(start <= end and first <= stop for start, stop in _places(function))


def _places(function: ast.AST) -> Iterator[tuple[int, int]]:
    """Yield the first and the last line of what suspends a function; code of functions within it does not."""
    for node in ast.iter_child_nodes(function):
        if isinstance(node, _SCOPES):
            continue
        if isinstance(node, (ast.Await, ast.Yield, ast.YieldFrom)):
            yield node.lineno, node.end_lineno or node.lineno
        elif isinstance(
            node, _BLOCKS
        ):  # at its head; and at its end, to which a mask over the head extends, or which it would cut
            yield node.lineno, node.body[0].lineno - 1 if node.body[0].lineno > node.lineno else node.lineno
            yield node.end_lineno or node.lineno, node.end_lineno or node.lineno
        elif isinstance(node, ast.comprehension) and node.is_async:
            yield node.target.lineno, node.iter.end_lineno or node.target.lineno
        yield from _places(node)


def _contains(node: ast.FunctionDef | ast.AsyncFunctionDef, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or node.lineno)


@lru_cache(maxsize=8)
def _tree(path: str) -> ast.Module | None:
    try:
        with tokenize.open(path) as file:
            return ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return None
