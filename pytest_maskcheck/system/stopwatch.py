"""How long a process has been busy, read by the process that waits for it. The test's own time and the audit's have limits of their own.

A :class:`Page` of shared memory contains a stopwatch. It runs while code of the test runs: fixtures, body, checks that the test
registered, finalizers that a collection calls. While the audit compares what a run left, it stands still: walking a heap of ten
million objects takes seconds, and that is no hang.

Rules:

1. Only the process that works writes; the one that waits only reads.
2. When the stopwatch resumes, its start is moved before the pause is cleared, so that a reader in between never counts the pause.
3. Test code that runs within the audit's own time (:data:`their_time`) is timed like the rest of the run.
4. The audit's own time has a limit, too, so that no defect of the audit makes a session wait for ever.
"""

from __future__ import annotations

import mmap
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_maskcheck.system.unpatched import time

if TYPE_CHECKING:
    from collections.abc import Iterator

_TURN, _SINCE, _STRUCK, _DONE, _PAUSED, _LIMIT, _WAITS, _RUNS = range(8)

LOOK = 300.0
"""Seconds that the audit's own work may take at one time."""


class Page:
    """A page of memory that a child and its parent share, with the child's progress.

    Times are those of ``time.perf_counter``; the number of the run is -1 before the first.
    """

    def __init__(self) -> None:
        """Map the page; children made later share it."""
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        # Each number is written at once; struct.pack_into would write zeros first, which the other process might read.
        self._cells = memoryview(self._memory).cast("d")
        self.begin(-1)

    def begin(self, turn: int) -> None:
        """Record that run number ``turn`` begins."""
        self._cells[_SINCE] = time.perf_counter()
        for cell in (_STRUCK, _DONE, _PAUSED, _WAITS):
            self._cells[cell] = 0.0
        self._cells[_TURN] = turn

    def strike(self) -> None:
        """Record that the interrupt was sent."""
        self._cells[_STRUCK] = 1.0

    def finish(self) -> None:
        """Record that the work is done, and only its result is to be sent."""
        self._cells[_DONE] = 1.0

    def beat(self) -> None:
        """Record that the process is alive, and waits for a child of its own: the time starts anew."""
        self._cells[_SINCE] = time.perf_counter()
        self._cells[_WAITS] = 1.0

    def pause(self) -> None:
        """Stop the clock: the audit's own work begins."""
        if not self._cells[_PAUSED]:
            self._cells[_PAUSED] = time.perf_counter()

    def go_on(self) -> None:
        """Resume the clock."""
        if self._cells[_PAUSED]:
            # The start first, then the pause; see rule 2.
            self._cells[_SINCE] += time.perf_counter() - self._cells[_PAUSED]
            self._cells[_PAUSED] = 0.0

    def limit(self, seconds: float, *, runs: bool = False) -> None:
        """Start the clock anew, with a limit set by this process; 0 restores the limit of the process that waits.

        Parameters:
            seconds: the limit.
            runs: the child makes a run of the test.
        """
        self._cells[_LIMIT], self._cells[_RUNS] = seconds, float(runs)
        self.begin(self.turn)

    @property
    def turn(self) -> int:
        """Number of the run under way."""
        return int(self._cells[_TURN])

    @property
    def struck(self) -> bool:
        """Whether its interrupt was sent."""
        return bool(self._cells[_STRUCK])

    @property
    def done(self) -> bool:
        """Whether the work is done."""
        return bool(self._cells[_DONE])

    @property
    def looks(self) -> bool:
        """Whether the audit is at work, and not the test."""
        return bool(self._cells[_PAUSED])

    @property
    def runs(self) -> bool:
        """Whether the child makes a run that has a limit of its own."""
        return bool(self._cells[_RUNS])

    @property
    def waits(self) -> bool:
        """Whether the child waits for one of its own."""
        return bool(self._cells[_WAITS])

    def seconds(self) -> float:
        """Return how long the current work has taken."""
        return time.perf_counter() - (self._cells[_PAUSED] or self._cells[_SINCE])

    def remaining(self, limit: float) -> float:
        """Return how many seconds the current work has left.

        Parameters:
            limit: seconds for the test's own time, where the child has set none.
        """
        limit = LOOK if self.looks else self._cells[_LIMIT] or limit
        return limit - self.seconds()

    def close(self) -> None:
        """Unmap the page."""
        self._cells.release()
        self._memory.close()


class _Watched:
    """The page on which this process records its time, if another process waits for it, and how deep own time is nested."""

    __slots__ = ("depth", "page")

    def __init__(self) -> None:
        self.page: Page | None = None
        self.depth = 0


_watched = _Watched()


def watched_on(page: Page | None) -> None:
    """Record the time of this process on ``page`` from now on."""
    _watched.page, _watched.depth = page, 0


def beat() -> None:
    """Record that this process is alive, and waits for another one."""
    if _watched.page is not None:
        _watched.page.beat()


def start_anew() -> None:
    """Start the clock anew, within the limit that is in force: another run of the test begins, which is not counted by itself."""
    if _watched.page is not None:
        _watched.page.begin(_watched.page.turn)


class _OwnTime:
    """See :data:`own_time`. A class, as ``contextlib`` may be in scope."""

    __slots__ = ()

    def __enter__(self) -> None:
        _watched.depth += 1
        if _watched.depth == 1 and _watched.page is not None:
            _watched.page.pause()

    def __exit__(self, *_: object) -> None:
        _watched.depth -= 1
        if not _watched.depth and _watched.page is not None:
            _watched.page.go_on()


own_time = _OwnTime()
"""Within ``with own_time:`` the audit works, and the clock of the test stands still."""


class _TheirTime:
    """See :data:`their_time`."""

    __slots__ = ("_depths",)

    def __init__(self) -> None:
        self._depths: list[int] = []

    def __enter__(self) -> None:
        self._depths.append(_watched.depth)
        _watched.depth = 0
        if self._depths[-1] and _watched.page is not None:
            _watched.page.go_on()

    def __exit__(self, *_: object) -> None:
        _watched.depth = self._depths.pop()
        if _watched.depth and _watched.page is not None:
            _watched.page.pause()


their_time = _TheirTime()
"""Within ``with their_time:``, inside own time, code of the test or of other plugins runs."""


@contextmanager
def limited(seconds: float, *, runs: bool = True) -> Iterator[None]:
    """Limit the time of the body of the ``with`` statement; 0 sets no limit. ``runs`` means that the body is a run of the test."""
    page = _watched.page
    if page is None or not seconds:
        yield
        return
    page.limit(seconds, runs=runs)
    try:
        yield
    finally:
        page.limit(0.0)
