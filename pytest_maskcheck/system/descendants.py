"""Processes that a run has started, wherever they went: children, their children, and those that left parent, group and session.

A daemon is started by a child that then ends. An orphan goes to the nearest ancestor that adopts such processes
(``PR_SET_CHILD_SUBREAPER``, prctl(2)), else to process 1. The auditing process adopts them, so that it can report what its
workers leave as leftovers of their runs, and can end it.

Rules:

1. Workers adopt nothing: code under test that waits for any child gets only its own.
2. A process is identified by its number and the time when it began, as numbers are reused.
3. Only the process that audits adopts, and not pytest. So it adopts nothing that was there before, nor what longer-lived fixtures
   start.
4. The tracker of ``multiprocessing`` removes what others have left in shared memory. It ends by itself, and gets time to do so, up to
   what an interpreter takes to start. If nothing new is in shared memory, it has nothing to remove, and is killed like any other
   process.

What does not work: with ``isolation=none``, and without prctl (Linux only), a daemon is not seen, and outlives the audit. If
pytest is killed by SIGKILL, the kernel ends the auditing processes, but not the daemons that left them.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pytest_maskcheck.system.proc import began, children_of, children_of_thread, command_line
from pytest_maskcheck.system.unpatched import os, signal, time

try:
    from resource import RUSAGE_CHILDREN, getrusage
except ImportError:  # Windows
    _reaped: Any = lambda: 1  # noqa: E731
else:

    def _reaped() -> int:
        """Return a number that is 0 as long as this process has waited for no child."""
        return getrusage(RUSAGE_CHILDREN).ru_minflt


_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_TRACKER = b"multiprocessing.resource_tracker"
_SERVANTS = (_TRACKER, b"multiprocessing.forkserver")
"""Parts of the command lines of processes that ``multiprocessing`` starts for itself; they end when a pipe is closed."""
_SHARED_MEMORY = "/dev/shm"
_STANDARD_STREAMS = frozenset("012")
_PATIENCE = 1.0
"""Seconds that a killed process gets to end."""
_REMOVING = 5.0
"""Seconds that a tracker gets to remove what others have left."""
_ROUNDS = 50
_NONE: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Present:
    """What was there before a child was made.

    Parameters:
        children: the children of this process, by id.
        shared: names of semaphores and shared memory, of all processes.
    """

    children: frozenset[int] = _NONE
    shared: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Process:
    """A process, distinguished from a later one with the same id by when it began.

    Parameters:
        pid: its id.
        began: when it began, in ticks of the system.
    """

    pid: int
    began: int

    def kill(self) -> None:
        """End the process if it is still there."""
        if began(self.pid) == self.began:
            with suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)


class _Adopter:
    """Which process adopts those that lose their parent.

    Attributes:
        pid: its id; 0 if none is known.
    """

    __slots__ = ("pid",)

    def __init__(self) -> None:
        self.pid = 0


_adopter = _Adopter()


@lru_cache(maxsize=1)
def _libc() -> Any:
    import ctypes

    return ctypes.CDLL(None)


def _prctl(option: int, argument: int) -> bool:
    if sys.platform == "linux":
        with suppress(Exception):
            return not _libc().prctl(option, argument, 0, 0, 0)
    return False


def get_ready() -> None:
    """Load now what processes forked later would load each for itself."""
    if sys.platform == "linux":
        with suppress(Exception):
            _libc()


def die_with(parent: int) -> None:
    """Make the kernel kill this process when ``parent`` ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have ended before the request took effect.
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def adopt() -> None:
    """Adopt the processes below this one that lose their parent, from now on."""
    if _prctl(_PR_SET_CHILD_SUBREAPER, 1):
        _adopter.pid = os.getpid()


def adopts() -> bool:
    """Return whether this process adopts processes that lose their parent."""
    return _adopter.pid == os.getpid()


def lost() -> frozenset[int]:
    """Return the children of the process that adopts what this one's children leave; nothing if this process had no child yet."""
    if not _adopter.pid or not _reaped() or adopts():
        return _NONE
    return frozenset(children_of_thread(_adopter.pid, str(_adopter.pid))) - {os.getpid()}


def processes() -> frozenset[Process]:
    """Return the children of this process."""
    return frozenset(Process(pid, began(pid)) for pid in children_of())


def below(pid: int) -> list[Process]:
    """Return the children of a process, their children, and so on."""
    found: list[Process] = []
    queue = [pid]
    while queue:
        for child in children_of(queue.pop()):
            found.append(Process(child, began(child)))
            queue.append(child)
    return found


def present() -> Present:
    """Return what is there now, for :func:`end_new`."""
    return Present(children_of(), _shared())


def end_all() -> None:
    """End all children of this process, which is about to end; trackers end with it."""
    end_new(Present(frozenset(pid for pid in children_of() if _is_tracker(pid))))


def end_new(before: Present) -> None:
    """End the children that this process has gained since, and wait for them."""
    for _ in range(_ROUNDS):  # when one ends, this process may adopt its children
        new = children_of() - before.children
        if not new:
            return
        for pid in new:
            if not (_is_tracker(pid) and not _shared() <= before.shared and _waited_for(pid, _REMOVING)):
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
                _waited_for(pid)


def _is_tracker(pid: int) -> bool:
    return _TRACKER in command_line(pid)


def _shared() -> frozenset[str]:
    try:
        return frozenset(os.listdir(_SHARED_MEMORY))
    except OSError:
        return frozenset()


def stays(pid: int) -> bool:
    """Return whether a helper process of ``multiprocessing`` ends with this process: it waits for a pipe that is open here to be closed."""
    command = command_line(pid)
    return any(each in command for each in _SERVANTS) and not _pipes(pid, _READS).isdisjoint(_pipes("self", _WRITES))


_READS, _WRITES = 0o400, 0o200


def _pipes(pid: int | str, mode: int) -> frozenset[str]:
    """Return the names of pipes that a process has open for reading or writing, without its standard streams."""
    found: set[str] = set()
    folder = f"/proc/{pid}/fd"
    with suppress(OSError):
        for fd in frozenset(os.listdir(folder)) - _STANDARD_STREAMS:
            with suppress(OSError):  # the descriptor of the listing is closed by now
                if os.lstat(f"{folder}/{fd}").st_mode & mode:
                    found.add(os.readlink(f"{folder}/{fd}"))
    return frozenset(name for name in found if name.startswith("pipe:"))


def _waited_for(pid: int, patience: float = _PATIENCE) -> bool:
    """Wait for a child, for a while; return whether it has ended."""
    until = time.perf_counter() + patience
    while time.perf_counter() < until:
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return True
        except ChildProcessError:
            return True
        time.sleep(0.001)
    return False
