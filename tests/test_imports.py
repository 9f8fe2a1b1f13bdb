"""The import rules of the design, read off the source: down only, and few modules may know pytest and coverage."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_maskcheck

PACKAGE = Path(pytest_maskcheck.__file__).parent

LAYERS = (
    "__main__",
    "plugin",
    "session",
    "auditing",
    "work",
    "messages",
    "progress",
    "extensions",
    "attempts",
    "spread",
    "rerun",
    "generated_examples",
    "strategy",
    "canaries",
    "snapshots",
    "isolation",
    "auditor",
    "audit",
    "attribution",
    "catchers",
    "run",
    "first_use",
    "runs",
    "origins",
    "raised",
    "reach",
    "distribution",
    "pairs",
    "points",
    "cleanup",
    "usual",
    "touched",
    "fingerprint",
    "budget",
    "interrupts",
    "effects",
    "resources",
    "patterns",
    "reports",
    "guarantees",
    "settings",
    "hooks",
    "results",
    "breakdown",
    "plain",
    "untrusted",
    "garbage",
    "signals",
    "masking",
    "waking",
    "descendants",
    "foreground",
    "stopwatch",
    "unpatched",
)
"""Modules and subpackages, from the top down: each may import those behind it only."""

KNOWS = {
    "coverage": {"reach"},
    "_pytest": {"rerun"},
    "pytest": {
        *("plugin", "session", "auditing", "work", "progress", "rerun", "settings", "guarantees", "extensions"),
        *("attempts", "generated_examples"),
    },
    "pluggy": {"attempts", "extensions"},
}
"""What is not of the standard library, and who may import it."""

ONLY = {
    "__init__": {"masking"},
    "plain": {"untrusted"},
    "reports": {"plain", "results", "unpatched"},
    "results": set(),
    "spread": {"results", "unpatched"},
    "settings": {"plain", "signals", "unpatched"},
    "signals": {"unpatched"},
    "masking": set(),
    "interrupts": {"unpatched", "untrusted", "waking"},
    "fingerprint": {"unpatched", "untrusted"},
    "usual": {"fingerprint", "touched", "unpatched", "untrusted"},
    "touched": {"fingerprint", "unpatched"},
    "budget": {"unpatched"},
    "hooks": set(),
    "guarantees": {"plain", "results", "settings", "unpatched", "untrusted"},
    "patterns": {"results"},
    "resources": {
        "descendants",
        "foreground",
        "hooks",
        "patterns",
        "plain",
        "results",
        "stopwatch",
        "unpatched",
        "untrusted",
        "waking",
    },
    "reach": {"distribution", "plain", "unpatched", "untrusted"},
    "breakdown": {"unpatched", "untrusted"},
    "untrusted": set(),
    "waking": {"unpatched"},
    "descendants": {"unpatched"},
    "foreground": {"unpatched"},
    "stopwatch": {"unpatched"},
    "unpatched": set(),
    "distribution": {"unpatched"},
    "attempts": set(),
    "generated_examples": set(),
}
"""Modules of which the order above says too little, and what of the package they may import."""

ENGINE = {
    "session",
    "auditing",
    "work",
    "messages",
    "strategy",
    "snapshots",
    "effects",
    "budget",
    "descendants",
    "foreground",
    "stopwatch",
    "progress",
    "extensions",
    "attempts",
    "spread",
    "rerun",
    "generated_examples",
    "isolation",
    "auditor",
    "audit",
    "attribution",
    "run",
    "runs",
    "raised",
    "origins",
    "reach",
    "distribution",
    "pairs",
    "points",
    "cleanup",
    "first_use",
    "usual",
    "touched",
    "fingerprint",
    "interrupts",
    "resources",
}
"""What must not be imported where nothing is audited."""

SOURCES = {str(path.relative_to(PACKAGE)): path for path in sorted(PACKAGE.rglob("*.py"))}


def part(path: str) -> str:
    """Return the module or subpackage that a file belongs to."""
    return path.partition("/")[0].removesuffix(".py")


def imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield the full names of all that a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"relative import in {package}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(names: Iterator[str]) -> set[str]:
    """Return the parts of this package among imported names, not the names that the package itself offers."""
    return {name.split(".")[1] for name in names if name.startswith("pytest_maskcheck.")} - {*pytest_maskcheck.__all__}


@pytest.mark.parametrize("path", SOURCES)
def test_a_module_has_a_place(path):
    """Every module is one of the layers, so that the other rules say something about it."""
    assert part(path) in {*LAYERS, "__init__"}


@pytest.mark.parametrize("path", SOURCES)
def test_imports_go_down(path):
    """No module imports one above it, or one beside it that it must not know."""
    me = part(path)
    imported = own(imports(ast.parse(SOURCES[path].read_text(encoding="utf-8")), path)) - {me}
    below = set(LAYERS[LAYERS.index(me) + 1 :]) if me in LAYERS else set()
    assert imported <= ONLY.get(me, below)


@pytest.mark.parametrize("path", SOURCES)
def test_few_modules_know_others(path):
    """pytest, its private modules and coverage are imported where they may be, and nothing else is."""
    names = imports(ast.parse(SOURCES[path].read_text(encoding="utf-8")), path)
    foreign = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"pytest_maskcheck"}
    assert foreign <= KNOWS.keys()
    for name in foreign:
        assert part(path) in KNOWS[name]


@pytest.mark.parametrize("path", ["plugin.py", "__init__.py"])
def test_what_is_always_imported_imports_nothing_more(path):
    """At module level, what pytest imports without ``--maskcheck`` imports nothing of the package."""
    assert not own(at_once(path))


@pytest.mark.parametrize("path", ["guarantees.py", "settings.py", "signals.py", "results.py"])
def test_what_the_fixture_imports_imports_no_engine(path):
    """At module level, what is imported where a test uses the fixture without ``--maskcheck`` imports nothing of the engine."""
    assert not own(at_once(path)) & ENGINE


def at_once(path: str) -> Iterator[str]:
    """Yield what a module imports when it is imported itself."""
    body = ast.parse(SOURCES[path].read_text(encoding="utf-8")).body
    return imports(ast.Module([node for node in body if not isinstance(node, ast.If | ast.FunctionDef)], []), path)
