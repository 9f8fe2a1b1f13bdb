"""Tests that use the controlling terminal are audited; those that read from it are refused at once."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from pytest_maskcheck.results import Audit
from pytest_maskcheck.system.foreground import HAS_TERMINALS
from tests.conftest import read_audits

termios = pytest.importorskip("termios")

pytestmark = [
    pytest.mark.skipif(not HAS_TERMINALS, reason="no such terminals"),
    pytest.mark.oldest_and_newest,
]

PYTEST = ("-m", "pytest", "-p", "pytest_maskcheck.plugin", "-p", "no:cacheprovider", "--maskcheck")

# Makes standard input the controlling terminal; only the leader of a session without a terminal may do that.
FOREGROUND = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, sys.argv[1:])
"""


@dataclass(frozen=True)
class Ended:
    """A session at a terminal that has ended.

    Parameters:
        output: what it wrote.
        status: the exit status of pytest.
        audits: the audits, by name of the test.
        kept: whether the terminal has the same settings as before.
    """

    output: str
    status: int
    audits: dict[str, Audit]
    kept: bool


def audited_at_terminal(place: Path, source: str, *options: str, typed: bytes = b"") -> Ended:
    """Audit a source with pytest as the foreground job of a terminal; type ``typed`` once the test has written ``ready``."""
    (place / "test_it.py").write_text(dedent(source))
    (place / "pytest.ini").write_text("[pytest]\n")
    report = place / "report.json"
    output = b""
    until = time.monotonic() + 60
    with at_terminal(place, *PYTEST, f"--maskcheck-report=json:{report}", *options) as (process, behind, front):
        before: Any = termios.tcgetattr(front)
        while process.poll() is None and time.monotonic() < until:
            output += said(behind, 0.05)
            if typed and b"ready" in output:
                os.write(behind, typed)
                typed = b""
        while more := said(behind, 0):
            output += more
        now: Any = termios.tcgetattr(front)
    audits = {audit.test.partition("::")[2]: audit for audit in read_audits(report)}
    return Ended(output.decode(errors="replace"), process.returncode, audits, now == before)


@contextmanager
def at_terminal(place: Path, *command: str) -> Iterator[tuple[subprocess.Popen[bytes], int, int]]:
    """Start Python as the foreground job of a terminal; yield the process and the two ends of the terminal."""
    behind, front = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", FOREGROUND, sys.executable, *command],
        cwd=place,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "", "TERM": "xterm"},
        stdin=front,
        stdout=front,
        stderr=front,
        start_new_session=True,
    )
    try:
        yield process, behind, front
    finally:
        process.kill()
        process.wait()
        os.close(behind)
        os.close(front)


def said(behind: int, seconds: float) -> bytes:
    """Return what was written to a terminal, and wait for it at most ``seconds``."""
    return os.read(behind, 1 << 16) if select.select([behind], [], [], seconds)[0] else b""


CHANGES = """
    import curses, os, termios, tty
    import pytest

    @pytest.mark.interrupt_safe
    def test_restores():
        with open("/dev/tty", "r+b", buffering=0) as terminal:
            before = termios.tcgetattr(terminal)
            try:
                tty.setcbreak(terminal)
                terminal.write(b".")
                len("body")
            finally:
                termios.tcsetattr(terminal, termios.TCSANOW, before)

    @pytest.mark.interrupt_safe
    def test_leaves():
        with open("/dev/tty") as terminal:
            before = termios.tcgetattr(terminal)
            tty.setcbreak(terminal)
            len("body")
            termios.tcsetattr(terminal, termios.TCSANOW, before)

    @pytest.mark.interrupt_safe(timeout=1)
    def test_hangs_in_another_mode():
        with open("/dev/tty") as terminal:
            before = termios.tcgetattr(terminal)
            try:
                tty.setraw(terminal)
            finally:
                while termios.tcgetattr(terminal) == before:
                    pass
                termios.tcsetattr(terminal, termios.TCSANOW, before)
"""


def test_settings_of_the_terminal_can_be_changed(tmp_path: Path) -> None:
    """Runs in background processes can change terminal settings; a change that they leave is found, and undone at the end."""
    ended = audited_at_terminal(tmp_path, CHANGES)
    assert {name: (audit.refused, audit.not_audited) for name, audit in ended.audits.items()} == dict.fromkeys(
        ended.audits, ("", {})
    )
    assert [audit.failures for name, audit in ended.audits.items() if name == "test_restores"] == [()]
    assert {(defect.verdict, defect.kind, defect.key) for defect in ended.audits["test_leaves"].failures} == {
        ("altered", "terminal", "settings")
    }
    assert "hang" in {str(defect.verdict) for defect in ended.audits["test_hangs_in_another_mode"].failures}
    assert (ended.status, ended.kept) == (1, True)


READS = """
    import os, subprocess
    import pytest

    @pytest.mark.interrupt_safe
    def test_asks():
        with open("/dev/tty") as terminal:
            os.write(2, b"ready")
            assert terminal.readline()

    def interrupted():
        try:
            len("x")
        except KeyboardInterrupt:
            return True

    @pytest.mark.interrupt_safe(may_swallow=True)
    def test_confirms():
        if interrupted():
            with open("/dev/tty") as terminal:
                terminal.readline()

    @pytest.mark.interrupt_safe(may_swallow=True)
    def test_pager():
        if interrupted():
            subprocess.run(["head", "-c1", "/dev/tty"], stdout=subprocess.DEVNULL)

    @pytest.mark.interrupt_safe(may_swallow=True, timeout=1)
    def test_job():
        if interrupted():
            subprocess.run(["head", "-c1", "/dev/tty"], stdout=subprocess.DEVNULL, process_group=0)

    @pytest.mark.interrupt_safe
    def test_after():
        len("x")
"""


@pytest.fixture(scope="module")
def reads(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Return a session whose tests read from the terminal."""
    return audited_at_terminal(tmp_path_factory.mktemp("reads"), READS, "-s", typed=b"yes\n")


def test_a_test_that_reads_from_the_terminal_is_refused(reads: Ended) -> None:
    """A test that reads from the terminal is refused with the reason, after one run; later tests are audited."""
    assert "reads from the terminal" in reads.audits["test_asks"].refused
    assert reads.audits["test_after"].audited > 0
    assert "not audited: test_it.py::test_asks: it reads from the terminal" in reads.output


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ("test_confirms", "reads from the terminal"),
        ("test_pager", "reads from the terminal"),
        ("test_job", "its child head is stopped: it uses the terminal"),
    ],
)
def test_a_question_after_the_interrupt_is_no_hang(reads: Ended, test: str, reason: str) -> None:
    """A run that reads from the terminal after the interrupt is not a hang: the point is not audited, with that reason."""
    audit = reads.audits[test]
    assert (audit.failures, audit.refused) == ((), "")
    assert any(reason in each for each in audit.not_audited), audit.not_audited


WAITS = """
    import os, termios, tty, time
    import pytest

    @pytest.mark.interrupt_safe
    def test_long():
        with open("/dev/tty", "r+b", buffering=0) as terminal:
            before = termios.tcgetattr(terminal)
            try:
                tty.setcbreak(terminal)
                if os.tcgetpgrp(terminal.fileno()) != os.getpgrp():
                    terminal.write(b"ready")
                    time.sleep(4)
            finally:
                termios.tcsetattr(terminal, termios.TCSANOW, before)
"""


def test_ctrl_c_ends_the_session_while_the_terminal_is_in_another_mode(tmp_path: Path) -> None:
    """After Ctrl-C the session restores the terminal's settings, since the auditor has no time to do so."""
    ended = audited_at_terminal(tmp_path, WAITS, typed=b"\x03")
    assert (ended.status, ended.kept) == (pytest.ExitCode.INTERRUPTED, True), ended.output[-2000:]


def test_a_session_in_the_background_leaves_the_terminal_alone(tmp_path: Path) -> None:
    """A session in the background does not touch the terminal: settings that others change meanwhile are not reported and stay."""
    (tmp_path / "test_it.py").write_text(
        dedent(
            """
            import termios
            import pytest

            @pytest.mark.interrupt_safe
            def test_it():
                with open("other") as numbers:
                    text = numbers.read()
                len("x")
            """
        )
    )
    program = """
        import json, signal, subprocess, sys, termios, time
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        open("other", "w").close()
        with open("output", "wb") as output:
            child = subprocess.Popen([sys.executable, *sys.argv[1:], "--maskcheck-report=json:report.json"],
                stdout=output, stderr=output, process_group=0, preexec_fn=lambda: signal.signal(signal.SIGTTOU, signal.SIG_DFL))
        before = termios.tcgetattr(0)
        raw = termios.tcgetattr(0)
        raw[3] &= ~termios.ECHO
        while child.poll() is None:
            for settings in (raw, before, raw):
                termios.tcsetattr(0, termios.TCSANOW, settings)
                time.sleep(0.0003)
        now = termios.tcgetattr(0)
        with open("now.json", "w") as file:
            json.dump([child.returncode, now[3] == raw[3]], file)
    """
    with at_terminal(tmp_path, "-c", dedent(program), *PYTEST) as (process, _, _):
        process.wait(60)
    assert json.loads((tmp_path / "now.json").read_text()) == [0, True], (tmp_path / "output").read_text()
    (audit,) = read_audits(tmp_path / "report.json")
    assert (audit.failures, audit.refused, audit.not_audited) == ((), "", {})


TAKES = """
    import os
    import pytest

    @pytest.mark.interrupt_safe(kinds="-implicit")
    def test_takes():
        with open("/dev/tty") as terminal:
            os.tcsetpgrp(terminal.fileno(), os.getpgrp())
            len("x")

    def test_after():
        with open("/dev/tty") as terminal:
            assert os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
"""


def test_pytest_gets_the_terminal_back(tmp_path: Path) -> None:
    """Pytest becomes the foreground job again after code under test gave the terminal to a process group that has ended."""
    ended = audited_at_terminal(tmp_path, TAKES)
    assert ended.status == 0, ended.output
    assert ended.kept
    assert ended.audits["test_takes"].audited > 1
