"""Settings and modes of the terminal."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources.kinds.terminal import HAS_BLOCKING, Terminal

if TYPE_CHECKING:
    from tests.resources.conftest import Watch

pty = pytest.importorskip("pty")
termios = pytest.importorskip("termios")
tty = pytest.importorskip("tty")

pytestmark = pytest.mark.skipif(not HAS_BLOCKING, reason="no such terminals")

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


@pytest.fixture
def terminal() -> Iterator[int]:
    """Make standard input a pseudo-terminal, and yield the descriptor of its other end."""
    kept = os.dup(0)
    behind, front = pty.openpty()
    os.dup2(front, 0)
    yield behind
    os.dup2(kept, 0)
    for fd in (kept, behind, front):
        os.close(fd)


@pytest.fixture
def output(tmp_path: Path) -> Iterator[int]:
    """Redirect standard output to a file, as pytest's capture does, and yield its descriptor."""
    kept = os.dup(1)
    file = os.open(tmp_path / "output", os.O_RDWR | os.O_CREAT)
    os.dup2(file, 1)
    yield 1
    os.dup2(kept, 1)
    os.close(kept)
    os.close(file)


def test_settings_of_the_terminal_are_altered_state(watch: Watch, terminal: int) -> None:
    """Changed terminal settings are altered state; repair restores them."""
    kind = Terminal()
    compare = watch(kind)
    tty.setraw(0)
    (leftover,) = compare()
    assert (leftover.key, leftover.detail) == ("settings", "the settings of the terminal (0) changed")
    assert compare() == [leftover]
    assert kind.repair(leftover) is True
    assert compare() == []


def test_settings_put_back_are_no_difference(watch: Watch, terminal: int) -> None:
    """Terminal settings restored before the end of the run are not reported."""
    compare = watch(Terminal())
    old = termios.tcgetattr(0)
    tty.setraw(0)
    termios.tcsetattr(0, termios.TCSANOW, old)
    assert compare() == []


def test_the_terminal_that_controls_the_process_is_looked_at() -> None:
    """The controlling terminal is compared even if no standard descriptor refers to it."""
    program = """
        import os, tty
        from pytest_maskcheck.resources.kinds.terminal import Terminal
        terminal = os.open("/dev/tty", os.O_RDWR)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in range(3):
            os.dup2(null, fd)
        kind = Terminal()
        before = kind.snapshot()
        tty.setraw(terminal)
        found = kind.compare(before)
        named = [leftover.detail for leftover in found] == ["the settings of the terminal (/dev/tty) changed"]
        os._exit(0 if named and kind.repair(found[0]) and not kind.compare(before) else 7)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    code = f"import pty, os, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn({command!r})))"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], stdin=subprocess.DEVNULL, env=environ, capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"")


def test_modes_switched_on_and_not_off_are_altered_state(watch: Watch, output: int) -> None:
    """Modes that the output switches on and not off again are altered state, if the uninterrupted test switches modes."""
    kind = Terminal()
    first = watch(kind)
    os.write(output, HIDE.encode() + SHOW.encode())
    assert first() == []
    compare = watch(kind)
    os.write(output, f"{HIDE}some text\x1b[?1049h\x1b[?2004h\x1b[?1000;1006h\x1b[?2004l".encode())
    found = compare()
    assert [leftover.key for leftover in found] == ["alternate screen", "hidden cursor", "mouse reporting"]
    assert found[1].detail == "hidden cursor was switched on in the output and not off again"
    assert compare() == found
    assert kind.repair(found[0]) is False
    os.write(output, f"{SHOW}\x1b[?1049l\x1b[?1000l".encode())
    assert compare() == []


def test_a_reset_switches_all_modes_off(watch: Watch, output: int) -> None:
    """The reset sequence (``ESC c``) switches all modes off."""
    kind = Terminal()
    kind.switches = True
    compare = watch(kind)
    os.write(output, HIDE.encode() + b"\x1bc")
    assert compare() == []


def test_output_kept_in_memory_is_looked_at_too(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Output kept in memory, as with ``--capture=sys``, is searched too, even after the buffer was emptied."""
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, write_through=True))
    kind = Terminal()
    compare = watch(kind)
    sys.stdout.write(HIDE + SHOW)
    assert compare() == []
    sys.stdout.write(HIDE)
    assert [leftover.key for leftover in compare()] == ["hidden cursor"]
    sys.stdout.write(SHOW)
    assert compare() == []
    buffer.seek(0)
    buffer.truncate()
    sys.stdout.write(HIDE)
    assert [leftover.key for leftover in compare()] == ["hidden cursor"]


def test_output_of_a_test_that_switches_no_modes_is_not_read(output: int) -> None:
    """Output is not read if the uninterrupted test switches no modes, since an interrupt does not make it switch any."""
    kind = Terminal()
    kind.prepare()
    for _ in range(2):
        before = kind.snapshot()
        os.write(output, b"\x1b[31mred\x1b[0m")
        assert kind.compare(before) == []
    before = kind.snapshot()
    os.write(output, HIDE.encode())
    assert kind.compare(before) == []


def test_a_standard_descriptor_that_no_longer_blocks_is_altered_state(watch: Watch, output: int) -> None:
    """A standard descriptor made non-blocking is altered state, since every process that shares it is affected; repair restores it."""
    kind = Terminal()
    compare = watch(kind)
    os.set_blocking(1, False)
    (leftover,) = compare()
    assert (leftover.key, leftover.detail) == ("blocking 1", "descriptor 1 is non-blocking now")
    assert kind.repair(leftover) is True
    assert os.get_blocking(1)


def test_curses_that_was_not_ended_is_altered_state() -> None:
    """A curses session that was not ended is altered state; repair ends it."""
    pytest.importorskip("curses")
    program = """
        import curses, os
        from pytest_maskcheck.resources.kinds.terminal import Terminal
        kind = Terminal()
        before = kind.snapshot()
        curses.initscr()
        found = [leftover for leftover in kind.compare(before) if leftover.key == "curses"]
        repaired = found and kind.repair(found[0])
        left = [leftover for leftover in kind.compare(before) if leftover.key == "curses"]
        os._exit(0 if repaired and not left else 7)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    code = f"import pty, os, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn({command!r})))"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm"}
    done = subprocess.run([sys.executable, "-c", code], stdin=subprocess.DEVNULL, env=environ, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b""), done.stdout
