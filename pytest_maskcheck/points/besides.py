"""What an interrupted run of a test may call besides what another run of it called, by name."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_maskcheck.points.functions import BLOCKS, functions_in, locals_of, own_words, parsed, words_in, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_CHOICES = (ast.IfExp, ast.BoolOp, ast.Lambda, ast.comprehension)
"""Expressions of which coverage cannot tell whether all parts were reached, as they may be on one line."""


@dataclass(slots=True, repr=False)
class Besides:
    """What a run may come to that another run of a test did not come to.

    Attributes:
        words: the names of what it may call.
        called: the names of what the other run called; if there are more functions of such a name, it may call those.
        passed: other names in lines that were reached: functions that were passed on, to be called later, and properties.
    """

    words: set[str] = field(default_factory=set)
    called: set[str] = field(default_factory=set)
    passed: set[str] = field(default_factory=set)

    def settle(self, reached: Iterable[str]) -> None:
        """Take names of functions that were reached for calls of them, as of properties; other functions may still be called."""
        self.called |= self.passed.intersection(reached)
        self.words |= self.passed.difference(reached)

    def add(self, text: str, reached: Callable[[str, int], set[int] | None]) -> None:
        """Add what the functions of a file may come to.

        Parameters:
            text: the text of the file.
            reached: returns the lines that the other run reached of the function with this name and first line; ``None``: it did not
                come to the function.
        """
        tree = parsed(text)
        for (name, first), node in functions_in(tree) if tree else ():
            lines = reached(name, first)
            if lines is not None:
                variables = locals_of(node)
                # Arguments are variables, so that only their default values mention what they may be.
                self.words.update(words_of(each for each in (*node.args.defaults, *node.args.kw_defaults) if each))
                after = _end_of_header(node)
                for statement in node.body:
                    self._add_statement(statement, lines, variables, handles=statement.lineno <= after)
                    after = statement.end_lineno or after

    def _add_statement(self, node: ast.AST, reached: set[int], variables: frozenset[str], *, handles: bool) -> None:
        """Add a statement: all of it if it was not reached, else only what may be of use after an interrupt.

        Parameters:
            node: the statement.
            reached: lines.
            variables: those of its function.
            handles: it is in an ``except`` or ``finally`` block, which an interrupt may enter in another state, or on a line with other
                code, so that lines do not show whether it was reached.
        """
        line = (
            min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
            if isinstance(node, ast.stmt)
            else 0
        )
        is_header = isinstance(node, (ast.Try, ast.TryStar, ast.excepthandler, ast.match_case))
        if not is_header and (handles or line not in reached):
            self.words.update(words_in(node, variables))
            return
        inner = handles or isinstance(node, ast.excepthandler)
        final = getattr(node, "finalbody", [])
        after = _end_of_header(node)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.stmt, ast.excepthandler, ast.match_case)):
                is_joined = isinstance(child, ast.stmt) and child.lineno <= after
                self._add_statement(child, reached, variables, handles=inner or child in final or is_joined)
                after = max(after, getattr(child, "end_lineno", None) or 0)
            elif isinstance(child, ast.withitem) or isinstance(node, (ast.excepthandler, ast.match_case, ast.Assert)):
                # What ``except make():`` and ``assert x, make()`` call depends on what happened before.
                self.words.update(words_in(child, variables))
            else:
                self._add_expression(child, variables)

    def _add_expression(self, node: ast.AST, variables: frozenset[str]) -> None:
        nodes = [*ast.walk(node)]
        if any(isinstance(each, _CHOICES) or (isinstance(each, ast.Compare) and len(each.ops) > 1) for each in nodes):
            self.words.update(words_in(node, variables))
            return
        callees = {each.func for each in nodes if isinstance(each, ast.Call)}
        for each in nodes:
            (self.called if each in callees else self.passed).update(own_words(each, variables))


def _end_of_header(node: ast.AST) -> int:
    """Return the last line of a statement's own code, without its blocks."""
    own = [child for child in ast.iter_child_nodes(node) if not isinstance(child, BLOCKS)]
    lines = [getattr(each, "end_lineno", None) or 0 for part in own for each in ast.walk(part)]
    return max([getattr(node, "lineno", 0), *lines])
