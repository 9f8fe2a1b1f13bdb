"""Recognises hits in a call that releases something: ``finally: path.unlink()``, a Python ``__exit__``."""

from __future__ import annotations

import ast
import tokenize
from functools import lru_cache
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.places import BEYOND
from pytest_maskcheck.points.source_versions import version_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_maskcheck.interrupts import Hit
    from pytest_maskcheck.points.source_versions import Version

_EXITS = {"__exit__", "__aexit__"}


def is_cleanup(hit: Hit) -> bool:
    """Return whether an interrupt at ``hit`` arrives in a clean-up call: as it begins or, if the callee is out of scope, as it ends."""
    # At a function entry, either the callee is an ``__exit__``, or the calling line is within ``finally`` or ``except``.
    if hit.kind == "entry":
        if hit.code.co_name in _EXITS:
            return True
        if not hit.context:
            return False
        caller, line = hit.context[0]
        return line in cleanup_lines(caller.co_filename)
    if hit.kind not in BEYOND:
        return False
    callee = (hit.trigger.since or hit.trigger).callee
    return hit.line in cleanup_lines(hit.code.co_filename) or (callee is not None and callee.co_name in _EXITS)


def cleanup_lines(filename: str) -> frozenset[int]:
    """Return the lines of a file that are within ``finally`` or ``except``."""
    return _lines(filename, version_of(filename))


def clauses(filename: str) -> dict[int, frozenset[int]]:
    """Return, for the first line of each ``except`` clause of a file, the lines of its body but that one."""
    handlers = (handler for node in _tries(filename) for handler in node.handlers)
    return {handler.lineno: _lines_of(handler.body) - {handler.lineno} for handler in handlers}


@lru_cache(maxsize=256)
def _lines(filename: str, _: Version | None) -> frozenset[int]:
    found: set[int] = set()
    for node in _tries(filename):
        found |= _lines_of([*node.finalbody, *(each for handler in node.handlers for each in handler.body)])
    return frozenset(found)


def _lines_of(statements: Iterable[ast.stmt]) -> frozenset[int]:
    ranges = (range(each.lineno, (each.end_lineno or each.lineno) + 1) for each in statements)
    return frozenset(line for lines in ranges for line in lines)


def _tries(filename: str) -> list[ast.Try | ast.TryStar]:
    """Return the ``try`` statements of a file."""
    try:
        with tokenize.open(filename) as source:
            tree = ast.parse(source.read())
    except (OSError, SyntaxError, ValueError):  # generated, removed, or not Python
        return []
    return [node for node in ast.walk(tree) if isinstance(node, (ast.Try, ast.TryStar))]
