"""Read from ``/proc`` which processes and threads there are, and what they are doing.

A process or thread that is gone reads as absent and never raises. Where there is no ``/proc`` (all but Linux), all are absent.
"""

from __future__ import annotations

from pytest_maskcheck.system.contents import content_of
from pytest_maskcheck.system.unpatched import os, time

_TASKS = "/proc/{}/task"
_STAT = "/proc/{}/stat"
_LOOKS = 50

RUNNING = frozenset("RD")
"""States of a process or thread that runs, or waits for a processor or a disk."""


def children_of(pid: int | str = "self") -> frozenset[int]:
    """Return the children of a process, including those that it adopted."""
    try:
        threads = os.listdir(_TASKS.format(pid))
    except OSError:
        return frozenset()
    return frozenset(child for thread in threads for child in children_of_thread(pid, thread))


def children_of_thread(pid: int | str, thread: str) -> list[int]:
    """Return the children that one thread of a process started."""
    return [*map(int, content_of(f"{_TASKS.format(pid)}/{thread}/children").split())]


def command_line(pid: int) -> bytes:
    """Return the command line of a process; wait if it is empty amid an exec."""
    # Amid an exec the command line is empty, as it is for a process that has ended.
    for _ in range(_LOOKS):
        if (found := content_of(f"/proc/{pid}/cmdline")) or has_ended(pid):
            return found
        time.sleep(0.0002)
    return b""


def is_stopped(pid: int) -> bool:
    """Return whether a process is stopped, as by SIGSTOP."""
    return run_state(_STAT.format(pid)) == "T"


def has_ended(pid: int) -> bool:
    """Return whether a process has ended, whether its parent has waited for it or not."""
    return run_state(_STAT.format(pid)) in {"", "Z", "X"}


def program_of(pid: int) -> str:
    """Return the name of the program that a process runs."""
    return os.fsdecode(content_of(f"/proc/{pid}/comm")).strip() or "process"


def began(pid: int) -> int:
    """Return when a process began, in ticks since the system started; -1 if it is gone."""
    words = _stat(_STAT.format(pid))
    return int(words[19]) if len(words) > 19 else -1


def run_state(path: str) -> str:
    """Return the state of a process or thread from its ``stat`` file, as a letter; ``""`` if it is gone."""
    words = _stat(path)
    return os.fsdecode(words[0]) if words else ""


def _stat(path: str) -> list[bytes]:
    """Return the words of a ``stat`` file, from the state on."""
    # The name of the program, in parentheses, may contain spaces and parentheses.
    return content_of(path).rpartition(b")")[2].split()
