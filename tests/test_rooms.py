"""The architecture, checked in the source: imports go down only, and few rooms import pytest or coverage."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

import pytest_maskcheck
from tests.conftest import LONG

PACKAGE = Path(pytest_maskcheck.__file__).parent

ROOMS = (
    "__main__",
    "patches",
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
"""Rooms and files, from the top down: each may import only those after it."""

NOTHING_OF_THE_PACKAGE = {"masking", "resource", "reasons"}
"""Files that import nothing else of the package: public or used in reports, or meant to be vendored."""

IMPORTERS = {
    "coverage": ("points/coverage_", "reports/coverage_"),
    "_pytest": ("session/private",),
    "pytest": ("plugin", "session/", "settings", "patches/passing"),
    "pluggy": ("session/",),
    "libcst": ("patches/",),
    "jinja2": ("reports/html/",),
    "markupsafe": ("reports/html/",),
    "pygments": ("reports/html/",),
}
"""Package outside the standard library -> the files or rooms that may import it, as prefixes."""

NOT_WHEN_OFF = {"session", "audit", "runs", "points", "interrupts", "resources"}
"""Rooms that are not imported if nothing is audited, except for the files of the fixture."""

FIXTURE = {"session/__init__", "session/fixture", "session/ledger", "session/guarantee", "session/comparison"}

FILES = {path.relative_to(PACKAGE).as_posix().removesuffix(".py"): path for path in sorted(PACKAGE.rglob("*.py"))}


def test_every_file_is_in_a_room():
    """Every room and top-level file has a place in ``ROOMS``, so that the rules below cover it."""
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
    """There is no circle of imports: no file imports itself by way of others."""
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
    """Files import pytest, its private modules, pluggy and coverage only where allowed, and no other third-party package."""
    foreign = {name.partition(".")[0] for name in all_imports(file)} - sys.stdlib_module_names - {"pytest_maskcheck"}
    assert foreign <= IMPORTERS.keys()
    for name in foreign:
        assert file.startswith(IMPORTERS[name]), name


@pytest.mark.parametrize("file", ["plugin", "__init__"])
def test_what_is_always_imported_imports_nothing_more(file):
    """Files that pytest imports without ``--maskcheck`` import nothing of the package at module level."""
    assert not imported_files(immediate_imports(file)) - {"__init__"}


@pytest.mark.parametrize("file", ["session/fixture", "settings", "results/__init__"])
def test_what_the_fixture_imports_imports_no_engine(file):
    """The files that the fixture imports without ``--maskcheck`` import nothing of the engine."""
    seen: set[str] = set()
    todo = [file]
    while todo:
        if (current := todo.pop()) not in seen:
            seen.add(current)
            todo += imported_files(immediate_imports(current))
    assert {each for each in seen if room(each) in NOT_WHEN_OFF} <= FIXTURE


def room(file: str) -> str:
    """Return the room of a file, or the file itself if it is at the top."""
    return file.partition("/")[0]


def tree(file: str) -> ast.Module:
    return ast.parse(FILES[file].read_text(encoding="utf-8"))


@cache
def all_imports(file: str) -> frozenset[str]:
    """Return the full names of everything that a file imports, at any level."""
    return frozenset(names_in(tree(file)))


@cache
def runtime_imports(file: str) -> frozenset[str]:
    """Return the names that a file imports at run time, without those imported for annotations only."""
    module = tree(file)
    module.body = [node for node in module.body if not is_for_types(node)]
    return frozenset(names_in(module))


@cache
def immediate_imports(file: str) -> frozenset[str]:
    """Return the names that a file imports when it is itself imported."""
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
    """Return the files of the package that imported names refer to: the module itself, or the module that has the name."""
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


def test_the_files_to_begin_with_exist():
    """Each file with which workers are to begin exists, so that a file that was moved does not begin last unnoticed."""
    tests = Path(__file__).parent
    assert [name for name in LONG if not (tests / name).exists()] == []


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_each_room_is_described(page):
    """The pages that show the house have every room."""
    text = (Path(__file__).parents[1] / page).read_text()
    rooms = {path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.glob("*/__init__.py")}
    assert [room for room in sorted(rooms) if f"{room}/" not in text] == []
