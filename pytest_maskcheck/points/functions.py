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
4. Names outside functions *stand for* words: an alias and its original for each other, a variable for what is assigned to it or to its
   parts. So ``for each in HOOKS: each()`` leads to what ``HOOKS`` contains.
"""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

VERSION = 3
"""Version of what :func:`source_of` returns; it grows by one whenever equal files give something else."""

_LONGEST = 200
"""Longer strings are prose."""

_WORD = re.compile(r"[^\W\d]\w*")
_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Node = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, repr=False)
class Function:
    """A function at module or class level.

    Parameters:
        name: its qualified name.
        first, last: its lines, decorators included.
        digest: of its text.
        words: all names that it mentions.
        face: a digest of what other code can see of it without calling it: arguments, annotations, documentation, whether it is a
            coroutine or a generator.
    """

    name: str
    first: int
    last: int
    digest: str
    words: frozenset[str]
    face: str

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
        imports: names of modules, absolute ones and relative ones with their dots, that the file may import.
        stands: name -> the words that it stands for; a special method that a class body assigns has its qualified name.
        decorated: name of each decorated function or class -> the words of its decorators, without those of the standard library.
    """

    rest: str
    functions: tuple[Function, ...] = ()
    classes: dict[str, frozenset[str]] = field(default_factory=dict)
    run: frozenset[str] = frozenset()
    imports: frozenset[str] = frozenset()
    stands: dict[str, frozenset[str]] = field(default_factory=dict)
    decorated: dict[str, frozenset[str]] = field(default_factory=dict)

    def to_json(self) -> list[Any]:
        """Return plain data."""
        rows = [
            [each.name, each.first, each.last, each.digest, " ".join(each.words), each.face] for each in self.functions
        ]
        tables = [
            {name: " ".join(words) for name, words in table.items()}
            for table in (self.classes, self.stands, self.decorated)
        ]
        return [self.rest, rows, *tables, " ".join(self.run), " ".join(self.imports)]

    @classmethod
    def from_json(cls, data: list[Any]) -> SourceFile:
        """Return the file that :meth:`to_json` described."""
        rest, rows, *tables, run, imports = data
        functions = tuple(
            Function(name, first, last, text, frozenset(words.split()), face)
            for name, first, last, text, words, face in rows
        )
        classes, stands, decorated = (
            {name: frozenset(words.split()) for name, words in table.items()} for table in tables
        )
        return cls(rest, functions, classes, frozenset(run.split()), frozenset(imports.split()), stands, decorated)


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
    tree = parsed(text)
    if tree is None:
        return SourceFile(digest(text))
    lines = text.split("\n")
    nodes = dict(functions_in(tree))
    functions = tuple(
        Function(name, first, last, digest(*lines[first - 1 : last]), frozenset(_words_of_function(node)), _face(node))
        for (name, first), node in nodes.items()
        for last in [node.end_lineno or first]
    )
    classes = {name: frozenset(words_of([*node.bases, *node.keywords])) for name, node in _classes_in(tree)}
    imports = frozenset(_imports(tree))
    inside = {number for each in functions for number in range(each.first, each.last + 1)}
    behind = [
        line.strip() for number, line in enumerate(lines, 1) if number not in inside and _has_comment_behind(line)
    ]
    run = frozenset(_run_at_import(tree))
    stands, decorated = _stands(tree), _decorated(tree)
    return SourceFile(digest(_rest(tree), *behind), functions, classes, run, imports, stands, decorated)


def parsed(text: str) -> ast.Module | None:
    """Return the syntax tree of a file; ``None`` if it is no Python."""
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


def _face(node: Node) -> str:
    """Return a digest of what can be seen of a function without calling it; its default values belong to the rest."""
    given = node.args
    named = [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg]
    arguments = [
        f"{each.arg}: {ast.dump(each.annotation) if each.annotation else ''}" if each else "/" for each in named
    ]
    numbers = [len(each) for each in (given.posonlyargs, given.args, given.defaults)]
    numbers += [each is not None for each in given.kw_defaults]
    returned = ast.dump(node.returns) if node.returns else ""
    generates = any(isinstance(each, (ast.Yield, ast.YieldFrom)) for each in ast.walk(node))
    return digest(type(node).__name__, *arguments, f"{numbers} {generates}", returned, ast.get_docstring(node) or "")[
        :16
    ]


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


def _words_of_function(node: Node) -> Iterator[str]:
    """Yield the words of a function without the names of its decorators, which were called at import."""
    variables = locals_of(node)
    for child in ast.iter_child_nodes(node):
        if child not in node.decorator_list:
            yield from words_in(child, variables)
        elif isinstance(child, ast.Call):
            for each in (*child.args, *child.keywords):
                yield from words_in(each, variables)


def words_in(node: ast.AST, variables: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the names that code mentions, without the variables of its function, and without documentation."""
    queue = [node]
    while queue:
        each = queue.pop()
        if not _is_documentation(each):
            yield from own_words(each, variables)
            queue += ast.iter_child_nodes(each)


def _is_documentation(node: ast.AST) -> bool:
    """Return whether a statement is nothing but a constant, such as a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def own_words(node: ast.AST, variables: frozenset[str]) -> Iterable[str]:
    """Return the names that a node mentions itself, without those of its parts."""
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


def words_of(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield the names that several pieces of code mention."""
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
            yield from words_of(each for each in ast.walk(node) if isinstance(each, (ast.Name, ast.Attribute)))
        elif isinstance(node, ast.ClassDef):
            yield from words_of([*node.keywords, *node.decorator_list])
        elif isinstance(node, (ast.For, ast.With, ast.BinOp, ast.Compare, ast.comprehension)):
            # Methods that operators and statements call have names that nobody mentions; their classes are mentioned.
            inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, (ast.expr, ast.withitem))]
            yield from words_of(inner)


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


# What names stand for


def _stands(tree: ast.Module) -> dict[str, frozenset[str]]:
    """Return the words that names outside functions stand for; attributes that functions assign are there without words."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for node in ast.walk(tree):
        match node:
            case ast.alias(asname=str(short)):
                original = node.name.rpartition(".")[2]
                found[short].add(original)
                found[original].add(short)
            case ast.Attribute(ctx=ast.Store()):
                found[node.attr].update()
            case ast.Global():
                for name in node.names:
                    found[name].update()
    for owner, statement in _statements(tree, ""):
        parts = [
            child
            for child in ast.iter_child_nodes(statement)
            if not isinstance(child, BLOCKS) and child is not getattr(statement, "annotation", None)
        ]
        nodes = [each for part in parts for each in ast.walk(part)]
        names = {name for each in nodes if _is_stored(each) for name in _stored(each)}
        if not names or "__all__" in names:
            continue
        # Values may be containers that another name for them fills: ``mine = HOOKS; mine += [close]``.
        value = getattr(statement, "value", None)
        same = set(_stored(value)) if isinstance(value, (ast.Name, ast.Attribute)) else set()
        # The name of a special method would lead to those of all classes.
        words = {*words_of(parts), *(name for name in names if not is_special(name))}
        for name in names | same:
            found[f"{owner}.{name}" if owner and is_special(name) else name] |= words
    return {name: frozenset(words - {name}) for name, words in found.items()}


BLOCKS = (ast.stmt, ast.excepthandler, ast.match_case)


def _statements(node: ast.AST, owner: str) -> Iterator[tuple[str, ast.stmt]]:
    """Yield all statements outside functions other than definitions, each with the qualified name of its class."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from _statements(child, f"{owner}.{child.name}" if owner else child.name)
        elif isinstance(child, BLOCKS) and not isinstance(child, _FUNCTIONS):
            if isinstance(child, ast.stmt):
                yield owner, child
            yield from _statements(child, owner)


def _is_stored(node: ast.AST) -> bool:
    return isinstance(getattr(node, "ctx", None), ast.Store) and not isinstance(
        node, (ast.Tuple, ast.List, ast.Starred)
    )


def _stored(node: ast.AST) -> Iterable[str]:
    """Return the name of what a target changes: the container, if it is an item."""
    match node:
        case ast.Name():
            return (node.id,)
        case ast.Attribute():
            return (node.attr,)
        case ast.Subscript():
            return _stored(node.value)
    return words_in(node)


def is_special(name: str) -> bool:
    """Return whether a name is one like ``__exit__``."""
    return name.startswith("__") and name.endswith("__")


def _decorated(tree: ast.Module) -> dict[str, frozenset[str]]:
    """Return the words of the decorators, which may have stored the function or class, of each name."""
    library = {*dir(builtins)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                module = alias.name if isinstance(node, ast.Import) else ("." * node.level + (node.module or ""))
                if module.partition(".")[0] in sys.stdlib_module_names:
                    library.add(alias.asname or alias.name.partition(".")[0])
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name, node in _definitions(tree, ""):
        assert isinstance(node, (*_FUNCTIONS, ast.ClassDef))
        for each in node.decorator_list:
            callee = each.func if isinstance(each, ast.Call) else each
            names = {*words_in(callee)}
            is_property = isinstance(callee, ast.Attribute) and callee.attr in {"setter", "getter", "deleter"}
            if not _is_of_pytest(each) and not is_property and not names & library:
                found[name.rpartition(".")[2]] |= names
    return {name: frozenset(words) for name, words in found.items()}


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
