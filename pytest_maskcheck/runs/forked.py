"""Runs in forked workers: each sequence of runs has a clean process, and what the runs leave ends with that process.

Theory of operation. A worker first makes a whole run, which does what a process does only the first time. Then it makes the
runs of its sequence one after the other and sends their results. If it dies, the page of shared memory holds the number of the run
in which it died; runs whose results it had not sent yet are made again in another worker.

Where a run left modules changed, a whole run follows (:mod:`.sequence`). They are compared with their state after the whole run of the
worker. That state is recorded anew in each worker only if the first one found it to be other than in the auditing process: looking at it
takes as long as several runs, as a new process copies the memory that it looks at. If modules stay changed although the test passes, the
worker ends, and another one takes over the rest of the sequence. As that may happen after every point, it is done only a few times.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts import Strike
from pytest_maskcheck.resources.census import Census
from pytest_maskcheck.runs import wire
from pytest_maskcheck.runs.child import OWN_GROUPS, in_child
from pytest_maskcheck.runs.requests import Conditions, RunResult
from pytest_maskcheck.runs.sequence import changes_modules, make, needs_whole_run
from pytest_maskcheck.runs.watchdog import GRACE, Death
from pytest_maskcheck.system.descendants import Process, processes
from pytest_maskcheck.system.stopwatch import Page
from pytest_maskcheck.system.unpatched import os, signal, time

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from pytest_maskcheck.runs.requests import Last, MakesRuns, Request

_HOLD = 0.03
"""Seconds for which a worker holds results back, as each message wakes up the process that waits for it; if the worker dies, it costs as much
again to make these runs once more."""

_ENDING = -2
"""The run number that stands for the time after the last run of a worker."""

_OFTEN = 3
"""How many workers end because modules stay changed although the test passes; after that, such a worker goes on."""


@dataclass(frozen=True, slots=True)
class _Started:
    """A worker's message: the processes that fixtures started for it."""

    processes: frozenset[Process]


@dataclass(frozen=True, slots=True)
class _Settled:
    """A worker's message: its first run left modules as they are in the auditing process (``held``), or did not."""

    held: bool


class _Harmless:
    """A worker's message: modules stay changed, though the test still passes."""


@dataclass(frozen=True, slots=True)
class _LastRun:
    """The run in which a worker died: its number, whether its interrupt was sent, and how it died."""

    turn: int
    struck: bool
    death: Death


@dataclass(slots=True, repr=False)
class Forked:
    """An executor that gives every sequence of runs a forked worker.

    Parameters:
        run: makes one run in the worker.
        limit: seconds that one run may take.
        name: shortens file names.
        warm: each worker first makes an uninterrupted run of its own.
        conditions: prepare the process, and check it between runs.
    """

    run: MakesRuns
    limit: float
    name: Callable[[str], str] = str
    warm: bool = True
    conditions: Conditions = field(default_factory=Conditions)
    _harmless: int = 0
    _holds: bool = False

    @property
    def clean(self) -> bool:
        """Whether each sequence of runs has a process of its own."""
        return True

    def runs(self, requests: Sequence[Request], last: Last) -> Generator[RunResult, None, None]:
        """See :class:`pytest_maskcheck.runs.requests.Executor`."""
        sent, end = yield from self._in_worker(requests, last, _HOLD)
        if end is not None and sent < end.turn:  # what the dead worker had not sent is run again, and sent at once
            again, other = yield from self._in_worker(requests[sent : end.turn], last, 0.0)
            if other is not None or sent + again < end.turn:
                end = other
        if end is not None:
            yield RunResult(
                Strike(fired=end.struck),
                died=end.death.how,
                detail=end.death.detail,
                stack=end.death.stack,
                spoiled=end.turn < 0,
            )

    def _in_worker(
        self, requests: Sequence[Request], last: Last, hold: float
    ) -> Generator[RunResult, None, tuple[int, _LastRun | None]]:
        """Make runs in one worker; return how many results it sent, and in which run it died, if it did."""
        page = Page()
        work = partial(self._work, requests, last, page, hold)
        children = in_child(work, page, lambda: self._limit(page), leader=OWN_GROUPS, name=self.name)
        sent = 0
        grandchildren: frozenset[Process] = frozenset()
        try:
            while True:
                try:
                    several = next(children)
                except StopIteration as end:
                    death: Death | None = end.value
                    lives = death is None or page.turn == _ENDING
                    return sent, None if lives or death is None else _LastRun(page.turn, page.struck, death)
                if isinstance(several, _Started):
                    grandchildren = several.processes
                    continue
                if isinstance(several, _Settled):
                    self._holds = several.held
                    continue
                if isinstance(several, _Harmless):
                    self._harmless += 1
                    continue
                sent += len(several)
                for ran in several:
                    Census.learn(ran.named)
                # What follows from these results is sent on in one piece, before this process waits again.
                with wire.holding:
                    yield from several
        finally:
            children.close()
            page.close()
            for process in grandchildren:  # of fixtures that the worker had no time to tear down
                process.kill()

    def _limit(self, page: Page) -> float:
        return min(self.limit, GRACE) if page.turn == _ENDING else self.limit

    def _work(
        self, requests: Sequence[Request], last: Last, page: Page, hold: float, say: Callable[[object], None]
    ) -> None:
        """Make the runs, in the worker, and send their results in lists, about one every ``hold`` seconds."""
        page.begin(-1)
        if not self.warm:
            self._make(requests, last, page, hold, say)
            return
        others = processes()
        self.conditions.begin()
        first = self.run(None, lambda: None)  # for what a process does only the first time
        page.pause()
        if self.conditions.renewing:
            say(_Started(processes() - others))  # the parent kills them if this worker dies before it can
        if first.passed:
            if not self._holds:
                say(_Settled(self.conditions.settle()))
            self._make(requests, last, page, hold, say)
        else:
            first.spoiled = True
            say([first])
        page.begin(_ENDING)  # all results are sent: a death while fixtures are torn down belongs to no run
        self.conditions.end()

    def _make(
        self, requests: Sequence[Request], last: Last, page: Page, hold: float, say: Callable[[object], None]
    ) -> None:
        owner = os.getpid()
        held: list[RunResult] = []
        since = time.perf_counter()
        for turn, request in enumerate(requests):
            page.begin(turn)
            ran = make(self.run, request, page.strike)
            page.pause()
            if os.getpid() != owner:  # this is a child that the code under test forked and lost track of
                os.kill(os.getpid(), signal.SIGKILL)
            held.append(ran)
            ended = last(request, ran) or ran.error is not None
            ran.changed = changes_modules(self.conditions, request)
            if ended or time.perf_counter() - since >= hold:
                say(held)
                held, since = [], time.perf_counter()
            if ended:
                break
            if needs_whole_run(ran, requests[turn + 1 :]):
                page.begin(turn + 1)  # if it hangs or crashes, that counts as the result of the next run
                following = self.run(None, lambda: None)
                page.pause()
                if not following.passed:
                    held.append(following)
                    break
                if not self.conditions.is_usual():  # and yet the test passes
                    if self._harmless < _OFTEN:
                        say(_Harmless())
                        break
                    self.conditions.settle()
        if held:
            say(held)
