"""A project with thirty defects adopts a baseline, and goes on: what it edits, mends and breaks, and other interpreters and checkouts."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from textwrap import dedent, indent

import pytest

from pytest_maskcheck.reports.baseline import read

FILE = "known.toml"
WITH = (f"--maskcheck-baseline={FILE}", "--maskcheck-all", "--maskcheck-hits=1")
UPDATE = "--maskcheck-baseline-update"

WRITTEN = Path(__file__).with_name("adopted.toml")
"""The baseline of the project, as every interpreter writes it."""

SHAPES = {
    "locks": """
        LOCKS["{name}"].acquire()
        abs(1)
        LOCKS["{name}"].release()
        """,
    "variables": """
        os.environ["{name}"] = "1"
        abs(1)
        del os.environ["{name}"]
        """,
    "waits": """
        try:
            abs(1)
        except BaseException:
            pass
        """,
}
"""Module -> the body of its ten functions, each with one defect."""

CLEAN = {
    "locks": "with LOCKS['{name}']: pass",
    "variables": "abs(1)",
    "waits": "try:\n    abs(1)\nfinally:\n    pass",
}
"""Module -> a body without a defect."""

HEAD = """\
import os
import threading

LOCKS = {f"locks_{number}": threading.Lock() for number in range(10)}
"""


def names(module: str) -> list[str]:
    """Return the names of the functions of a module."""
    return [f"{module}_{number}" for number in range(10)]


def function(module: str, name: str, body: str = "") -> str:
    """Return the source of a function; by default, with its defect."""
    return f"\n\ndef {name}():\n" + indent(dedent(body or SHAPES[module]).strip().format(name=name), "    ") + "\n"


def source_of_tests(module: str, prefix: str = "test_") -> str:
    """Return the source of the tests of a module."""
    return f"import {module}\n" + "".join(
        f"\n\ndef {prefix}{name}():\n    {module}.{name}()\n" for name in names(module)
    )


@pytest.fixture
def project(pytester):
    """The modules, and their tests."""
    for module in SHAPES:
        source = HEAD + "".join(function(module, name) for name in names(module))
        Path(f"{module}.py").write_text(source, encoding="utf-8")
        Path(f"test_{module}.py").write_text(source_of_tests(module), encoding="utf-8")
    return pytester


def test_every_interpreter_writes_the_same_file(project, run):
    """The file of thirty defects is the same on every interpreter, byte by byte."""
    result = run(*WITH, UPDATE, fresh=True)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["baseline: 0 known, 30 new, 0 gone, 0 not met (written to *)"])
    assert Path(FILE).read_text(encoding="utf-8") == WRITTEN.read_text(encoding="utf-8")


def test_life_with_a_baseline(project, run):
    """After moved code, renamed tests, three repairs and one new defect, one test fails, and three entries are named as gone."""
    shutil.copy(WRITTEN, FILE)
    for module in SHAPES:
        mended, broken = f"{module}_3", "locks_7"
        functions = {
            name: function(module, name) for name in reversed(names(module))
        }  # moved: the last one comes first
        functions[mended] = function(module, mended, CLEAN[module])
        if broken in functions:
            functions[broken] += "    os.environ['NEW'] = '1'\n    del os.environ['NEW']\n"
        Path(f"{module}.py").write_text(f'"""Docs."""\n\n\n{HEAD}' + "".join(functions.values()), encoding="utf-8")
        Path(f"test_{module}.py").unlink()
        Path(f"test_all_{module}.py").write_text(source_of_tests(module, "test_that_"), encoding="utf-8")
    result = run(*WITH, fresh=True)
    result.assert_outcomes(passed=29, failed=1)
    gone = [line for line in result.outlines if line.startswith("baseline: gone: ")]
    assert [line.partition(" in ")[2].partition(":")[0] for line in gone] == ["locks_3", "variables_3", "waits_3"]
    result.stdout.fnmatch_lines(
        [
            "baseline: 27 known, 1 new, 3 gone, 0 not met (*); --maskcheck-baseline-update removes what is gone",
            "FAILED test_all_locks.py::test_that_locks_7 - altered: environ NEW*",
        ]
    )
    assert run(*WITH, UPDATE, fresh=True).ret == 0
    before = {entry.fingerprint for entry in read(str(WRITTEN))}
    after = {entry.fingerprint for entry in read(FILE)}
    assert {each.function for each in before - after} == {"locks_3", "variables_3", "waits_3"}
    assert [(each.function, each.key) for each in after - before] == [("locks_7", "NEW")]


def test_another_checkout(project, run, tmp_path, monkeypatch):
    """In another folder, started from a folder within it, the file holds, too."""
    other = tmp_path / "checkout"
    shutil.copytree(project.path, other, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(WRITTEN, other / FILE)
    (other / "pytest.ini").write_text(f"[pytest]\npythonpath = .\nmaskcheck_baseline = {FILE}\n", encoding="utf-8")
    (other / "docs").mkdir()
    monkeypatch.chdir(other / "docs")
    result = run("--maskcheck-all", "--maskcheck-hits=1", "..", fresh=True)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["baseline: 30 known, 0 new, 0 gone, 0 not met (*)"])


def test_entries_are_readable(project):
    """Each of the thirty entries says in its fields what it is about, and has no line number."""
    entries = tomllib.loads(WRITTEN.read_text(encoding="utf-8"))["defect"]
    assert len(entries) == 30
    assert all(entry["function"].startswith(Path(entry["path"]).stem) and entry["text"] for entry in entries)
