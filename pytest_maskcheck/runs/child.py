"""Work in a forked child: it sends messages to its parent, and is gone when they are read, with all that it started.

The session forks the *auditor*, in which the test is warmed up and its points are found; the auditor forks a
*worker* for every sequence of interrupted runs that needs a clean process. Nothing that a run does reaches the
session; what a worker leaves goes with it.

Rules:

1. A child ends by SIGKILL from its own hand: no exit handler, no flush, no ``os._exit`` that others have patched.
2. A child sends its results through a pipe as they come (:mod:`.wire`). Where it is stands in shared memory, which survives any
   death (:mod:`.watchdog`). What a dead child did not send is concluded from that.
3. Each child leads a process group, so that what code under test sends to its own group goes to no auditing process. With a child
   goes what it has started, wherever that went (:mod:`.descendants`).
4. Between a fork and the moment at which the child is certain to be killed, signals are blocked.
5. A child that outlives its parent is killed by the kernel where the kernel offers that (Linux).

What does not work: threads do not survive a fork, so a test that talks to a thread of a longer-lived fixture needs
``isolation=none``; without ``os.fork`` there is no isolation at all.
"""

from __future__ import annotations

import faulthandler
import sys
import warnings
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, ClassVar

from pytest_maskcheck.runs import wire
from pytest_maskcheck.runs.watchdog import LOOKS, Death, OrphanWatchdog, Watchdog
from pytest_maskcheck.system import descendants, foreground
from pytest_maskcheck.system.breakdown import AuditBrokeError, breakdown_of
from pytest_maskcheck.system.descendants import Process, die_with
from pytest_maskcheck.system.signals import all_blocked
from pytest_maskcheck.system.stopwatch import Page, watched_on
from pytest_maskcheck.system.unpatched import os, signal, tempfile, unpatched

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

CAN_FORK = hasattr(os, "fork")
"""Whether this platform has children at all."""

OWN_GROUPS = sys.platform == "linux"
"""Whether workers lead process groups of their own: elsewhere nothing but their group would end them with the auditing process."""


def in_child(
    work: Callable[[Callable[[object], None]], None],
    page: Page,
    limit: Callable[[], float],
    *,
    leader: bool,
    orphan: bool = False,
    name: Callable[[str], str] = str,
) -> Generator[Any, None, Death | None]:
    """Run ``work(say)`` in a forked child and yield the messages passed to ``say``; return how it died, ``None`` if it ended well.

    Closing the generator, or an exception in it (Ctrl-C), kills the child and, for a ``leader``, its process group.

    Parameters:
        work: what to do in the child.
        page: where the child notes how far it is.
        limit: returns the seconds that one turn of the page may take before the child counts as hung; called anew each time.
        leader: the child leads a process group of its own.
        orphan: the child is the child of no living process, so that nobody else here can wait for it.
        name: shortens file names in the stack of a child that died.
    """
    child = None
    terminal = foreground.settings()
    try:
        with all_blocked() as mask, warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # "may lead to deadlocks": it runs Python only
            with unpatched():  # over before the fork: the child is the test's
                child = (_Orphan if orphan else _Child)(page, leader=leader)
            child.fork(work, mask)
        ended = yield from child.listen(limit)
        if ended:
            return None
        return child.watchdog.death(name)
    finally:
        if child is not None:
            try:
                child.kill(terminal)
            except KeyboardInterrupt:  # between here and the first line of kill
                child.kill(terminal)
                raise


class _Child:
    """One forked process: its pipe, its crash report and its end."""

    watched_by: ClassVar[type[Watchdog]] = Watchdog

    def __init__(self, page: Page, *, leader: bool) -> None:
        self._page = page
        self._leader = leader
        # What was there before tells afterwards what the child has started: this process gets its orphans.
        self._before = descendants.present() if descendants.adopts() else None
        self._report: IO[bytes] = tempfile.TemporaryFile()
        self._reader, self._writer = os.pipe()
        self.watchdog = self.watched_by(page, self._report)

    def fork(self, work: Callable[[Callable[[object], None]], None], mask: set[int]) -> None:
        parent = os.getpid()
        self.watchdog.pid = os.fork()
        if self.watchdog.pid == 0:
            self._run(work, mask, parent)
        if self._leader:
            with suppress(OSError):  # the child did it first, or is gone
                os.setpgid(self.watchdog.pid, self.watchdog.pid)
        self._close_writer()

    def _close_writer(self) -> None:
        """Close this process's copy of the pipe's other end, or the end of the child would not be seen."""
        os.close(self._writer)
        self._writer = -1

    def _run(self, work: Callable[[Callable[[object], None]], None], mask: set[int], parent: int) -> None:
        """Do the work, in the child; never return."""
        try:
            watched_on(self._page)
            if self._leader:
                os.setpgid(0, 0)
                foreground.may_change_settings()
            if parent:
                die_with(parent)
            os.close(self._reader)
            faulthandler.enable(self._report, all_threads=True)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            work(self._say)
            if descendants.adopts():  # orphans of the run became children of this process
                descendants.end_all()
            self._say(wire.Done())
        except BaseException as error:  # noqa: BLE001  (nothing may run past this line in the child)
            with suppress(BaseException), unpatched():
                self._say(wire.Broken(breakdown_of(error)))
        finally:
            os.kill(os.getpid(), signal.SIGKILL)

    def _say(self, message: object) -> None:
        wire.send(self._writer, message)

    def listen(self, limit: Callable[[], float]) -> Generator[Any, None, bool]:
        """Yield the child's messages; return whether it sent that its work is done."""
        inbox, watchdog = wire.Inbox(), self.watchdog
        while True:
            for message in inbox.messages():
                if isinstance(message, wire.Done):
                    return True
                if isinstance(message, wire.Broken):
                    raise AuditBrokeError(message.breakdown)
                yield message
            remaining = watchdog.remaining(limit())
            if remaining <= 0 and not watchdog.is_gone():
                watchdog.note_hang()
                return False
            if watchdog.wait_for_data(self._reader, min(max(remaining, 0.01), LOOKS)):
                data = os.read(self._reader, 1 << 16)
                if not data:
                    return False
                inbox.add(data)
            elif watchdog.is_gone() or watchdog.stopped in foreground.STOPS:  # a grandchild may hold the pipe open
                return False
            elif watchdog.stopped and self._page.waits:
                # It runs nothing of the test's: what stopped it was a worker of its own.
                os.kill(watchdog.pid, signal.SIGCONT)

    def kill(self, terminal: foreground.Settings | None = None) -> None:
        """End the child and all that it made, whatever state it is in; give the terminal its settings again."""
        with all_blocked():
            if self.watchdog.pid:
                self._kill(self.watchdog.pid)
                foreground.put_back(terminal)
            for descriptor in (self._reader, self._writer):
                if descriptor != -1:
                    os.close(descriptor)
            self._reader = self._writer = -1
            self._report.close()
            self.watchdog.pid = 0

    def _kill(self, pid: int) -> None:
        family: list[Process] = []
        if self._before is None:
            family = descendants.below(pid)  # while they have their parents
            with suppress(OSError):
                if self._leader:
                    os.killpg(pid, signal.SIGKILL)
        if not self.watchdog.is_reaped:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            with suppress(OSError):
                os.waitpid(pid, 0)
        for process in family:  # those that had left the group
            process.kill()
        if self._before is not None:
            descendants.end_new(self._before)


class _Orphan(_Child):
    """A child of a child that has ended: code under test that waits for any child of its own must not meet it.

    Its pipe closes when the process that made it is gone.
    """

    watched_by = OrphanWatchdog

    def fork(self, work: Callable[[Callable[[object], None]], None], mask: set[int]) -> None:
        reader, writer = os.pipe()
        middle = os.fork()
        if middle == 0:
            try:
                pid = os.fork()
                if pid == 0:
                    os.close(reader)
                    os.close(writer)
                    self._run(work, mask, 0)
                os.write(writer, str(pid).encode())
            finally:
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(middle, 0)
        os.close(writer)
        self.watchdog.pid = int(os.read(reader, 32) or 0)
        os.close(reader)
        self._close_writer()
