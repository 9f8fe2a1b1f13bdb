"""The process that goes forward: it forks at each point, and looks after its children (rules: :mod:`.forward`)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pytest_maskcheck.interrupts import Strike
from pytest_maskcheck.reasons import Reason, Strategy
from pytest_maskcheck.resources.heap import rehearse
from pytest_maskcheck.runs.fork_hazards import ForkHazards
from pytest_maskcheck.runs.forward_child import RETRY, Slot, Snapshot
from pytest_maskcheck.runs.requests import RunResult
from pytest_maskcheck.runs.watchdog import GRACE, ending, stack_of, wait_readable
from pytest_maskcheck.system.entered import ENTERED
from pytest_maskcheck.system.stopwatch import Page, own_time
from pytest_maskcheck.system.unpatched import os, signal, tempfile, time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_maskcheck.results import Point
    from pytest_maskcheck.runs.forward_child import ForwardChild, Turns

_PAUSE = 0.05
"""Seconds after which a process that waits for its children checks whether they are alive."""


class GoesForward(Protocol):
    """Makes a run that is interrupted only in forked children."""

    def __call__(
        self,
        points: Sequence[Point],
        forks: Callable[[int], bool],
        struck: Callable[[], None],
        landed: Callable[[], object],
        /,
    ) -> RunResult:
        """Call ``forks`` with the index of each point as the run reaches it, and interrupt the run there if it returns true.

        ``struck`` is called when the interrupt is sent; ``landed`` when it lands or, if it may not land at once, before it is sent.
        """
        ...


@dataclass(frozen=True, slots=True)
class Ended:
    """Message: there will be no more results. ``reason`` is why not all points have one, ``""`` if all have."""

    reason: str


@dataclass(slots=True, repr=False)
class ForwardParent:
    """Goes forward, and looks after its children. What it opens is closed by the end of the process.

    Parameters:
        points: in the order the run reaches them.
        forward: makes the run.
        child: what this process becomes in each fork.
        turns: sends messages.
        page: where this process records its progress.
        limit: seconds that the run of a child may take.
        name: shortens file names.
        cores: how many children run side by side.
    """

    points: Sequence[Point]
    forward: GoesForward
    child: ForwardChild
    turns: Turns
    page: Page
    limit: float
    name: Callable[[str], str]
    cores: int
    _pid: int = field(init=False)
    _slots: list[Slot] = field(init=False)
    _left: int = field(init=False)
    _hazards: ForkHazards | None = None

    def __post_init__(self) -> None:
        self._pid = os.getpid()
        self._slots = [Slot(Page(), tempfile.TemporaryFile()) for _ in range(self.cores)]
        self._left = len(self.points)

    def go(self) -> None:
        """Go forward; return only in the process that goes forward, once all children have ended."""
        self.page.begin(0)
        with own_time:
            self.child.is_usual()  # so that what it does only the first time is done before the fork
            self._hazards = ForkHazards()
        ran = self.forward(self.points, self._forks, self.child.strike, self.child.listen)
        if self.child.slot is not None:
            self.child.tell(ran)
            os.kill(os.getpid(), signal.SIGKILL)
        self._end(Reason(Strategy.NOT_ALL_AGAIN))

    def _end(self, reason: str) -> None:
        """Wait for all children and send why there will be no more."""
        while any(slot.pid for slot in self._slots):
            self._wait()
        self.turns.say(Ended(reason))

    def _forks(self, position: int) -> bool:
        """Fork; return whether this process is the child."""
        assert self._hazards is not None
        self.page.begin(position)
        if self._left == len(self.points):
            rehearse()  # once, before the first fork; otherwise each child would have to
        if reason := self._hazards.reason():
            self._leave(reason)
        while not (free := [slot for slot in self._slots if not slot.pid]):
            self._wait()
        slot = free[0]
        # The page and the report are shared with the child: they are made ready before it exists.
        slot.position = position
        slot.page.begin(position)
        slot.report.seek(0)
        slot.report.truncate()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # no other thread is running
            slot.pid = os.fork()
        if slot.pid:
            self._left -= 1
            if not self._left:
                self._leave("")  # effects may follow the last point
            return False
        self.child.begin(slot, self._hazards, self._pid)
        return True

    def _leave(self, reason: str) -> None:
        """End this process: no child may see what comes next, or share it."""
        self._end(reason)
        ENTERED.close()
        os.kill(os.getpid(), signal.SIGKILL)

    def _wait(self) -> None:
        """Wait until a child has ended, or for a moment; kill those that hang."""
        if wait_readable(self.child.ends, _PAUSE):
            os.read(self.child.ends, 64)
        self.page.begin(self.page.turn)  # the page no longer shows that this process waits
        for slot in self._slots:
            if not slot.pid or self._ended(slot) or slot.page.done:
                continue
            if slot.page.remaining(self.limit) < 0:
                hung = slot.page.seconds()
                self._abort(slot.pid)
                self._died(slot, "hang", f"no end after {hung:.1f} s")

    @staticmethod
    def _abort(pid: int) -> None:
        """End a child that hangs, and give it time to write its stack."""
        os.kill(pid, signal.SIGABRT)
        os.kill(pid, signal.SIGCONT)  # if it is stopped
        until = time.perf_counter() + GRACE
        while time.perf_counter() < until:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
            time.sleep(0.005)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def _ended(self, slot: Slot) -> bool:
        # A child that has sent its result is about to kill itself: waiting for that takes no time.
        pid, status = os.waitpid(slot.pid, 0 if slot.page.done else os.WNOHANG)
        if not pid:
            return False
        if slot.page.done:
            slot.pid = 0
        else:
            self._died(slot, "crash", ending(os.waitstatus_to_exitcode(status)))
        return True

    def _died(self, slot: Slot, how: str, detail: str) -> None:
        slot.pid = 0
        if slot.page.turn == RETRY:
            return  # the point is reached in another way, which distinguishes the interrupted run from the retry
        frames = stack_of(slot.report, self.name)
        self.turns.tell(
            Snapshot(slot.position, RunResult(Strike(fired=slot.page.struck), died=how, detail=detail, stack=frames))
        )
