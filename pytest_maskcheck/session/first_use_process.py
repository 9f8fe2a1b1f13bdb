"""A process that has not run the test yet, kept for the audit of what only the first run in a process reaches.

It is forked during the setup of the ordinary run, after longer-lived fixtures are set up and before function-scoped ones are; see
:mod:`pytest_maskcheck.audit.first_use`. Then it waits on a pipe. The message that wakes it carries what was not known at the fork. If the
pipe closes without a message, the process ends.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.audit.messages import FirstUseReached
from pytest_maskcheck.points.coverage_config import running
from pytest_maskcheck.points.coverage_pause import measures_forks
from pytest_maskcheck.reasons import NotAudited, Reason, Strategy
from pytest_maskcheck.runs import fork_sharing
from pytest_maskcheck.runs.child import in_child
from pytest_maskcheck.session.assembly import assemble, read_ahead
from pytest_maskcheck.session.auditing_process import SILENCE, own_process, take_all
from pytest_maskcheck.session.shared_descriptors import shared_descriptors
from pytest_maskcheck.system.breakdown import Breakdown, breakdown_of
from pytest_maskcheck.system.entered import ENTERED
from pytest_maskcheck.system.stopwatch import Page
from pytest_maskcheck.system.unpatched import keep, os, pickle, state_of, threading, time

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from pytest_maskcheck.audit.assignment import Send
    from pytest_maskcheck.audit.budget import Share
    from pytest_maskcheck.runs.watchdog import Death
    from pytest_maskcheck.session.order import Order

keep("linecache", "pickle")


@dataclass(frozen=True, slots=True, repr=False)
class _Go:
    """The message that wakes the process.

    It carries what was not known at the fork; the process already has the item, the scope and the rest of the order.

    Parameters:
        seconds: duration of the ordinary run.
        seeing: kind whose canary was tried -> why it did not see it, or ``""``.
        budget: the test's part of the time budget, if there is one.
        directory: holds the files of the audit.
        warm: what later runs reach.
        touched: later runs reach what must be reached for the test to be audited.
    """

    seconds: float
    seeing: dict[str, str]
    budget: Share | None
    directory: str
    warm: frozenset[int]
    touched: bool


class FirstUse:
    """A process that has not run the test yet.

    Parameters:
        order: returns the order for the test, given the seconds that its ordinary run took.
        leave: undoes what pytest has set up for the item so far; called in that process.

    Attributes:
        reason: why there is no such process, or ``""``.
        seconds: how long the fork took, which pytest counts as part of the test.
        descriptors: the descriptors of this process that lead to that one.
    """

    def __init__(self, order: Callable[[float], Order], leave: Callable[[], object]) -> None:
        self._order = order
        self._leave = leave
        self._over: Callable[[], bool] = lambda: False
        self.reason = ""
        self._breakdown: Breakdown | None = None
        self._page: Page | None = None
        self._measurement: Any = None
        self.seconds = 0.0
        self._said: Generator[object, None, Death | None] | None = None
        self._reader = self._writer = -1
        self.descriptors: frozenset[int] = frozenset()
        self._before: frozenset[int] = frozenset()  # the open descriptors before the process was forked

    def fork(self) -> None:
        """Fork the process. Call this before the ordinary run does anything that is done only once; further calls do nothing."""
        if self._said is not None or self.reason:
            return
        try:
            self._fork()
        except Exception as error:  # noqa: BLE001  (an error of maskcheck must not fail the test being set up)
            self.close()
            self._said = None
            self._breakdown = breakdown_of(error)
            self.reason = self._breakdown.reason

    def _fork(self) -> None:
        order = self._order(0.0)
        self.reason = _against_fork(order)
        if self.reason:
            return
        read_ahead(order)
        began, self._before = time.perf_counter(), fork_sharing.descriptors()
        self._measurement = running()
        self._page = Page()
        self._reader, self._writer = os.pipe()
        # Not a child of this process: code under test that waits for any child would wait for it.
        self._said = in_child(self._wait, self._page, self._limit, leader=True, orphan=True, freezes=True)
        next(self._said)  # starts the generator, which forks; the child's first message ends this call
        os.close(self._reader)
        self._reader = -1
        self._note_descriptors()
        self.seconds = time.perf_counter() - began

    def _note_descriptors(self) -> None:
        self.descriptors = fork_sharing.descriptors() - self._before

    def _limit(self) -> float:
        """Return the seconds without a message after which the process counts as hung; errors as for :func:`.silence`."""
        if self._over():
            raise KeyboardInterrupt
        return SILENCE

    def comes_late(self, fixture: str) -> None:
        """Give the process up if it was forked before the setup of this longer-lived fixture: it would set up a second instance."""
        if self._said is not None:
            self.reason = self.reason or Reason(NotAudited.LATE_FIXTURE, fixture=fixture)

    def audit(self, order: Order, directory: str, warm: frozenset[int], take: Send, *, touched: bool) -> None:
        """Wake the process, and pass each of its messages to ``take``.

        Parameters:
            order: what is to be audited, now that the ordinary run is over.
            directory: holds the files of the audit.
            warm: what later runs reach.
            take: receives messages.
            touched: later runs reach what must be reached for the test to be audited; if not, the first run must.
        """
        if self.reason or self._said is None or self._page is None:
            take(FirstUseReached({}, self.reason or Reason(NotAudited.NO_COLD_PROCESS)))
            if self._breakdown is not None and self._breakdown.traceback:
                take(self._breakdown)
            return
        self._over = order.over
        go = pickle.dumps(_Go(order.seconds, order.seeing, order.budget, directory, warm, touched))
        self._page.begin(0)
        with suppress(BrokenPipeError):  # it has ended; the reason follows below
            while go:
                go = go[os.write(self._writer, go) :]
        os.close(self._writer)
        self._writer = -1
        if (death := take_all(self._said, take)) is not None:
            take(FirstUseReached({}, Reason(NotAudited.COLD_PROCESS_ENDED, detail=death.detail)))

    def _wait(self, say: Send) -> None:
        """In the forked process: wait, then audit when the message comes, or end if the pipe closes without one."""
        os.close(self._writer)
        say(None)
        received = bytearray()
        while part := os.read(self._reader, 1 << 16):
            received += part
        if not received:
            return
        self._note_descriptors()  # otherwise the order below would take them for channels of the test
        go: _Go = pickle.loads(bytes(received))
        page = self._page
        assert page is not None

        def send(message: object) -> None:
            page.begin(0)  # each message restarts the clock of the parent
            say(message)

        ENTERED.watch()
        self._leave()
        order = replace(self._order(go.seconds), seeing=go.seeing, budget=go.budget)
        if go.touched:
            order = replace(order, changed=None)
        item = order.item
        assert isinstance(item, pytest.Function)
        # The parent made the directory after the fork, so this process must switch to it.
        state_of("tempfile")["tempdir"] = os.path.join(go.directory, "t")
        assembly = assemble(order, item, go.directory)
        with own_process(assembly, send, self._measurement):
            assembly.first_course().run(send, go.warm)

    def close(self) -> None:
        """End the process."""
        for descriptor in (self._reader, self._writer):
            if descriptor != -1:
                os.close(descriptor)
        self._reader = self._writer = -1
        if self._said is not None:
            self._said.close()
        if self._page is not None:
            self._page.close()
            self._page = None


def _against_fork(order: Order) -> str:
    """Return why no cold process can be kept beside the ordinary run, or ``""``."""
    if order.is_here:
        return Reason(NotAudited.SESSIONS_PROCESS, why=order.why)
    if threading.active_count() > 1:
        return Reason(Strategy.THREADS)
    if measures_forks():
        return Reason(NotAudited.PATCHED_FORK)
    # The other end of a shared descriptor would wait until this process closes it, too.
    return next(iter(shared_descriptors(order.descriptors)), "")
