"""Of a fixed set of seeded defects, how many have a proven window and an edit that cures, and whether the edits hold under real signals.

The set has a program for each way to an edit: each shape, masks over windows, from a line without a checkpoint, over several windows.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from pytest_maskcheck.reports import reading
from pytest_maskcheck.results import over_tests
from pytest_maskcheck.results.windows import windows
from tests.corpus.test_defects import SEEDS

NAMES = ("lock", "semaphore", "fd", "umask", "cwd", "stdio", "path", "generator", "double_close", "async_lock")

WINDOWS, EDITS = 1.0, 0.9
"""The least shares of the defects that have a proven window, and an edit."""

ENOUGH = 20
"""The number of signals that must land in each program."""

SUBJECT = """

import gc
from pathlib import Path
from pytest_maskcheck.resources import all_kinds
from pytest_maskcheck.resources import Surroundings

FRESH = {fresh}
BEFORE = []

def body(place):
    if not BEFORE:
        gc.collect()
        kind = next(each for each in all_kinds(Surroundings()) if each.name == {kind!r})
        kind.prepare()
        BEFORE.append((kind, kind.snapshot()))
    {call}

def left(place):
    if {fresh}:
        return [path.name for path in Path(place).iterdir()]
    kind, before = BEFORE[0]
    return [each.key for each in kind.compare(before)]
"""


@pytest.fixture(scope="module")
def project(audit_folder) -> Path:
    """Return a folder with the programs, a report of their audits, and ``cured``, a copy with the edits that the command wrote."""
    files = {f"test_{name}.py": SEEDS[name].source() for name in NAMES}
    folder = audit_folder(files).path
    copy = folder / "cured"
    copy.mkdir()
    for name, text in {"pytest.ini": "[pytest]\n", **files}.items():
        (copy / name).write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest_maskcheck", "cure", "../report.json", "--apply", "--"]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [*command, "-p", "pytest_maskcheck.plugin"],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    (folder / "output").write_text(done.stdout + done.stderr, encoding="utf-8")
    return folder


def test_shares(project):
    """Nearly all defects have a window that a run has proven, unless it has an ``await``, and an edit after which the audit finds nothing."""
    audits = reading.read(str(project / "report.json")).audits
    defects = [each for each in over_tests(audits) if each.fails]
    assert {each.cheapest.audit.test.partition("::")[0] for each in defects} == {f"test_{name}.py" for name in NAMES}
    meetings = [each.cheapest for each in defects]
    proven = [any(each.proven for each in windows(meeting.audit, meeting.defect)) for meeting in meetings]
    suspended = [all(run.suspends for run in meeting.audit.held_back) for meeting in meetings]
    assert [SEEDS[name].is_async for name in NAMES].count(True) == sum(suspended)
    assert sum(proven) >= WINDOWS * (len(defects) - sum(suspended))
    output = (project / "output").read_text(encoding="utf-8")
    assert output.count("\ncured") + output.startswith("cured") >= EDITS * len(defects), output
    assert f"{len(defects)} defects before, 0 after" in output


@pytest.mark.oldest_and_newest
@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="signals come from another process at intervals of microseconds"
)
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # workers of xdist have a second thread
@pytest.mark.parametrize("name", [name for name in NAMES if not SEEDS[name].is_async and name != "generator"])
def test_edits_hold_under_real_signals(experiment: ModuleType, project: Path, tmp_path: Path, name: str) -> None:
    """An edited program leaves nothing behind under SIGINT from another process at random times; as it was, it does."""
    lost = {folder: _lost(experiment, folder, tmp_path, name) for folder in (project / "cured", project)}
    assert len(lost[project / "cured"]) >= ENOUGH
    assert not any(lost[project / "cured"])
    assert any(lost[project])


def _lost(experiment: ModuleType, folder: Path, tmp_path: Path, name: str) -> list[list[str]]:
    """Return what each signal that landed in a program left behind.

    Raises:
        RuntimeError: the cured program hangs. As it was it may, as signals also break the lock inside of a lock.
    """
    text = (folder / f"test_{name}.py").read_text(encoding="utf-8")
    fresh = "def test_it(tmp_path)" in text
    call = "test_it(Path(place))" if fresh else "test_it()"
    path = tmp_path / f"{name}.py"
    path.write_text(text + SUBJECT.format(kind=SEEDS[name].kind, fresh=fresh, call=call), encoding="utf-8")
    tries: list[list[str]] = []
    until = time.monotonic() + 60.0  # where others have the processor, few signals land in so short a program
    cured = folder.name == "cured"
    while (len(tries) < ENOUGH if cured else not any(tries)) and (left := until - time.monotonic()) > 0:
        try:
            tries += [found for _, found in experiment.in_children(path, "process", 1000, min(left, 2.0))]
        except RuntimeError:
            if cured:
                raise
            tries.append(["a broken lock"])
    return tries
