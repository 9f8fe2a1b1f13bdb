"""The house, read off the source: imports go down only, and few rooms know pytest, coverage or the interpreter."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

import pytest_maskcheck

PACKAGE = Path(pytest_maskcheck.__file__).parent

ROOMS = (
    "__main__",
    "plugin",
    "session",
    "audit",
    "runs",
    "points",
    "interrupts",
    "resources",
    "reports",
    "resource",
    "settings",
    "results",
    "system",
    "reasons",
    "masking",
    "__init__",
)
"""Rooms and files, from the top down: each may import those behind it only."""

NOTHING_OF_THE_PACKAGE = {"masking", "resource", "reasons"}
"""Files that import nothing else of the package: what is public or goes into reports, and the vendorable file."""

IMPORTERS = {
    "coverage": ("points/coverage_",),
    "_pytest": ("session/private",),
    "pytest": ("plugin", "session/", "settings"),
    "pluggy": ("session/",),
}
"""What is not of the standard library, and the files or rooms that may import it."""

NOT_WHEN_OFF = {"session", "audit", "runs", "points", "interrupts", "resources"}
"""Rooms of which nothing is imported where nothing is audited, but for the fixture."""

FIXTURE = {"session/__init__", "session/fixture", "session/ledger", "session/guarantee", "session/comparison"}

FILES = {path.relative_to(PACKAGE).as_posix().removesuffix(".py"): path for path in sorted(PACKAGE.rglob("*.py"))}


def test_every_file_is_in_a_room():
    """A new room or file at the top gets its place among the others, so that the rules below cover it."""
    assert {room(file) for file in FILES} <= {*ROOMS}


@pytest.mark.parametrize("file", FILES)
def test_imports_go_down(file):
    """No file imports from a room above its own."""
    mine = room(file)
    allowed = {mine, *ROOMS[ROOMS.index(mine) + 1 :]}
    if mine in NOTHING_OF_THE_PACKAGE:
        allowed = {mine}
    assert {room(other) for other in imported_files(all_imports(file))} <= allowed


def test_there_is_no_circle():
    """No file imports itself by way of others."""
    open_, done = [], set()

    def visit(file: str) -> None:
        assert file not in open_, " -> ".join([*open_[open_.index(file) :], file])
        if file not in done:
            open_.append(file)
            for other in sorted(imported_files(runtime_imports(file)) - {file}):
                visit(other)
            open_.remove(file)
            done.add(file)

    for file in FILES:
        visit(file)


@pytest.mark.parametrize("file", FILES)
def test_few_files_know_others(file):
    """pytest, its private modules and coverage are imported where they may be, and nothing else is."""
    foreign = {name.partition(".")[0] for name in all_imports(file)} - sys.stdlib_module_names - {"pytest_maskcheck"}
    assert foreign <= IMPORTERS.keys()
    for name in foreign:
        assert file.startswith(IMPORTERS[name]), name


@pytest.mark.parametrize("file", ["plugin", "__init__"])
def test_what_is_always_imported_imports_nothing_more(file):
    """At module level, what pytest imports without ``--maskcheck`` imports nothing of the package."""
    assert not imported_files(immediate_imports(file)) - {"__init__"}


@pytest.mark.parametrize("file", ["session/fixture", "settings", "results/__init__"])
def test_what_the_fixture_imports_imports_no_engine(file):
    """Where a test uses the fixture without ``--maskcheck``, nothing of the engine is imported."""
    seen: set[str] = set()
    todo = [file]
    while todo:
        if (current := todo.pop()) not in seen:
            seen.add(current)
            todo += imported_files(immediate_imports(current))
    assert {each for each in seen if room(each) in NOT_WHEN_OFF} <= FIXTURE


def room(file: str) -> str:
    """Return the room of a file, or the name of one that stands at the top."""
    return file.partition("/")[0]


def tree(file: str) -> ast.Module:
    return ast.parse(FILES[file].read_text(encoding="utf-8"))


@cache
def all_imports(file: str) -> frozenset[str]:
    """Return the full names of what a file imports, wherever in it."""
    return frozenset(names_in(tree(file)))


@cache
def runtime_imports(file: str) -> frozenset[str]:
    """Return what a file imports when it runs, not what only its annotations need."""
    module = tree(file)
    module.body = [node for node in module.body if not is_for_types(node)]
    return frozenset(names_in(module))


@cache
def immediate_imports(file: str) -> frozenset[str]:
    """Return what a file imports as it is imported itself."""
    body = [node for node in tree(file).body if not isinstance(node, ast.If | ast.FunctionDef | ast.ClassDef)]
    return frozenset(names_in(ast.Module(body, [])))


def is_for_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def names_in(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_files(names: Iterable[str]) -> set[str]:
    """Return the files of the package among imported names: the module itself, or the one that offers the name."""
    found = set()
    for name in names:
        parts = name.split(".")
        if parts[0] != "pytest_maskcheck" or len(parts) == 1:
            continue
        candidates = ("/".join(parts[1:end]) for end in (len(parts), len(parts) - 1))
        found.add(
            next((file for each in candidates for file in (each, f"{each}/__init__") if file in FILES), "__init__")
        )
    return found
