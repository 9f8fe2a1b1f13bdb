"""A second way to make runs: one goes forward, and at each point the process forks; the child is interrupted there.

Whatever the way to the points costs, it is gone once. Rules:

1. A child is not to disturb the run that goes on, nor the other way round. Where that run has an effect outside its process
   (:mod:`.effects`), snapshots end; what comes after it is run again from the beginning. The run ends at the last point, as effects
   may follow. A child that has one betrays itself: then nothing that was found counts, as others ran beside it.
2. The next run is the retry, as in every way to make runs. But it takes the whole way once more, so a child first looks at what the
   modules in scope keep. If that is as after an uninterrupted run, the next run would be one; if not, the child makes it: through,
   or to the last point if effects may follow.
3. As many children run side by side as there are cores. One that finds no room makes the run that goes forward wait.
4. All descriptors that are needed are open before the run begins: what appears later would be a leftover of the test.
5. A child ends by SIGKILL from its own hand, and so does the process that goes forward, when it is through or cannot go on.
6. What is called while the test runs was looked up before: the test may have patched ``os`` or ``time``.

What does not work: a process-wide random generator is seeded anew in each child (CPython does so after a fork), locks that
libraries reset after a fork are free, timers and pending signals are gone (looked for before the fork), and what modules out of
scope keep is not compared.
"""

from __future__ import annotations

import faulthandler
import warnings
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Protocol

from pytest_maskcheck.interrupts import Strike
from pytest_maskcheck.resources.heap import rehearse
from pytest_maskcheck.runs import effects
from pytest_maskcheck.runs.isolation import GRACE, OWN_GROUPS, Death, ending, in_child, stack_of, wait_readable
from pytest_maskcheck.runs.requests import RunResult
from pytest_maskcheck.system.breakdown import AuditBrokeError
from pytest_maskcheck.system.descendants import die_with
from pytest_maskcheck.system.stopwatch import Page, own_time, watched_on
from pytest_maskcheck.system.unpatched import os, signal, tempfile, time

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from pytest_maskcheck.results import Point
    from pytest_maskcheck.runs.requests import Last

_PAUSE = 0.05
"""Seconds after which a process that waits for its children looks whether they are alive."""

_RETRY = -2
"""The number of the run after the interrupted one."""


class GoesForward(Protocol):
    """Makes a run that is not interrupted but in children."""

    def __call__(
        self,
        points: Sequence[Point],
        forks: Callable[[int], bool],
        struck: Callable[[], None],
        landed: Callable[[], object],
        /,
    ) -> RunResult:
        """Call ``forks`` with the position of each point as it comes, and interrupt the run there if it returns true.

        ``struck`` is called as the interrupt is sent, ``landed`` when it arrives, or earlier if it may not.
        """
        ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What came of one point.

    Parameters:
        position: of the point.
        ran: the interrupted run.
        again: the run after it, if it left modules otherwise than an uninterrupted one does.
        effect: what the child did outside its process, or ``""``.
    """

    position: int
    ran: RunResult
    again: RunResult | None = None
    effect: str = ""


@dataclass(frozen=True, slots=True)
class _Ended:
    """Message: the run that goes forward came to its end, or why not."""

    reason: str


@dataclass(slots=True, repr=False)
class Snapshots:
    """Makes runs by snapshots.

    Parameters:
        forward: makes the run that goes forward, and, in children, those that are interrupted.
        again: makes the run after one that was interrupted.
        is_usual: tells whether modules keep what they keep after an uninterrupted run.
        limit: seconds that one run may take.
        name: shortens file names.
        cores: children that run side by side.

    Attributes:
        ended: why not all points were taken, or ``""``.
    """

    forward: GoesForward
    again: Callable[[], RunResult]
    is_usual: Callable[[], bool]
    limit: float
    name: Callable[[str], str] = str
    cores: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    ended: str = ""

    def take(self, points: Sequence[Point], last: Last) -> Generator[Snapshot, None, None]:
        """Interrupt at each point; what is not among the results has to be run in another way.

        Parameters:
            points: in the order in which they come.
            last: tells that a run says nothing about the next one.
        """
        page = Page()

        def work(say: Callable[[object], None]) -> None:
            _Forward(self, points, last, page, say).go()

        said = in_child(work, page, lambda: self.limit, leader=OWN_GROUPS, name=self.name)
        try:
            with closing(said):
                while True:
                    try:
                        message = next(said)
                    except (
                        AuditBrokeError
                    ) as error:  # the points are run in another way, which tells whose fault it was
                        self.ended = f"the run that went forward failed: {error.breakdown.reason}"
                        return
                    except StopIteration as end:
                        death: Death | None = end.value
                        if death is not None:
                            self.ended = f"the run that went forward ended: {death.detail}"
                        return
                    if isinstance(message, _Ended):
                        self.ended = message.reason
                        return
                    yield message
        finally:
            page.close()


@dataclass(slots=True, repr=False)
class _Slot:
    """Room for one child."""

    page: Page
    report: IO[bytes]
    pid: int = 0
    position: int = -1


class _Forward:
    """What happens in the process that goes forward, and in its children."""

    def __init__(
        self,
        snapshots: Snapshots,
        points: Sequence[Point],
        last: Last,
        page: Page,
        say: Callable[[object], None],
    ) -> None:
        """Open what is needed; the end of the process closes it."""
        self._snapshots = snapshots
        self._points = points
        self._last = last
        self._page = page
        self._say = say
        self._pid = os.getpid()
        self._slots = [_Slot(Page(), tempfile.TemporaryFile()) for _ in range(snapshots.cores)]
        self._turn = tempfile.TemporaryFile()
        self._reader, self._writer = os.pipe()
        self._left = len(points)
        self._mine: _Slot | None = None
        self._effects: list[str] = []
        self._outside: effects.ForkHazards | None = None
        self._listening = effects.watching(self._effects.append)
        self._listens = False

    def go(self) -> None:
        """Go forward; return only in the process that does, when all children have ended."""
        self._page.begin(0)
        with own_time:
            self._snapshots.is_usual()  # what it does the first time only
            self._outside = effects.ForkHazards()
        ran = self._snapshots.forward(self._points, self._forks, self._struck, self._listen)
        if self._mine is not None:
            self._tell(ran)
            os.kill(os.getpid(), signal.SIGKILL)
        self._end("not all of them were reached again")

    def _end(self, reason: str) -> None:
        """Wait for all children and say why there will be no more."""
        while any(slot.pid for slot in self._slots):
            self._wait()
        self._say(_Ended(reason))

    # In the process that goes forward

    def _forks(self, position: int) -> bool:
        """Fork; tell whether this is the child."""
        assert self._outside is not None
        self._page.begin(position)
        if self._left == len(self._points):
            rehearse()
        if reason := self._outside.reason():
            self._leave(reason)
        while not (free := [slot for slot in self._slots if not slot.pid]):
            self._wait()
        slot = free[0]
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
                self._leave("")
            return False
        die_with(self._pid)
        self._mine = slot
        watched_on(slot.page)
        faulthandler.enable(slot.report, all_threads=True)
        self._outside.own_positions()
        return True

    def _leave(self, reason: str) -> None:
        """End here: children are not to see what comes next, nor to share it."""
        self._end(reason)
        os.kill(os.getpid(), signal.SIGKILL)

    def _wait(self) -> None:
        """Wait until a child has ended, or for a moment; kill those that hang."""
        if wait_readable(self._reader, _PAUSE):
            os.read(self._reader, 64)
        self._page.begin(self._page.turn)  # it waits no longer
        for slot in self._slots:
            if not slot.pid or self._ended(slot) or slot.page.done:
                continue
            if slot.page.remaining(self._snapshots.limit) < 0:
                hung = slot.page.seconds()
                self._abort(slot.pid)
                self._died(slot, "hang", f"no end after {hung:.1f} s")

    @staticmethod
    def _abort(pid: int) -> None:
        """End a child that hangs; give it time to write down where."""
        os.kill(pid, signal.SIGABRT)
        os.kill(pid, signal.SIGCONT)  # if it is stopped
        until = time.perf_counter() + GRACE
        while time.perf_counter() < until:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
            time.sleep(0.005)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def _ended(self, slot: _Slot) -> bool:
        pid, status = os.waitpid(slot.pid, 0 if slot.page.done else os.WNOHANG)
        if not pid:
            return False
        if slot.page.done:
            slot.pid = 0
        else:
            self._died(slot, "crash", ending(os.waitstatus_to_exitcode(status)))
        return True

    def _died(self, slot: _Slot, how: str, detail: str) -> None:
        slot.pid = 0
        if slot.page.turn == _RETRY:
            return  # the point is run in another way, which tells an interrupted run from the one after it
        frames = stack_of(slot.report, self._snapshots.name)
        self._locked(
            Snapshot(slot.position, RunResult(Strike(fired=slot.page.struck), died=how, detail=detail, stack=frames))
        )

    # In children

    def _listen(self) -> None:
        """Listen to what this process does outside; a hook in Python would catch an interrupt that is still to arrive."""
        if not self._listens:
            self._listens = True
            self._listening.__enter__()

    def _struck(self) -> None:
        if self._mine is not None:
            self._mine.page.strike()

    def _tell(self, ran: RunResult) -> None:
        """Say what came of the interrupted run, after another one if need be; the last thing that a child does."""
        slot = self._mine
        assert slot is not None
        again = None
        with own_time:
            ends = self._last(self._points[slot.position], ran) or self._snapshots.is_usual()
        if not ends:
            slot.page.begin(_RETRY)
            again = self._snapshots.again()
        slot.page.finish()
        self._locked(Snapshot(slot.position, ran, again, self._effects[0] if self._effects else ""))
        os.write(self._writer, b".")

    def _locked(self, message: Snapshot) -> None:
        """Say something while nobody else does."""
        os.lockf(self._turn.fileno(), os.F_LOCK, 0)
        self._say(message)
        os.lockf(self._turn.fileno(), os.F_ULOCK, 0)
