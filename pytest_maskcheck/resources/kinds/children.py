"""Child processes: running ones, those that ended and were not waited for, and those that have lost their parent.

A daemon has lost its parent, and the auditing process adopts it (:mod:`pytest_maskcheck.system.descendants`). One that still runs
is reported like a child. One that has ended is no zombie of the test's, as process 1 would have waited for it without the audit.

What does not work: outside Linux, the process id of a running child is not found (it is ``_SOME``), so a second child is not seen.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar, cast

from pytest_maskcheck.resources.kind import Kind, Leftover
from pytest_maskcheck.resources.surroundings import Surroundings
from pytest_maskcheck.system.descendants import lost, stays
from pytest_maskcheck.system.proc import RUNNING, has_ended, run_state
from pytest_maskcheck.system.unpatched import io, os, signal, threading, time

HAS_WAITID = hasattr(os, "waitid")
_LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT if HAS_WAITID else 0
_look: Callable[[], Any] = partial(os.waitid, os.P_ALL, 0, _LOOK) if HAS_WAITID else lambda: None
_NONE: frozenset[int] = frozenset()
_HAS_COMMANDS = os.path.exists("/proc/self/cmdline")
_SECONDS = 0.5  # seconds that a child gets to end (if it was dropped or has lost its parent), or to execute its program
_LOOKS = 10  # a process that waits for something at so many looks in a row, a millisecond apart, is taken to stay
_SOME = -1  # stands for a running child whose process id the system does not show


class Children(Kind):
    """Children of this process. The token is the process id."""

    name = "child"
    available = HAS_WAITID
    repeatable = True
    settles = True
    outlives = True
    serves = True

    tasks: ClassVar[str] = "/proc/self/task"
    """Where Linux lists the children of each thread."""

    def __init__(self, surroundings: Surroundings | None = None) -> None:
        super().__init__(surroundings)
        self._hopeless: set[int] = set()  # processes that have had their time to end

    def snapshot(self) -> frozenset[int]:
        try:
            ended = _look()  # WNOWAIT: it is not reaped
        except ChildProcessError:
            return lost()
        return self._pids(ended) | lost()

    def compare(self, before: object) -> list[Leftover]:
        left = self.snapshot() - cast("frozenset[int]", before)
        if left:
            left -= self._waited_for(left)
            left -= self._ending(left & lost())
        return [self._leftover(pid) for pid in sorted(left)]

    def _waited_for(self, pids: frozenset[int]) -> frozenset[int]:
        """Return those of ``pids`` that ``subprocess`` has waited for, as it does for every ``Popen`` that was dropped.

        It would do so at its next use; this method makes it do so now. Each child gets the time to end, but only once.
        """
        subprocess = sys.modules.get("subprocess")
        if subprocess is None:
            return frozenset()
        dropped = pids.intersection(popen.pid for popen in subprocess._active or ())  # noqa: SLF001
        until = time.perf_counter() + _SECONDS
        while True:
            subprocess._cleanup()  # noqa: SLF001
            running = dropped.intersection(popen.pid for popen in subprocess._active or ())  # noqa: SLF001
            if running <= self._hopeless or time.perf_counter() > until:
                self._hopeless |= running
                return dropped - running
            time.sleep(0.001)

    def _ending(self, pids: frozenset[int]) -> frozenset[int]:
        """Return which of ``pids``, processes without a parent, have ended by themselves. Each gets time to end, but only once."""
        until = time.perf_counter() + _SECONDS
        while True:
            running = frozenset(pid for pid in pids if not has_ended(pid))
            if running <= self._hopeless or time.perf_counter() > until:
                self._hopeless |= running
                return pids - running
            time.sleep(0.001)

    def _pids(self, ended: Any) -> frozenset[int]:
        if not os.path.exists(f"{self.tasks}/{threading.get_native_id()}/children"):
            return frozenset({_SOME if ended is None else ended.si_pid})
        return frozenset(pid for thread in os.listdir(self.tasks) for pid in self._of_thread(thread))

    def _of_thread(self, thread: str) -> list[int]:
        """Return the children that one thread started; none if the thread has ended."""
        return [int(pid) for pid in _read(f"{self.tasks}/{thread}/children").split()]

    def _leftover(self, pid: int) -> Leftover:
        if pid == _SOME:
            return Leftover(self.name, "running", "a child process is still running", pid)
        orphan = pid in lost()
        program, command = _described(pid)
        ending = "ended and was not waited for" if not orphan and _ended(pid) else "is still running"
        if orphan:
            ending += ", and its parent is gone"
        return Leftover(self.name, self.surroundings.text(program), f"child {pid} ({command}) {ending}", pid)

    def stays(self, leftover: Leftover) -> bool:
        return stays(cast("int", leftover.token))

    def is_named(self, leftover: Leftover) -> bool:
        return leftover.token == _SOME or not _is_copy(cast("int", leftover.token))

    def describe(self, leftover: Leftover) -> Leftover:
        """Return ``leftover`` under the name of its own program. Until a forked process executes one, it has the name of this process."""
        pid = cast("int", leftover.token)
        if self.is_named(leftover) or not _executes(pid):
            return leftover
        return self._leftover(pid)

    def repair(self, leftover: Leftover) -> bool:
        pid = cast("int", leftover.token)
        if pid == _SOME:
            return False
        try:
            if pid in lost() or not _ended(pid):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except ChildProcessError:
            pass  # somebody else has waited for it
        except OSError:
            return False
        return True

    @contextmanager
    def canary(self) -> Iterator[None]:
        reader, writer = os.pipe()
        waits = [
            (os.POSIX_SPAWN_DUP2, reader, 0)
        ]  # ``cat`` reads to the end of its input, so it ends when this process does, however that ends
        silent = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
        try:
            pid = os.posix_spawnp("cat", ["cat"], os.environ, file_actions=[*waits, *silent])
            try:
                yield
            finally:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        finally:
            os.close(reader)
            os.close(writer)


def _ended(pid: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, _LOOK) is not None
    except ChildProcessError:
        return True


def _is_copy(pid: int) -> bool:
    """Return whether a child is still a forked copy of this process, and running."""
    return _command(pid) == _command(os.getpid()) and not _ended(pid)


def _executes(pid: int) -> bool:
    """Wait for a copy of this process to execute another program, as long as the copy runs; return whether it did.

    A copy that waits for something is taken to stay a copy, as the workers of ``multiprocessing`` do.
    """
    _wait_while(pid, partial(_is_copy, pid))
    return not _is_copy(pid) and not _ended(pid)


def _wait_while(pid: int, condition: Callable[[], bool]) -> None:
    """Wait while ``condition`` holds, but no longer than ``_SECONDS``, nor for a process that itself waits for something."""
    until = time.perf_counter() + _SECONDS
    waiting = 0
    while condition() and waiting < _LOOKS and time.perf_counter() < until:
        waiting = 0 if run_state(f"/proc/{pid}/stat") in RUNNING else waiting + 1
        time.sleep(0.001)


def _command(pid: int) -> str:
    return _read(f"/proc/{pid}/cmdline")


def _read(path: str) -> str:
    try:
        with io.open(path, "rb") as file:
            return os.fsdecode(file.read())
    except OSError:
        return ""


def _described(pid: int) -> tuple[str, str]:
    """Return the name of the program and its command line; a process that ended has only a name left."""
    if _HAS_COMMANDS:  # in the middle of its exec, a process has the new memory and still the old name
        _wait_while(pid, lambda: not (_command(pid).rstrip("\0") or has_ended(pid)))
    words = _command(pid).rstrip("\0").split("\0")
    name = _read(f"/proc/{pid}/comm").strip() or os.path.basename(words[0]) or "child"
    return name, " ".join(words) if words[0] else name
