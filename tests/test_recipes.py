"""The recipes for masking: each is audited and has exactly the defects that its docstring describes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from pytest_maskcheck.interrupts.cpython.entering import with_checks_on_entering
from pytest_maskcheck.results import Audit, Verdict

pytestmark = pytest.mark.newest

RECIPES = Path(__file__).parents[1] / "examples" / "recipes"

WITH_IS_OPEN = {"(interpreter implicit unclosed file <tmp_path>/file)"} if with_checks_on_entering() else set()
"""On CPython 3.14 the ``with`` statement itself can lose the thing that it entered (gh-148874)."""

EXPECTED: dict[str, set[str]] = {
    "test_bare_with.py::test_bare": {"(implicit implicit unclosed file <tmp_path>/file)", *WITH_IS_OPEN},
    "test_bare_with.py::test_bare_strict": {"implicit implicit unclosed file <tmp_path>/file", *WITH_IS_OPEN},
    "test_bare_with.py::test_shield_strict": set(),
    "test_many_handlers.py::test_sigint_last": {"altered handler SIGTERM", "(altered handler SIGTERM)"},
    "test_many_handlers.py::test_sigint_first": {"altered handler SIGTERM"},
    "test_many_handlers.py::test_mask": set(),
    "test_mask_stack.py::test_naive": {"leak lock *test_mask_stack.LOCK"},
    "test_mask_stack.py::test_shield": set(),
    "test_pthread_sigmask.py::test_unblocked_before_try": {"leak lock *test_pthread_sigmask.LOCK"},
    "test_pthread_sigmask.py::test_unblocked_inside_try": set(),
    "test_pthread_sigmask.py::test_block_itself": {"altered sigmask SIGINT"},
    "test_pthread_sigmask.py::test_sigmask": set(),
    "test_pthread_sigmask_threads.py::test_alone": set(),
    "test_pthread_sigmask_threads.py::test_another_thread": {
        "leak lock *test_pthread_sigmask_threads.LOCK",
        "altered sigmask SIGINT",
        "(altered sigmask SIGINT)",
    },
    "test_pthread_sigmask_threads.py::test_sigmask_refuses": set(),
    "test_pthread_sigmask_threads.py::test_bracket": set(),
    "test_rules.py::test_clean_up_that_expects_too_much": {"replaced *"},
    "test_rules.py::test_clean_up_of_what_is_half_done": set(),
    "test_rules.py::test_bare_except": {"swallowed *"},
    "test_rules.py::test_except_exception": set(),
    "test_rules.py::test_two_assignments": {"invariant *"},
    "test_rules.py::test_one_assignment": set(),
    "test_release_and_raise.py::test_one_block": set(),
    "test_release_and_raise.py::test_handed_over": {"leak lock *test_release_and_raise.LOCK"},
    "test_release_and_raise.py::test_bracket": set(),
    "test_release_and_raise_twice.py::test_python_release": {"leak lock *test_release_and_raise_twice.LOCK"},
    "test_release_and_raise_twice.py::test_c_release": set(),
    "test_release_and_raise_twice.py::test_bracket": set(),
}
"""Test -> its defects, as globs on "verdict kind key"; those that are only listed are in parentheses."""


POSSIBLE = {"test_pthread_sigmask_threads.py::test_another_thread": {"unusable test hang"}}
"""Test -> defects that it may also have, as the kernel decides which thread gets a signal that one of them blocks."""


@pytest.fixture(scope="module")
def audits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Audit]:
    """The audits of all recipes, by name of the test."""
    report = tmp_path_factory.mktemp("recipes") / "report.json"
    command = [sys.executable, "-P", "-m", "pytest", "-p", "pytest_maskcheck.plugin", "--maskcheck"]
    options = [f"--maskcheck-report=json:{report}", "-q", "--tb=no", "-p", "no:cacheprovider", str(RECIPES)]
    done = subprocess.run(
        [*command, *options],
        cwd=RECIPES.parents[1],
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    data = json.loads(report.read_text(encoding="utf-8"))["audits"]
    return {audit.test.rpartition("/")[2]: audit for audit in map(Audit.from_json, data)}


@pytest.mark.parametrize("test", EXPECTED)
def test_a_recipe_has_the_defects_it_tells_of(audits: dict[str, Audit], test: str) -> None:
    """A recipe has exactly the defects in the table, failing or listed."""
    found = {
        text if defect.fails else f"({text})"
        for defect in audits[test].defects
        for text in [f"{defect.verdict} {defect.kind} {defect.key}"]
    }
    missing = {glob for glob in EXPECTED[test] if not any(fnmatchcase(defect, glob) for defect in found)}
    surplus = {defect for defect in found if not any(fnmatchcase(defect, glob) for glob in EXPECTED[test])}
    surplus -= POSSIBLE.get(test, set())
    assert (missing, surplus) == (set(), set())
    assert audits[test].audited > 0


def test_no_recipe_is_forgotten(audits: dict[str, Audit]) -> None:
    """Each test in the folder of recipes is in the table, and no other is."""
    assert set(audits) == set(EXPECTED)


def test_every_interpreter_defect_is_gh_148874(audits: dict[str, Audit]) -> None:
    """Every finding attributed to CPython is attributed to its one defect in ``with``."""
    defects = {
        point.defect.partition(":")[0]
        for audit in audits.values()
        for defect in audit.defects
        if defect.verdict is Verdict.INTERPRETER
        for point in defect.points
    }
    assert defects == ({"gh-148874"} if with_checks_on_entering() else set())


def test_leaks_pile_up_and_with_bracket_they_do_not() -> None:
    """Under real signals, fewer than the program uses by default, descriptors leak without ``bracket`` and not with it."""
    done = subprocess.run(
        [sys.executable, str(RECIPES / "pile_up.py"), "500"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=True,
        capture_output=True,
        text=True,
    )
    left = {name: int(count) for name, count in re.findall(r"(\w+): (\d+) descriptors left", done.stdout)}
    assert left["bare"] > 0
    assert left["bracketed"] == 0
