"""Work in a forked child, which sends messages to its parent. Once they are read, the child and all that it started are gone.

The session forks the *auditor*, in which the test is warmed up and its points are found; the auditor forks a
*worker* for every sequence of interrupted runs that needs a clean process. Nothing that a run does reaches the
session; what a worker leaves goes with it.

Rules:

1. A child ends by sending itself SIGKILL: no exit handler runs, no file is flushed, and no patched ``os._exit`` is called.
2. A child sends its results through a pipe as they come (:mod:`.wire`). It records its progress in shared memory, which survives any
   death (:mod:`.watchdog`). From that record, the parent concludes what a dead child did not send.
3. A child leads a process group (a worker only where :data:`OWN_GROUPS` is true), so that a signal that code under test sends to its own
   group reaches no auditing process. Whatever a child has started ends with it, wherever that went (:mod:`.descendants`).
4. Signals are blocked from the fork until it is certain that the child will be killed.
5. A child that outlives its parent is killed by the kernel where the kernel offers that (Linux).

What does not work: threads do not survive a fork, so a test that depends on a thread of a longer-lived fixture needs
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
from pytest_maskcheck.system.entered import ENTERED
from pytest_maskcheck.system.frozen_heap import FrozenHeap
from pytest_maskcheck.system.signals import all_blocked
from pytest_maskcheck.system.stopwatch import Page, watched_on
from pytest_maskcheck.system.unpatched import FOR_FILES, keep, os, signal, tempfile, unpatched

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

keep("tempfile")

CAN_FORK = hasattr(os, "fork")
"""Whether this platform can fork."""

OWN_GROUPS = sys.platform == "linux"
"""Whether workers lead process groups of their own. Elsewhere they stay in the auditing process's, as only that ends them with it."""


def in_child(
    work: Callable[[Callable[[object], None]], None],
    page: Page,
    limit: Callable[[], float],
    *,
    leader: bool,
    orphan: bool = False,
    freezes: bool = False,
    name: Callable[[str], str] = str,
) -> Generator[Any, None, Death | None]:
    """Run ``work(say)`` in a forked child and yield the messages passed to ``say``; return how it died, ``None`` if it ended well.

    Closing the generator, or an exception in it (Ctrl-C), kills the child and, for a ``leader``, its process group.

    Parameters:
        work: what to do in the child.
        page: where the child records its progress.
        limit: returns the seconds that one turn of the page may take before the child counts as hung; called anew each time.
        leader: the child leads a process group of its own.
        orphan: the child's own parent ends at once, so that nothing else in this process can wait for the child.
        freezes: the child freezes its heap first: the garbage collector would copy the memory that the child shares with its parent.
        name: shortens file names in the stack of a child that died.
    """
    child = None
    terminal = foreground.settings()
    try:
        with all_blocked() as mask, warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # "may lead to deadlocks": the child runs only Python
            with unpatched(*FOR_FILES):  # ends before the fork: the test in the child must find its own patches
                child = (_Orphan if orphan else _Child)(page, leader=leader, freezes=freezes)
            child.fork(work, mask)
        ended = yield from child.listen(limit)
        if ended:
            return None
        return child.watchdog.death(name)
    finally:
        if child is not None:
            try:
                child.kill(terminal)
            except KeyboardInterrupt:  # it arrived before kill() had blocked signals
                child.kill(terminal)
                raise


class _Child:
    """One forked process: its pipe, its crash report and its end."""

    watched_by: ClassVar[type[Watchdog]] = Watchdog

    def __init__(self, page: Page, *, leader: bool, freezes: bool) -> None:
        self._page = page
        self._leader = leader
        self._freezes = freezes
        # This process adopts what the child leaves. Whatever is not in this snapshot was started by the child.
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
        """Close this process's copy of the write end: while it is open, the child's death does not end the pipe."""
        os.close(self._writer)
        self._writer = -1

    def _run(self, work: Callable[[Callable[[object], None]], None], mask: set[int], parent: int) -> None:
        """Do the work, in the child; never return."""
        wire.holding.forget()
        try:
            if self._freezes:
                FrozenHeap.freeze()
            watched_on(self._page)
            ENTERED.close()  # a run of this process begins later, if at all
            if self._leader:
                os.setpgid(0, 0)
                foreground.may_change_settings()
            if parent:
                die_with(parent)
            os.close(self._reader)
            faulthandler.enable(self._report, all_threads=True)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            work(self._say)
            ENTERED.close()
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
                # A waiting child runs no code of the test's, so it was stopped by one of its own workers.
                os.kill(watchdog.pid, signal.SIGCONT)

    def kill(self, terminal: foreground.Settings | None = None) -> None:
        """End the child and all that it started, whatever state it is in; restore the settings of the terminal."""
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
            family = descendants.below(pid)  # listed while they still have their parents
            with suppress(OSError):
                if self._leader:
                    os.killpg(pid, signal.SIGKILL)
        if not self.watchdog.is_reaped:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            with suppress(OSError):
                os.waitpid(pid, 0)
        for process in family:  # some may have left the group
            process.kill()
        if self._before is not None:
            descendants.end_new(self._before)


class _Orphan(_Child):
    """A child whose parent has ended, so that code under test that waits for any child does not find it.

    It does not die with the process that made it; its pipe closes then.
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
