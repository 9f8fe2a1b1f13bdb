"""The examples: each has exactly the defects that its docstring describes.

Those in ``examples/recipes`` have a table of their own, in ``test_recipes.py``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from pytest_maskcheck.results import Audit

pytestmark = pytest.mark.newest

EXAMPLES = Path(__file__).parents[1] / "examples"

SAMPLE = () if os.environ.get("MASKCHECK_ALL_POINTS") else ("--maskcheck-max-points=60",)
"""A sample covers all lines first, so a few dozen points show nearly every defect; ``.ci/audit`` audits all points."""

WHOLE = "test_subprocess_run"
"""All points of this test are audited, because on some interpreters the sample misses one of its defects."""

EXPECTED: dict[str, set[str]] = {
    "test_atomicwrites.py::test_atomic_write": {"leak path <tmp_path>/tmp[*]", "leak fd <tmp_path>"},
    "test_controls.py::test_with_lock": set(),
    "test_controls.py::test_with_open": set(),
    "test_controls.py::test_counter": set(),
    "test_filelock.py::test_lock_file": {"leak fd <tmp_path>/a.lock"},
    "test_portalocker.py::test_locked_file": set(),
    "test_readerwriterlock.py::test_write_then_read": {
        "leak lock RWLockFair.c_lock_read",
        "leak lock RWLockFair.c_lock_write",
        "leak lock RWLockFair.c_lock_read_count",
    },
    "test_sqlalchemy_pool.py::test_query": {"leak connection of QueuePool", "replaced exception AssertionError"},
    "test_sqlalchemy_pool.py::test_shielded_query": set(),
    "test_stdlib.py::test_condition": {
        "leak lock Condition._lock",
        "leak lock Condition._waiters*",
        "replaced exception RuntimeError",
    },
    "test_stdlib.py::test_queue_alone": set(),
    "test_stdlib.py::test_queue_with_threading": {"leak lock Queue.mutex"},
    "test_stdlib.py::test_temporary_directory": {"leak path <tmp>/tmp[*]"},
    "test_stdlib.py::test_exit_stack": {"leak lock *test_stdlib.LOCK"},
    "test_stdlib.py::test_subprocess_run": {"leak fd pipe", "leak child true"},
    "test_stdlib.py::test_sqlite_transaction": set(),
    "test_tqdm.py::test_progress_bar": {
        "leak lock TqdmDefaultWriteLock.th_lock",
        "leak process_lock TqdmDefaultWriteLock.mp_lock",
    },
    "test_urllib3_pool.py::test_request": {
        "leak connection of HTTPConnectionPool",
        "replaced exception FullPoolError",
    },
    "test_urllib3_pool.py::test_request_alone": set(),
    "test_wurlitzer.py::test_pipes": {
        "altered fd 1",
        "altered fd 2",
        "leak fd pipe",
        "leak fd <tmp>/*",
        "leak fd anon_inode:*",
        "leak thread Thread-# (flush_main)",
        "leak thread Thread-# (forwarder)",
    },
}
"""Test -> the defects that make it fail, as globs on "verdict kind key"."""


@pytest.fixture(scope="module")
def audits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Audit]:
    """The audits of all examples, by name of the test, made as the README describes except for the sample."""
    report = tmp_path_factory.mktemp("examples") / "report.json"
    command = [sys.executable, "-P", "-m", "pytest", "--maskcheck", f"--maskcheck-report=json:{report}"]
    options = ["-q", "--tb=no", "-p", "no:cacheprovider", "-p", "no:randomly", "--ignore-glob=*/recipes", str(EXAMPLES)]
    audits: dict[str, Audit] = {}
    for chosen in (("-k", f"not {WHOLE}", *SAMPLE), ("-k", WHOLE)):
        arguments = [*command, *options, *chosen]
        done = subprocess.run(arguments, cwd=EXAMPLES.parent, check=False, capture_output=True, text=True)
        assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
        data = json.loads(report.read_text(encoding="utf-8"))["audits"]
        audits |= {audit.test.rpartition("/")[2]: audit for audit in map(Audit.from_json, data)}
    return audits


@pytest.mark.parametrize("test", EXPECTED)
def test_an_example_has_the_defects_it_tells_of(audits: dict[str, Audit], test: str) -> None:
    """An example has exactly the failing defects in the table, and was audited."""
    found = {f"{defect.verdict} {defect.kind} {defect.key}" for defect in audits[test].failures}
    missing = {glob for glob in EXPECTED[test] if not any(fnmatchcase(defect, glob) for defect in found)}
    surplus = {defect for defect in found if not any(fnmatchcase(defect, glob) for glob in EXPECTED[test])}
    assert (missing, surplus) == (set(), set())
    assert audits[test].audited > 0


def test_no_example_is_forgotten(audits: dict[str, Audit]) -> None:
    """Each test in the folder of examples is in the table, and no other is."""
    assert set(audits) == set(EXPECTED)
