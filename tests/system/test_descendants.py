"""Processes that left their parent, group or session are found and ended, by the run that leaves them or at the end of the audit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.system import descendants, proc

if TYPE_CHECKING:
    from pytest_maskcheck.results import Audit
    from tests.conftest import AuditFolder

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives the children of others away"),
    pytest.mark.oldest_and_newest,
]

SLEEP = f"98765.{os.getpid()}"
"""Seconds that no other process on this machine sleeps."""

LEFT = f"98766.{os.getpid()}"
"""Seconds that the processes sleep which the ordinary run leaves; that run is not part of the audit."""

DAEMONS = f"""
    import os, signal, subprocess
    import pytest

    safe = pytest.mark.interrupt_safe(kinds="-implicit", timeout=1, hits=1)

    def daemon(seconds="{SLEEP}"):  # maskcheck: ignore
        command = f"setsid sleep {{seconds}} > /dev/null 2>&1 & echo $!"
        return int(subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE).stdout)

    @safe
    def test_lost():
        pid = daemon()
        len("x")
        os.kill(pid, signal.SIGKILL)

    @safe
    def test_left_on_purpose():
        daemon("{LEFT}")
        len("x")

    def short_daemon(reader, writer):  # maskcheck: ignore
        if not os.fork():
            os.setsid()
            if not os.fork():
                os.close(writer)
                os.read(reader, 1)
            os.kill(os.getpid(), signal.SIGKILL)
        os.close(reader)
        os.wait()

    @safe
    def test_ends_by_itself():
        reader, writer = os.pipe()
        short_daemon(reader, writer)
        os.close(writer)

    @safe
    def test_hangs_with_a_session_of_its_own():
        try:
            len("x")
        except KeyboardInterrupt:
            subprocess.run(["sh", "-c", "setsid sleep {SLEEP} & sleep {SLEEP}"], start_new_session=True)

    @pytest.fixture(scope="module")
    def server():
        with subprocess.Popen(["sleep", "{SLEEP}"], start_new_session=True) as process:
            yield process
            assert process.poll() is None, "ended by somebody else"
            process.kill()

    @safe
    def test_of_a_server(server):
        len("x")
"""


@pytest.fixture(scope="module")
def audits(audit_folder: AuditFolder) -> dict[str, Audit]:
    """Return the audits of tests that start daemons, by name."""
    folder = audit_folder({"test_it.py": DAEMONS})
    (left,) = sleeping(LEFT)
    os.kill(left, signal.SIGKILL)
    assert "ended by somebody else" not in folder.output
    return {audit.test.partition("::test_")[2]: audit for audit in folder.audits}


def defects(audit: Audit) -> set[tuple[str, str, str]]:
    assert (audit.refused, {*audit.not_audited} - {"# maskcheck: ignore"}) == ("", set())
    return {(str(defect.verdict), defect.kind, defect.key) for defect in audit.failures}


def test_a_daemon_is_found(audits: dict[str, Audit]) -> None:
    """A daemon is reported by the run that loses it, although its parent has ended."""
    found = defects(audits["lost"])
    assert ("leak", "child", "sleep") in found
    details = [defect.detail for defect in audits["lost"].failures if defect.key == "sleep"]
    assert all("is still running, and its parent is gone" in detail for detail in details)


def test_a_daemon_that_the_test_leaves_anyway_is_no_finding(audits: dict[str, Audit]) -> None:
    """A daemon that an uninterrupted run leaves too is no finding."""
    assert ("leak", "child", "sleep") not in defects(audits["left_on_purpose"])
    assert "child:sleep" in audits["left_on_purpose"].left_anyway


def test_a_daemon_that_ends_in_time_is_not_left_behind(audits: dict[str, Audit]) -> None:
    """A daemon that has ended is not left behind, although it is a zombie until process 1 reaps it."""
    audit = audits["ends_by_itself"]
    assert not [key for key in audit.left_anyway if key.startswith("child:")]


def test_a_run_that_hangs_takes_its_processes_with_it(audits: dict[str, Audit]) -> None:
    """A run that hangs is ended with its processes in any group and session, but not the server of a longer-lived fixture."""
    assert {verdict for verdict, *_ in defects(audits["hangs_with_a_session_of_its_own"])} == {"hang"}
    assert defects(audits["of_a_server"]) == set()
    until = time.monotonic() + 2
    while sleeping(SLEEP) and time.monotonic() < until:
        time.sleep(0.05)
    assert sleeping(SLEEP) == []


def sleeping(seconds: str) -> list[int]:
    """Return the IDs of the processes that sleep for this number of seconds."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if path.read_bytes() == f"sleep\0{seconds}\0".encode():
                found.append(int(path.parent.name))
    return found


def test_what_is_below_a_process_is_listed() -> None:
    """``below`` lists children and their children; ``is_stopped`` recognises a stopped one."""
    command = ["sh", "-c", f"sleep {SLEEP} & kill -STOP $!; echo; wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        below = descendants.below(os.getpid())
        assert shell.pid in {process.pid for process in below}
        (sleep,) = descendants.below(shell.pid)
        assert sleep in below
        until = time.monotonic() + 10
        while not proc.is_stopped(sleep.pid) and time.monotonic() < until:
            time.sleep(0.01)
        assert proc.is_stopped(sleep.pid)
        assert proc.program_of(sleep.pid) in {"sleep", "sh"}
        assert not proc.has_ended(sleep.pid)
        descendants.Process(sleep.pid, sleep.began + 1).kill()  # a later process with this number
        assert not proc.has_ended(sleep.pid)
        sleep.kill()
    assert proc.has_ended(shell.pid)


ENDS_SLOWLY = """if True:  # multiprocessing.resource_tracker
    import sys
    sys.stdin.read()
    open({path!r}, "w").close()
"""


@pytest.mark.parametrize("removes", [True, False])
def test_a_tracker_gets_time_where_it_has_something_to_remove(tmp_path: Path, removes: bool) -> None:
    """A resource tracker gets time to end if there is new shared memory to remove, and is killed at once otherwise."""
    before = replace(
        descendants.present(), shared=frozenset() if removes else frozenset({*os.listdir("/dev/shm"), "x"})
    )
    path, name = tmp_path / "removed", f"/dev/shm/maskcheck_tracker_{os.getpid()}"
    if removes:
        Path(name).touch()
    try:
        command = [sys.executable, "-c", ENDS_SLOWLY.format(path=str(path))]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as tracker:
            assert tracker.stdin is not None
            tracker.stdin.close()
            descendants.end_new(before)
        assert path.exists() is removes
        assert proc.has_ended(tracker.pid)
    finally:
        Path(name).unlink(missing_ok=True)


def test_what_stays_as_long_as_this_process() -> None:
    """A resource tracker stays as long as this process, which has its pipe open; other children are not known to stay."""
    tracker: Any = resource_tracker.ResourceTracker()
    tracker.ensure_running()
    until = time.monotonic() + 10
    while not descendants.stays(tracker._pid) and time.monotonic() < until:
        time.sleep(0.005)
    assert descendants.stays(tracker._pid)
    pipe = os.dup(tracker._fd)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[pipe]) as cat:
        assert not descendants.stays(cat.pid)
    os.close(pipe)
    pid = tracker._pid
    tracker._stop()
    assert not descendants.stays(pid)


STAYING = """
    import os, sys
    import pytest

    SERVES = "import sys; sys.stdin.read()  # multiprocessing.resource_tracker"

    @pytest.mark.interrupt_safe(kinds="child")
    def test_it():
        reader, writer = os.pipe()
        pid = os.posix_spawn(sys.executable, [sys.executable, "-c", SERVES], {}, file_actions=[
            (os.POSIX_SPAWN_DUP2, reader, 0), (os.POSIX_SPAWN_CLOSE, writer),
        ])
        len("x")
        os.close(reader)
        os.close(writer)
        os.waitpid(pid, 0)
"""


def test_a_tracker_that_is_left_is_told(audit_folder: AuditFolder) -> None:
    """A resource tracker that a run leaves is reported, although the readings do not wait for it to end."""
    (audit,) = audit_folder({"test_it.py": STAYING}).audits
    assert ("leak", "child") in {(verdict, kind) for verdict, kind, _ in defects(audit)}
