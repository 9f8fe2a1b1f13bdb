"""Uninterrupted runs, set-up, teardown and stopped processes that do not end are ended in time, with the reason.

The time that the audit itself takes within a run does not count.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, NoReturn

import pytest

from pytest_maskcheck.audit import canaries
from pytest_maskcheck.resources.kinds.locks import Locks
from pytest_maskcheck.resources.kinds.umask import Umask
from pytest_maskcheck.runs.child import CAN_FORK
from pytest_maskcheck.system import stopwatch
from pytest_maskcheck.system.stopwatch import Page, limited, own_time, their_time, watched_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_maskcheck.results import Audit
    from tests.conftest import AuditFolder

HANGS = """
    import os, signal, subprocess, sys, threading, time
    import pytest

    def is_repeated(name):
        '''Tell whether this is not the first call with this name in any process.'''
        try:
            os.mkdir(f"seen-{name}")
        except FileExistsError:
            return True

    safe = pytest.mark.interrupt_safe(timeout=1, may_swallow=True, kinds="-path")

    def interrupted():
        try:
            len("x")
        except KeyboardInterrupt:
            return True

    @safe
    def test_body():
        if is_repeated("body"):
            threading.Event().wait()

    @pytest.fixture
    def before():
        if is_repeated("setup"):
            time.sleep(1000)

    @safe
    def test_setup(before):
        len("x")

    @pytest.fixture
    def after():
        yield
        if is_repeated("teardown"):
            time.sleep(1000)

    @safe
    def test_teardown(after):
        len("x")

    @safe
    def test_stops_again():
        if is_repeated("stops"):
            os.kill(os.getpid(), signal.SIGSTOP)

    @safe
    def test_stops():
        if interrupted():
            os.kill(os.getpid(), signal.SIGSTOP)

    @safe
    def test_stops_its_group():
        if interrupted():
            os.killpg(0, signal.SIGSTOP)

    @safe
    def test_ends_its_group():
        if interrupted():
            os.killpg(0, signal.SIGKILL)

    patient = pytest.mark.interrupt_safe(timeout=20, may_swallow=True)

    @patient
    def test_stops_its_parent():
        if interrupted():
            os.kill(os.getppid(), signal.SIGSTOP)

    @patient
    def test_is_continued():
        if interrupted():
            code = f"import os, time; time.sleep(0.2); os.kill({os.getpid()}, {int(signal.SIGCONT)})"
            with subprocess.Popen([sys.executable, "-ISc", code]):
                os.kill(os.getpid(), signal.SIGSTOP)

    STATE = []

    @safe
    def test_next_run():
        if STATE:
            time.sleep(1000)
        STATE.append(1)
        len("x")
        STATE.clear()
"""


@pytest.fixture(scope="module")
def audits(audit_folder: AuditFolder) -> dict[str, Audit]:
    """Return the audits of tests that contain something that does not end, by name."""
    # ``is_repeated`` makes a run other than the first one hang: the test itself must pass before it is audited.
    folder = audit_folder({"test_it.py": HANGS})
    return {audit.test.partition("::test_")[2]: audit for audit in folder.audits}


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("body", "threading.py"),
        ("setup", "in before"),
        ("teardown", "in after"),
        ("stops_again", "stopped by SIGSTOP, at test_it.py"),
    ],
)
def test_a_run_that_is_not_interrupted_does_not_wait_for_ever(audits: dict[str, Audit], name: str, where: str) -> None:
    """An uninterrupted run that exceeds the time limit makes the audit refused, with a reason that names where the test was."""
    audit = audits[name]
    assert audit.refused.startswith("run again, the test hung (no end after ")
    assert where in audit.refused


@pytest.mark.parametrize("name", ["stops", "stops_its_group"])
def test_a_process_that_nobody_continues_hangs(audits: dict[str, Audit], name: str) -> None:
    """A stopped process is a hang, reported with its position; a signal to its group stops no other process of the audit."""
    audit = audits[name]
    (defect,) = audit.failures
    assert (defect.verdict, audit.not_audited) == ("hang", {})
    assert "stopped by SIGSTOP, at test_it.py" in defect.detail


def test_a_signal_to_the_process_group_ends_the_run_only(audits: dict[str, Audit]) -> None:
    """A run that kills its own process group is a crash at that point, and the other points are audited."""
    audit = audits["ends_its_group"]
    assert [(str(defect.verdict), defect.detail) for defect in audit.failures] == [("crash", "killed by SIGKILL")]
    assert audit.not_audited == {}


@pytest.mark.parametrize("name", ["stops_its_parent", "is_continued"])
def test_a_process_that_is_continued_goes_on(audits: dict[str, Audit], name: str) -> None:
    """A stopped process that is continued goes on, and an auditor that its child stopped is continued by the process waiting for it."""
    audit = audits[name]
    assert (audit.refused, audit.failures, audit.not_audited) == ("", (), {})


def test_a_next_run_that_hangs_makes_the_code_unusable(audits: dict[str, Audit]) -> None:
    """If the run after an interrupt hangs, that interrupt made the code unusable."""
    assert {str(defect.verdict) for defect in audits["next_run"].failures} == {"unusable"}


FINALIZERS = """
    import time
    import pytest

    safe = pytest.mark.interrupt_safe(kinds="-implicit", timeout=1, hits=1)

    class Ends:
        def __init__(self):
            self.hangs = False

        def __del__(self):  # maskcheck: ignore
            if self.hangs:
                time.sleep(1000)

    @safe
    def test_in_a_frame():
        thing = Ends()
        try:
            len("x")
        except KeyboardInterrupt:
            thing.hangs = True
            raise

    @safe
    def test_in_a_cycle():
        thing = Ends()
        thing.itself = thing
        try:
            len("x")
        except KeyboardInterrupt:
            thing.hangs = True
            raise
        thing.itself = None
"""


def test_a_finalizer_that_hangs_as_its_frame_goes(audit_folder: AuditFolder) -> None:
    """A finalizer that hangs is ended after the test's time limit, not after the longer one of the audit's comparisons."""
    frame, cycle = audit_folder({"test_it.py": FINALIZERS}).audits
    assert [str(defect.verdict) for defect in frame.failures] == ["hang"]
    assert {str(defect.verdict) for defect in cycle.failures} & {"hang", "unusable"}


class _Waiting(Locks):
    """A kind whose canary waits forever."""

    name = "waiting"

    def canary(self) -> NoReturn:
        while True:
            time.sleep(1)


class _Ending(Locks):
    """A kind whose canary ends the process."""

    name = "ending"

    def canary(self) -> NoReturn:
        os._exit(3)


@pytest.mark.skipif(not CAN_FORK, reason="needs a process")
def test_a_canary_that_does_not_end_costs_its_kind_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A canary that hangs or ends its process excludes only its kind, with a reason that names where the canary was."""
    monkeypatch.setattr(canaries, "_SECONDS", 1.0)
    reasons = canaries.blind([Locks(), _Waiting(), _Ending(), Umask(), _Waiting()])
    assert [*reasons] == ["waiting", "ending"]
    assert re.search(r"no end after \d.* s, at .*test_hangs\.py:\d+ in canary$", reasons["waiting"])
    assert reasons["ending"] == "its canary did not live: the process exited with status 3"


LEAKS = """
    import threading
    import pytest

    LOCK = threading.Lock()

    @pytest.mark.interrupt_safe(timeout=0.3)
    def test_leaks():
        LOCK.acquire()
        LOCK.release()
"""

SLOW = """
    import time
    from pytest_maskcheck.runs import after_body
    from pytest_maskcheck.resources.kind_set import KindSet

    def slow(function):
        def slowly(*args):
            time.sleep(0.4)
            return function(*args)

        return slowly

    KindSet.compare = slow(KindSet.compare)
    after_body.held_by = slow(after_body.held_by)
"""


def test_the_audits_own_looks_are_no_hang(audit_folder: AuditFolder) -> None:
    """A leak is found, with its origin, although each comparison of the audit takes longer than the time limit of a run."""
    (audit,) = audit_folder({"test_it.py": LEAKS, "conftest.py": SLOW}).audits
    (defect,) = audit.failures
    assert (defect.verdict, defect.kind, audit.not_audited) == ("leak", "lock", {})
    assert defect.origin is not None


@pytest.fixture
def page() -> Iterator[Page]:
    """Yield a page where this process records its time."""
    page = Page()
    watched_on(page)
    yield page
    watched_on(None)
    page.close()


def test_the_clock_stands_while_the_audit_works(page: Page) -> None:
    """The clock of a run stops while the audit works, except while code of the test runs within that."""
    page.begin(0)
    with own_time, own_time:
        time.sleep(0.5)
        assert page.looks
        assert page.remaining(0.1) > 100
        with their_time:
            assert not page.looks
            time.sleep(0.05)
        assert page.looks
    assert not page.looks
    assert 0.05 <= page.seconds() < 0.5
    assert page.remaining(10) < 10


def test_a_look_has_a_limit_of_its_own(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """The audit's own work has a time limit too, so that a defect of the audit cannot make the session wait forever."""
    monkeypatch.setattr(stopwatch, "LOOK", 0.01)
    with own_time:
        time.sleep(0.02)
        assert page.remaining(10) < 0
    assert page.remaining(10) > 0


def test_a_child_can_set_a_limit_of_its_own(page: Page) -> None:
    """A child can set its own limit for a run that it makes itself; afterwards the limit of the waiting process holds again."""
    page.begin(0)
    with limited(5):
        assert page.runs
        assert page.remaining(100) <= 5
    assert not page.runs
    assert page.remaining(100) > 5
