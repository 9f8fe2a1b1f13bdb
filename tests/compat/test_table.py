"""The table of plugins in the documentation lists what is tested."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "compatibility.md"
pytestmark = pytest.mark.newest


def pinned() -> dict[str, str]:
    """Return the versions of the plugins that are installed for the tests."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    named = [entry for name in ("plugins", "compat-oldest") for entry in groups[name] if isinstance(entry, str)]
    return dict(entry.split("==") for entry in named if "==" in entry and not entry.startswith("pytest=="))


def listed() -> dict[str, str]:
    """Return the versions in the rows of the table."""
    return dict(re.findall(r"^\| ([\w-]+) \| ([\d.]+) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE))


def audited() -> set[str]:
    """Return the names of the plugins that the tests run beside."""
    names = set()
    for path in (ROOT / "tests" / "compat" / "plugins").glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "beside":
                names |= {word for text in ast.walk(node.args[0]) for word in _words(text)}
            if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "TIMES" for target in node.targets):
                names |= set(ast.literal_eval(node.value))
    return names


def _words(node: ast.AST) -> list[str]:
    return node.value.split() if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def test_the_table_names_the_versions_that_are_tested():
    """Each row of the table is a plugin that is installed for the tests, in that version."""
    assert listed() == pinned()


def test_each_row_of_the_table_has_a_test():
    """Each listed plugin has a test and each tested one a row, except the libraries that plugins are for."""
    assert audited() - {"django", "trio", "pytest-metadata"} == set(listed())
