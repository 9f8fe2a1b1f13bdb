"""The functions of a source file, each with a digest of its text; all other code of the file is its *rest*.

Results of an audit are kept as long as the code that decides them stays the same (:mod:`pytest_maskcheck.session.basis`). So the parts
of a file are compared one by one, and an edit elsewhere in the file does not count.

1. A function is a ``def`` at module or class level, from its first decorator to its last line; functions within it are part of it.
   Its digest is that of its text, comments included: they may exclude lines. It does not depend on where in the file the function is.
2. The rest is compared as a syntax tree, so that blank lines and comments on lines of their own do not count. Comments behind code do:
   ``class A:  # pragma: no cover`` excludes all methods. Decorators and default values run at import, and belong to the rest, too;
   those of pytest only mark a function, and what they mean for a test is compared with the test.
3. *Words* are the names that code mentions, in whatever way: global variables, attributes, imports, and the parts of short strings
   (``getattr(self, "close")``). Code cannot call a function whose name it does not mention, other than by a name that it computes.
   Variables of the function itself are no words: what they refer to was mentioned elsewhere.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

VERSION = 2
"""Version of what :func:`source_of` returns; it grows by one whenever equal files give something else."""

_LONGEST = 200
"""Longer strings are prose."""

_WORD = re.compile(r"[^\W\d]\w*")
_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_CHOICES = (ast.IfExp, ast.BoolOp, ast.Lambda, ast.comprehension)
"""Expressions of which coverage cannot tell whether all parts were reached, as they may be on one line."""

Node = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, repr=False)
class Function:
    """A function at module or class level.

    Parameters:
        name: its qualified name.
        first, last: its lines, decorators included.
        digest: of its text.
        words: all names that it mentions.
    """

    name: str
    first: int
    last: int
    digest: str
    words: frozenset[str]

    @property
    def owner(self) -> str:
        """The qualified name of its class, or ``""``."""
        return self.name.rpartition(".")[0]

    @property
    def short(self) -> str:
        """Its name in its class or module."""
        return self.name.rpartition(".")[2]


@dataclass(frozen=True, slots=True, repr=False)
class SourceFile:
    """What a source file consists of.

    Parameters:
        rest: the digest of the code outside functions.
        functions: in the order of their lines.
        classes: qualified name of each class -> the words of its bases and keywords.
        run: the words of what the import of the file calls: functions, decorators, base classes.
        values: name given outside functions -> the names that its value mentions, as in tables of functions and for ``import ... as``.
        imports: names of modules, absolute ones and relative ones with their dots, that the file may import.
    """

    rest: str
    functions: tuple[Function, ...] = ()
    classes: dict[str, frozenset[str]] = field(default_factory=dict)
    run: frozenset[str] = frozenset()
    values: dict[str, frozenset[str]] = field(default_factory=dict)
    imports: frozenset[str] = frozenset()

    def to_json(self) -> list[Any]:
        """Return plain data."""
        rows = [[each.name, each.first, each.last, each.digest, " ".join(each.words)] for each in self.functions]
        classes = {name: " ".join(words) for name, words in self.classes.items()}
        values = {name: " ".join(words) for name, words in self.values.items()}
        return [self.rest, rows, classes, " ".join(self.run), values, " ".join(self.imports)]

    @classmethod
    def from_json(cls, data: list[Any]) -> SourceFile:
        """Return the file that :meth:`to_json` described."""
        rest, rows, classes, run, values, imports = data
        functions = tuple(
            Function(name, first, last, text, frozenset(words.split())) for name, first, last, text, words in rows
        )
        known = {name: frozenset(words.split()) for name, words in classes.items()}
        given = {name: frozenset(words.split()) for name, words in values.items()}
        return cls(rest, functions, known, frozenset(run.split()), given, frozenset(imports.split()))


def digest(*parts: str) -> str:
    """Return a digest of several texts."""
    made = sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        made.update(b"%d:" % len(data))
        made.update(data)
    return made.hexdigest()


def source_of(text: str) -> SourceFile:
    """Return what a source file consists of; if it is no Python, its rest is the digest of its text."""
    tree = _parsed(text)
    if tree is None:
        return SourceFile(digest(text))
    lines = text.split("\n")
    nodes = dict(functions_in(tree))
    functions = tuple(
        Function(name, first, last, digest(*lines[first - 1 : last]), frozenset(words_in(node, locals_of(node))))
        for (name, first), node in nodes.items()
        for last in [node.end_lineno or first]
    )
    classes = {name: frozenset(_words_of([*node.bases, *node.keywords])) for name, node in _classes_in(tree)}
    imports = frozenset(_imports(tree))
    inside = {number for each in functions for number in range(each.first, each.last + 1)}
    behind = [
        line.strip() for number, line in enumerate(lines, 1) if number not in inside and _has_comment_behind(line)
    ]
    run = frozenset(_run_at_import(tree))
    values = _values(tree)
    return SourceFile(digest(_rest(tree), *behind), functions, classes, run, values, imports)


def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _has_comment_behind(line: str) -> bool:
    code, sign, _ = line.partition("#")
    return bool(sign and code.strip())


def functions_in(tree: ast.Module) -> Iterator[tuple[tuple[str, int], Node]]:
    """Yield the qualified name, the first line and the node of each function at module or class level."""
    for name, node in _definitions(tree, ""):
        if isinstance(node, _FUNCTIONS):
            yield (name, min([node.lineno, *(each.lineno for each in node.decorator_list)])), node


def _classes_in(tree: ast.Module) -> Iterator[tuple[str, ast.ClassDef]]:
    for name, node in _definitions(tree, ""):
        if isinstance(node, ast.ClassDef):
            yield name, node


def _definitions(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.AST]]:
    """Yield the definitions below a node that are not within a function, with their qualified names."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _FUNCTIONS):
            yield prefix + child.name, child
        elif isinstance(child, ast.ClassDef):
            yield prefix + child.name, child
            yield from _definitions(child, f"{prefix}{child.name}.")
        elif isinstance(child, (ast.stmt, ast.excepthandler, ast.match_case)):
            yield from _definitions(child, prefix)


# Words


def locals_of(node: Node) -> frozenset[str]:
    """Return the variables of a function, without those of functions and classes within it."""
    given = node.args
    arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    found = {each.arg for each in arguments if each is not None}
    elsewhere: set[str] = set()
    queue: list[ast.AST] = [*node.body]
    while queue:
        match each := queue.pop():
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(each.name)
                continue
            case ast.Lambda():
                continue
            case ast.Name(ctx=ast.Store()):
                found.add(each.id)
            case ast.Global() | ast.Nonlocal():
                elsewhere.update(each.names)
        queue += ast.iter_child_nodes(each)
    # A function within may declare a name as global that is a variable here.
    elsewhere.update(name for each in ast.walk(node) if isinstance(each, ast.Global) for name in each.names)
    return frozenset(found - elsewhere)


def words_in(node: ast.AST, variables: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the names that code mentions, without the variables of its function, and without documentation."""
    queue = [node]
    while queue:
        each = queue.pop()
        if not _is_documentation(each):
            yield from _own_words(each, variables)
            queue += ast.iter_child_nodes(each)


def _is_documentation(node: ast.AST) -> bool:
    """Return whether a statement is nothing but a constant, such as a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _own_words(node: ast.AST, variables: frozenset[str]) -> Iterable[str]:
    match node:
        case ast.Name():
            return () if node.id in variables or isinstance(node.ctx, ast.Store) else (node.id,)
        case ast.Attribute():
            return (node.attr,)
        case ast.Constant(value=str(text)) if len(text) <= _LONGEST:
            return _WORD.findall(text)
        case ast.alias():
            return (*node.name.split("."), *([node.asname] if node.asname else []))
        case ast.ImportFrom():
            return (node.module or "").split(".")
    return ()


def _words_of(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        yield from words_in(node)


def _run_at_import(tree: ast.Module) -> Iterator[str]:
    """Yield the words of what the import of a module calls.

    A class statement calls methods of its bases, too, but only special ones: see ``deciding_code``. Strings do not count: those at module
    level are names of fields and loggers (``namedtuple("Info", "size")``).
    """
    for node in _outside_functions(tree):
        if isinstance(node, ast.Call):
            # Arguments count, too: ``register(handler)``, ``map(convert, TABLE)``.
            yield from _words_of(each for each in ast.walk(node) if isinstance(each, (ast.Name, ast.Attribute)))
        elif isinstance(node, ast.ClassDef):
            yield from _words_of([*node.keywords, *node.decorator_list])
        elif isinstance(node, (ast.For, ast.With, ast.BinOp, ast.Compare, ast.comprehension)):
            # Methods that operators and statements call have names that nobody mentions; their classes are mentioned.
            inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, (ast.expr, ast.withitem))]
            yield from _words_of(inner)


def _values(tree: ast.Module) -> dict[str, frozenset[str]]:
    """Return the names that assignments and imports outside functions give -> those that the values mention; strings do not count."""
    found: dict[str, set[str]] = {}
    for node in _outside_functions(tree):
        match node:
            case ast.Assign(targets=targets, value=value):
                pass
            case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.AugAssign(target=target, value=value):
                targets = [target]
            case ast.alias(name=name, asname=str(other)):
                found.setdefault(other, set()).update(name.split("."))
                continue
            case _:
                continue
        words = {*_words_of(each for each in ast.walk(value) if isinstance(each, (ast.Name, ast.Attribute)))}
        for each in (each for target in targets for each in ast.walk(target)):
            if isinstance(each, (ast.Name, ast.Attribute)):
                found.setdefault(each.id if isinstance(each, ast.Name) else each.attr, set()).update(words)
    return {name: frozenset(words - {name}) for name, words in found.items() if words - {name}}


def _outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what runs at import: all nodes but the bodies of functions; a decorator is called."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _FUNCTIONS):
            for each in _run_by_def(child):
                is_decorator = each in child.decorator_list and not isinstance(each, ast.Call)
                yield ast.Call(each, [], []) if is_decorator else each
                yield from _outside_functions(each)
        else:
            yield child
            yield from _outside_functions(child)


def _run_by_def(node: Node) -> list[ast.expr]:
    """Return the decorators and the default values of a function."""
    decorators: list[ast.expr] = []
    for each in node.decorator_list:
        if not _is_of_pytest(each):
            decorators.append(each)
        elif isinstance(each, ast.Call):
            decorators += [*each.args, *(keyword.value for keyword in each.keywords)]
    return [*decorators, *node.args.defaults, *(each for each in node.args.kw_defaults if each is not None)]


def _is_of_pytest(decorator: ast.expr) -> bool:
    """Return whether a decorator is one like ``pytest.mark.parametrize(...)``, which only marks the function."""
    node: ast.AST = decorator.func if isinstance(decorator, ast.Call) else decorator
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name) and node.id == "pytest" and node is not decorator


# The rest


def _rest(tree: ast.Module) -> str:
    """Return the code outside functions as text; this changes the tree."""
    return ast.dump(_Stripped().visit(tree))


class _Stripped(ast.NodeTransformer):
    """Removes functions and documentation; what a ``def`` statement runs besides stays."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST | None:
        return self._stripped(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST | None:
        return self._stripped(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return node

    def _stripped(self, node: Node) -> ast.AST | None:
        marks = all(map(_is_of_pytest, node.decorator_list))
        plain = all(isinstance(each, ast.Constant) for each in (*node.args.defaults, *node.args.kw_defaults) if each)
        if marks and plain:
            return None
        decorators = [each for each in node.decorator_list if not _is_of_pytest(each)]
        values = [each for each in (*node.args.defaults, *node.args.kw_defaults) if each]
        return ast.Expr(ast.Tuple([ast.Constant(node.name), *decorators, *values], ast.Load()))


# Imports


def _imports(tree: ast.Module) -> Iterator[str]:
    """Yield the names of all modules that the file may import, those in strings included (``import_module("pkg.store")``)."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                base = "." * node.level + (node.module or "")
                joint = base if base.endswith(".") else f"{base}."
                yield from (base, *(joint + alias.name for alias in node.names if alias.name != "*"))
            case ast.Constant(value=str(text)) if len(text) <= _LONGEST and _DOTTED.fullmatch(text):
                yield text
            case ast.Assign(targets=[ast.Name(id="pytest_plugins")]):
                yield from (
                    each.value
                    for each in ast.walk(node.value)
                    if isinstance(each, ast.Constant) and type(each.value) is str
                )


# What an interrupted run may do besides


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
        tree = _parsed(text)
        for (name, first), node in functions_in(tree) if tree else ():
            lines = reached(name, first)
            if lines is not None:
                variables = locals_of(node)
                for statement in node.body:
                    self._add_statement(statement, lines, variables, handles=False)

    def _add_statement(self, node: ast.AST, reached: set[int], variables: frozenset[str], *, handles: bool) -> None:
        """Add a statement: all of it if it was not reached, else only what may be of use after an interrupt.

        Parameters:
            node: the statement.
            reached: lines.
            variables: those of its function.
            handles: it is in an ``except`` or ``finally`` block, which an interrupt may enter in another state.
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
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.stmt, ast.excepthandler, ast.match_case)):
                self._add_statement(child, reached, variables, handles=inner or child in final)
            elif isinstance(child, ast.withitem):
                self.words.update(words_in(child, variables))
            else:
                self._add_expression(child, variables)

    def _add_expression(self, node: ast.AST, variables: frozenset[str]) -> None:
        nodes = [*ast.walk(node)]
        if any(isinstance(each, _CHOICES) for each in nodes):
            self.words.update(words_in(node, variables))
            return
        callees = {each.func for each in nodes if isinstance(each, ast.Call)}
        for each in nodes:
            (self.called if each in callees else self.passed).update(_own_words(each, variables))
