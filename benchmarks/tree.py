"""Run a command, and measure the processor time of the whole tree of its processes, whoever their parent is in the end."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ADOPT = 36
"""``PR_SET_CHILD_SUBREAPER`` of Linux: this process becomes the parent of descendants that lose theirs."""

_LAST = 5.0
"""Seconds that descendants may outlive the command; then they are killed."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that was run.

    Parameters:
        status: its exit status.
        output: what it printed, errors included.
        wall: seconds from its start to its end.
        processor: seconds of processor time of all its processes.
        in_time: it ended by itself.
    """

    status: int
    output: str
    wall: float
    processor: float
    in_time: bool = True


def run(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    *,
    limit: float | None = None,
    grace: float = 60,
) -> Ran:
    """Run a command to its end.

    Parameters:
        command: its words.
        folder: where to run it.
        environment: its variables.
        limit: the seconds after which it is interrupted as by Ctrl-C; ``None``: it may take any time.
        grace: the seconds after that in which it must end, or it is killed.
    """
    _adopt_orphans()
    if (
        signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    ):  # as in the background of a shell: the command would inherit that
        signal.signal(signal.SIGINT, signal.default_int_handler)
    before, began = _processor(), time.perf_counter()
    with tempfile.TemporaryFile() as output:  # no pipe: a process that is left behind would keep it open
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        in_time = _ends(process, limit)
        if not in_time:
            process.send_signal(signal.SIGINT)
            if not _ends(process, grace):
                process.kill()
                process.wait()
        wall = time.perf_counter() - began
        _reap_orphans()
        output.seek(0)
        text = output.read().decode(errors="replace")
    return Ran(process.returncode, text, wall, _processor() - before, in_time)


def _ends(process: subprocess.Popen[bytes], seconds: float | None) -> bool:
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
        return True
    return False


def _processor() -> float:
    """Return the processor seconds of all descendants that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _adopt_orphans() -> None:
    """Become the parent of orphans: an audit keeps a process that is none of pytest's children, whose time would be lost."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_ADOPT, 1, 0, 0, 0)


def _reap_orphans() -> None:
    """Wait for the orphans, so that their time counts; kill those that do not end."""
    last = time.perf_counter() + _LAST
    with suppress(ChildProcessError):  # there is none any more
        while True:
            number, _ = os.waitpid(-1, os.WNOHANG)
            if number:
                continue
            if time.perf_counter() > last:
                for child in _children():
                    os.kill(child, signal.SIGKILL)
            time.sleep(0.01)


def _children() -> list[int]:
    """Return the children of this process; none where the system does not tell."""
    with suppress(OSError):
        text = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
        return [int(number) for number in text.split()]
    return []
