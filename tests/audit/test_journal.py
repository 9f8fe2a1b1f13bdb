"""What a worker has found survives the worker, and the user's Ctrl-C: the journal of its audit is on the board."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from textwrap import dedent

import pytest

from pytest_maskcheck.audit.messages import LeftBehind
from pytest_maskcheck.audit.sharing.board import CAN_SPREAD, DIED, Board
from pytest_maskcheck.audit.sharing.journal import Journal, audit_in
from pytest_maskcheck.points.plan import Plan
from pytest_maskcheck.reasons import NotAudited, Reason, reason_of
from pytest_maskcheck.results import Audit, Finding, Point, PointResult, Verdict
from tests.conftest import read_audits, start_apart

pytest.importorskip("xdist")
pytestmark = [pytest.mark.newest, pytest.mark.skipif(not CAN_SPREAD, reason="needs fcntl")]

SUITE = """
    import os, threading, time
    import pytest

    LOCK = threading.Lock()
    WORKER = os.getpid()

    def careful(number):
        for step in range(number):
            with LOCK:
                abs(step)

    @pytest.mark.interrupt_safe
    def test_first():
        careful(1)

    @pytest.mark.interrupt_safe(hits="all")
    def test_long():
        LOCK.acquire()
        LOCK.release()
        careful(40)
        if os.getpid() == WORKER:
            with open("worker", "w") as file:
                file.write(str(WORKER))
        time.sleep(0.02)
"""


class Running:
    """A session of pytest in a folder of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        (folder / "test_it.py").write_text(dedent(SUITE))
        (folder / "pytest.ini").write_text("[pytest]\n")
        audits = ("--maskcheck", "--maskcheck-strategy=rerun", "--maskcheck-report=json:report.json")
        self._process = start_apart(folder, "-p", "xdist.plugin", *audits, *options, TMPDIR=str(folder))

    @property
    def pid(self) -> int:
        return self._process.pid

    def worker(self) -> int:
        """Return the process of the worker that audits the long test, once a leak is in its journal."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            for path in self.folder.glob("maskcheck-*/journal-*"):
                audit = audit_in(str(path), "test_it.py::test_long", DIED)
                if audit is not None and audit.failures:
                    return int((self.folder / "worker").read_text())
            time.sleep(0.02)
        raise AssertionError(self.end())

    def end(self) -> tuple[int, str, dict[str, Audit]]:
        """Return exit status, output, and the audits in the report by name of the test."""
        output, _ = self._process.communicate(timeout=120)
        audits = read_audits(self.folder / "report.json")
        assert len(audits) == len({audit.test for audit in audits})
        return self._process.returncode, output, {audit.test.partition("::")[2]: audit for audit in audits}


@pytest.fixture
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("j")


def test_what_the_only_worker_had_found_when_it_was_killed_is_reported(folder):
    """After `kill -9` of a worker that shares its audit with nobody, the report has what it found; other points count as not audited."""
    running = Running(folder, "-n1")
    os.kill(running.worker(), signal.SIGKILL)
    status, output, audits = running.end()
    assert status == 1
    assert "crashed while running 'test_it.py::test_long'" in output
    assert not audits["test_first"].not_audited
    audit = audits["test_long"]
    assert 0 < audit.audited < len(audit.points)
    assert audit.not_audited == {DIED: len(audit.points) - audit.audited}
    assert [defect.verdict for defect in audit.failures] == [Verdict.LEAK]
    assert "leak: lock test_it.LOCK" in output


def test_what_workers_had_found_at_a_ctrl_c_is_reported(folder):
    """After Ctrl-C at the controller of several workers, the report has what was found in the test in progress."""
    running = Running(folder, "-n2")
    running.worker()
    os.kill(running.pid, signal.SIGINT)
    status, output, audits = running.end()
    assert status == 2
    assert "interrupted: test_it.py::test_long: " in output
    audit = audits["test_long"]
    assert 0 < audit.audited < len(audit.points)
    assert {reason_of(reason).code for reason in audit.not_audited} == {NotAudited.ENDED_EARLY}, output
    assert [defect.verdict for defect in audit.failures] == [Verdict.LEAK]


def test_a_session_that_runs_to_its_end_has_no_audit_twice(folder):
    """Where every test is reported, no journal adds anything."""
    running = Running(folder, "-n2", "--maskcheck-hits=1")
    status, output, audits = running.end()
    assert status == 1
    assert "interrupted: " not in output
    assert len(audits) == 2


POINTS = tuple(Point(f"{at}", "a.py", "/a.py", at + 1, "entry", 1, "f") for at in range(3))


@pytest.fixture
def journal(tmp_path) -> Journal:
    """Return the journal of a test with three points and one result."""
    journal = Journal(str(tmp_path / "journal"))
    journal.begin(Audit("t"))
    journal.add(LeftBehind(("fd:x",)))
    journal.add(Plan([*POINTS]))
    journal.add(PointResult("0", findings=(Finding(Verdict.LEAK, "fd", "x", ""),)))
    return journal


def test_a_journal_that_ends_within_a_message_is_read_up_to_there(journal, tmp_path):
    """A worker that is killed while it writes loses no more than the message that it was writing."""
    path = tmp_path / "journal"
    journal.add(PointResult("1", findings=(Finding(Verdict.LEAK, "fd", "y", ""),)))
    path.write_bytes(path.read_bytes()[:-5])
    audit = audit_in(str(path), "t", DIED)
    assert (audit.points, audit.left_anyway) == (POINTS, ("fd:x",))
    assert [result.reason for result in audit.results] == ["", DIED, DIED]


def test_a_clean_result_is_written_with_the_next_message_that_is_not(journal, tmp_path):
    """Clean results are written together, as each write takes time; whatever else comes is written at once, with those before it."""
    journal.add(PointResult("1"))
    journal.add(None)
    assert audit_in(str(tmp_path / "journal"), "t", DIED).audited == 1
    journal.add("a note")
    audit = audit_in(str(tmp_path / "journal"), "t", DIED)
    assert (audit.audited, audit.notes) == (2, ("a note",))


def test_a_journal_has_its_latest_test_only(journal, tmp_path):
    """A journal of another test says nothing; nor does one that is not there, or is damaged."""
    path = tmp_path / "journal"
    assert audit_in(str(path), "other", DIED) is None
    assert audit_in(str(tmp_path / "nothing"), None, DIED) is None
    journal.begin(Audit("other"))
    assert audit_in(str(path), "t", DIED) is None
    assert audit_in(str(path), "other", DIED) == Audit(
        "other", refused=DIED, seconds=audit_in(str(path), None, DIED).seconds
    )
    path.write_bytes(b"rubbish")
    assert audit_in(str(path), None, DIED) is None


def test_an_audit_without_a_result_is_refused(tmp_path):
    """A worker that dies before the first result leaves a test that was not audited, and why."""
    board = Board(str(tmp_path), "gw0", 2)
    board.journal().begin(Audit("t"))
    assert board.left_behind("t", "gw0").refused == DIED
    assert board.left_behind("t", "gw1") is None
    assert [audit.refused for audit in board.in_progress()] == [""]
    assert Reason(NotAudited.WORKER_DIED) == DIED
