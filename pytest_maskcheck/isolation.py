"""A process for audited runs: forked child, watchdog, hang and crash.

The session forks the *auditor*, in which the test is warmed up and its points are found; the auditor forks a
*worker* for every sequence of interrupted runs that needs a clean process. Nothing that a run does reaches the
session; what a worker leaves goes with it.

Rules:

1. A child ends by SIGKILL from its own hand: no exit handler, no flush, no ``os._exit`` that others have patched.
2. A child tells its results through a pipe as they come, and where it is through shared memory, which survives any
   death. What a dead child did not say is concluded from that.
3. All children of an audit share a process group, which is killed as a whole at its end: grandchildren too.
4. Between a fork and the moment at which the child is certain to be killed, signals are blocked.
5. A child that outlives its parent is killed by the kernel where the kernel offers that (Linux).

What does not work: threads do not survive a fork, so a test that talks to a thread of a longer-lived fixture needs
``isolation=none``; without ``os.fork`` there is no isolation at all.
"""

from __future__ import annotations

import faulthandler
import mmap
import pickle
import re
import struct
import sys
import tempfile
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from os import getpid, kill
from typing import IO, TYPE_CHECKING, Any, Protocol

from pytest_maskcheck.breakdown import AuditBrokeError, breakdown_of
from pytest_maskcheck.effects import Process, processes
from pytest_maskcheck.interrupts import Strike
from pytest_maskcheck.results import Frame
from pytest_maskcheck.runs import Conditions, Ran, Trace
from pytest_maskcheck.signals import all_blocked
from pytest_maskcheck.unpatched import os, select, signal, time, unpatched

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from pytest_maskcheck.breakdown import Breakdown
    from pytest_maskcheck.runs import Last, Request

CAN_FORK = hasattr(os, "fork")
"""Whether this platform offers isolation."""

_LENGTH = struct.Struct("=Q")
_TURN, _SINCE, _STRUCK, _DONE = range(4)
_HOLD = 0.02
"""Seconds for which a worker keeps what it has to say: each message wakes up the process that waits for it."""

_ENDING = -2
"""The number that stands for the time after the last run of a worker."""

_OFTEN = 3
"""Workers that end as modules keep something else, though the test still passes; afterwards such a worker goes on."""

GRACE = 1.0
"""Seconds that a hung child gets to write down where it hangs."""


class Page:
    """A page of memory that a child and its parent share: how far the child is.

    Times are those of ``time.perf_counter``; the number of the run is -1 before the first.
    """

    def __init__(self) -> None:
        """Map the page; children made later share it."""
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        # Each number is written at once; struct.pack_into writes zeros first, which the other process may read.
        self._cells = memoryview(self._memory).cast("d")
        self.begin(-1)

    def begin(self, turn: int) -> None:
        """Note that run number ``turn`` begins."""
        self._cells[_SINCE] = time.perf_counter()
        self._cells[_STRUCK] = self._cells[_DONE] = 0.0
        self._cells[_TURN] = turn

    def strike(self) -> None:
        """Note that the interrupt was sent."""
        self._cells[_STRUCK] = 1.0

    def finish(self) -> None:
        """Note that what was to be done is done, and is only told now."""
        self._cells[_DONE] = 1.0

    @property
    def turn(self) -> int:
        """Number of the run under way."""
        return int(self._cells[_TURN])

    @property
    def since(self) -> float:
        """When it began."""
        return self._cells[_SINCE]

    @property
    def struck(self) -> bool:
        """Whether its interrupt was sent."""
        return bool(self._cells[_STRUCK])

    @property
    def done(self) -> bool:
        """Whether all is done."""
        return bool(self._cells[_DONE])

    def close(self) -> None:
        """Unmap the page."""
        self._cells.release()
        self._memory.close()


@dataclass(frozen=True, slots=True)
class Death:
    """How a child ended without having said all.

    Parameters:
        how: ``hang`` or ``crash``.
        detail: in words, such as ``killed by SIGSEGV``.
        stack: where its main thread was, innermost last, as far as known.
    """

    how: str
    detail: str
    stack: tuple[Frame, ...]


def in_child(
    work: Callable[[Callable[[object], None]], None],
    page: Page,
    limit: Callable[[], float],
    *,
    leader: bool,
    orphan: bool = False,
    name: Callable[[str], str] = str,
) -> Generator[Any, None, Death | None]:
    """Run ``work(say)`` in a forked child and yield what it says; return how it died, ``None`` if it ended well.

    Closing the generator, or an exception in it (Ctrl-C), kills the child and, for a ``leader``, its process group.

    Parameters:
        work: what to do in the child.
        page: where the child notes how far it is.
        limit: seconds that one turn of the page may take before the child counts as hung; asked anew each time.
        leader: the child leads a process group of its own.
        orphan: it is no child of this process for others to wait for.
        name: shortens file names in the stack of a child that died.
    """
    child = None
    try:
        with all_blocked() as mask, warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # "may lead to deadlocks": it runs Python only
            with unpatched():  # over before the fork: the child is the test's
                child = (_Orphan if orphan else _Child)(leader=leader)
            child.fork(work, mask)
        ended = yield from child.listen(page, limit)
        if ended:
            return None
        return child.death(name)
    finally:
        if child is not None:
            try:
                child.kill()
            except KeyboardInterrupt:  # between here and the first line of kill
                child.kill()
                raise


class _Child:
    """One forked process: pipe, crash report and pid."""

    def __init__(self, *, leader: bool) -> None:
        self._leader = leader
        self.pid = 0
        self._status: int | None = None
        self._hung = 0.0
        self._report: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed in kill)
        self._reader, self._writer = os.pipe()

    def fork(self, work: Callable[[Callable[[object], None]], None], mask: set[int]) -> None:
        parent = getpid()
        self.pid = os.fork()
        if self.pid == 0:
            self._run(work, mask, parent)
        if self._leader:
            with suppress(OSError):  # the child did it first, or is gone
                os.setpgid(self.pid, self.pid)
        os.close(self._writer)
        self._writer = -1

    def _run(self, work: Callable[[Callable[[object], None]], None], mask: set[int], parent: int) -> None:
        """Do the work, in the child; never return."""
        try:
            if self._leader:
                os.setpgid(0, 0)
            if parent:
                die_with(parent)
            os.close(self._reader)
            faulthandler.enable(self._report, all_threads=True)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            work(self._say)
            self._say(_End())
        except BaseException as error:  # noqa: BLE001  (nothing may run past this line in the child)
            with suppress(BaseException), unpatched():
                self._say(_Broken(breakdown_of(error)))
        finally:
            kill(getpid(), signal.SIGKILL)

    def _say(self, message: object) -> None:
        data = pickle.dumps(message)
        data = _LENGTH.pack(len(data)) + data
        while data:
            data = data[os.write(self._writer, data) :]

    def listen(self, page: Page, limit: Callable[[], float]) -> Generator[Any, None, bool]:
        """Yield what the child says; return whether it said that it is done."""
        buffer = bytearray()
        while True:
            while len(buffer) >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(buffer)
                if len(buffer) < _LENGTH.size + length:
                    break
                message = pickle.loads(bytes(buffer[_LENGTH.size : _LENGTH.size + length]))
                del buffer[: _LENGTH.size + length]
                if isinstance(message, _End):
                    return True
                if isinstance(message, _Broken):
                    raise AuditBrokeError(message.breakdown)
                yield message
            remaining = page.since + limit() - time.perf_counter()
            if remaining <= 0 and not self._gone():
                self._hung = time.perf_counter() - page.since
                return False
            if is_readable(self._reader, min(max(remaining, 0.01), 0.25)):
                data = os.read(self._reader, 1 << 16)
                if not data:
                    return False
                buffer += data
            elif self._gone():  # a grandchild may hold the pipe open
                return False

    def _gone(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = status
        return self._status is not None

    def death(self, name: Callable[[str], str]) -> Death:
        if self._hung:
            with suppress(ProcessLookupError):
                kill(self.pid, signal.SIGABRT)  # faulthandler writes where it hangs
            self._wait(GRACE)
            return Death("hang", f"no end after {self._hung:.1f} s", stack_of(self._report, name))
        self._wait(GRACE)
        status = os.waitstatus_to_exitcode(self._status) if self._status is not None else 0
        return Death("crash", ending(status), stack_of(self._report, name) if status < 0 else ())

    def _wait(self, seconds: float) -> None:
        until = time.perf_counter() + seconds
        while not self._gone() and time.perf_counter() < until:
            time.sleep(0.005)

    def kill(self) -> None:
        """End the child and all that it made, whatever state it is in."""
        with all_blocked():
            if self.pid:
                with suppress(OSError):
                    if self._leader:
                        os.killpg(self.pid, signal.SIGKILL)
                if self._status is None:
                    with suppress(OSError):
                        kill(self.pid, signal.SIGKILL)
                    with suppress(OSError):
                        os.waitpid(self.pid, 0)
            for descriptor in (self._reader, self._writer):
                if descriptor != -1:
                    os.close(descriptor)
            self._reader = self._writer = -1
            self._report.close()
            self.pid = 0


class _Orphan(_Child):
    """A child of a child that has ended: code under test that waits for any child of its own must not meet it.

    It learns from its pipe that the process that made it is gone.
    """

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
                kill(getpid(), signal.SIGKILL)
        os.waitpid(middle, 0)
        os.close(writer)
        self.pid = int(os.read(reader, 32) or 0)
        os.close(reader)
        os.close(self._writer)
        self._writer = -1

    def _gone(self) -> bool:
        try:
            kill(self.pid, 0)
        except ProcessLookupError:
            return True
        return self.pid == 0


def is_readable(descriptor: int, seconds: float) -> bool:
    """Wait for something to be read, but not longer; ``select.select`` takes no descriptors from 1,024 on."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def ending(status: int) -> str:
    """Return in words how a process ended: by an exit status or, below 0, by a signal."""
    if status >= 0:
        return f"the process exited with status {status}"
    with suppress(ValueError):
        return f"killed by {signal.Signals(-status).name}"
    return f"killed by signal {-status}"


def stack_of(report: IO[bytes], name: Callable[[str], str]) -> tuple[Frame, ...]:
    """Return the stack of the main thread that faulthandler wrote down."""
    report.seek(0)
    text = report.read().decode(errors="replace")
    stacks = re.split(r"^(?:Current thread|Thread) .*$", text, flags=re.MULTILINE)
    if len(stacks) < 2:
        return ()
    lines = re.findall(r'^  File "(.*)", line (\d+) in (.*)$', stacks[-1], re.MULTILINE)
    return tuple(Frame(name(path), int(line), function, path) for path, line, function in reversed(lines))


class _End:
    """The child's last word."""


@dataclass(frozen=True, slots=True)
class _Made:
    """A worker's word: the processes that fixtures made for it."""

    processes: frozenset[Process]


class _Harmless:
    """A worker's word: modules keep something else for good, though the test still passes."""


@dataclass(frozen=True, slots=True)
class _Broken:
    """The child's last word if the audit itself failed."""

    breakdown: Breakdown


_PR_SET_PDEATHSIG = 1


@lru_cache(maxsize=1)
def _libc() -> Any:
    import ctypes

    return ctypes.CDLL(None)


def die_with(parent: int) -> None:
    """Ask the kernel to kill this process when ``parent`` ends (prctl(2); Linux only)."""
    if sys.platform == "linux":
        with suppress(Exception):
            _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        kill(getpid(), signal.SIGKILL)


class MakesRuns(Protocol):
    """Makes one run in this process."""

    def __call__(self, request: Request, struck: Callable[[], None], /) -> Ran:
        """Run up to the point and interrupt there (``None``: run through); call ``struck`` when it is sent."""
        ...


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
        conditions: what is seen to before, between and after runs.
    """

    run: MakesRuns
    limit: float
    name: Callable[[str], str] = str
    warm: bool = True
    conditions: Conditions = field(default_factory=Conditions)
    _harmless: int = 0

    @property
    def clean(self) -> bool:
        """Whether each sequence of runs has a process of its own."""
        return True

    def runs(self, requests: Sequence[Request], last: Last) -> Generator[Ran, None, None]:
        """See :class:`pytest_maskcheck.runs.Executor`."""
        told, end = yield from self._in_worker(requests, last, _HOLD)
        if end is not None and told < end.turn:  # what the dead worker had not said yet is run again, and said at once
            again, other = yield from self._in_worker(requests[told : end.turn], last, 0.0)
            if other is not None or told + again < end.turn:
                end = other
        if end is not None:
            yield Ran(
                Strike(fired=end.struck),
                died=end.death.how,
                detail=end.death.detail,
                stack=end.death.stack,
                spoiled=end.turn < 0,
            )

    def _in_worker(
        self, requests: Sequence[Request], last: Last, hold: float
    ) -> Generator[Ran, None, tuple[int, _LastRun | None]]:
        """Make runs in one worker; return how many it told of, and in which it died, if it did."""
        page = Page()
        work = partial(self._work, requests, last, page, hold)
        children = in_child(work, page, lambda: self._limit(page), leader=False, name=self.name)
        told = 0
        grandchildren: frozenset[Process] = frozenset()
        try:
            while True:
                try:
                    several = next(children)
                except StopIteration as end:
                    death: Death | None = end.value
                    lives = death is None or page.turn == _ENDING
                    return told, None if lives or death is None else _LastRun(page.turn, page.struck, death)
                if isinstance(several, _Made):
                    grandchildren = several.processes
                    continue
                if isinstance(several, _Harmless):
                    self._harmless += 1
                    continue
                told += len(several)
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
        """Make the runs, in the worker; what came of them is said in lists, each after so many seconds."""
        page.begin(-1)
        if not self.warm:
            self._make(requests, last, page, hold, say)
            return
        others = processes()
        self.conditions.begin()
        first = self.run(None, lambda: None)  # what a process does the first time only
        if self.conditions.renewing:
            say(_Made(processes() - others))
        if first.passed:
            self.conditions.settle()
            self._make(requests, last, page, hold, say)
        else:
            first.spoiled = True
            say([first])
        page.begin(_ENDING)
        self.conditions.end()

    def _make(
        self, requests: Sequence[Request], last: Last, page: Page, hold: float, say: Callable[[object], None]
    ) -> None:
        owner = getpid()
        held: list[Ran] = []
        since = time.perf_counter()
        for turn, request in enumerate(requests):
            page.begin(turn)
            ran = _made(self.run, request, page.strike)
            if getpid() != owner:  # a child that the code under test forked and lost
                kill(getpid(), signal.SIGKILL)
            held.append(ran)
            ended = last(request, ran) or ran.error is not None
            if ended or time.perf_counter() - since >= hold:
                say(held)
                held, since = [], time.perf_counter()
            if ended:
                break
            if _is_to_be_followed(self.conditions, request, requests[turn + 1 :]):
                page.begin(turn + 1)
                following = self.run(None, lambda: None)
                if not following.passed:
                    held.append(following)
                    break
                if not self.conditions.is_usual():  # and nobody minds
                    if self._harmless < _OFTEN:
                        say(_Harmless())
                        break
                    self.conditions.settle()
        if held:
            say(held)


def _made(run: MakesRuns, request: Request, struck: Callable[[], None]) -> Ran:
    """Make a run; an error of ours costs the point that it was made for, and no other. Without a point, it is raised."""
    try:
        return run(request, struck)
    except Exception as error:
        if request is None:
            raise
        return Ran(Strike(), error=breakdown_of(error))


def _is_to_be_followed(conditions: Conditions, request: Request, rest: Sequence[Request]) -> bool:
    """Tell whether a whole run is to follow the one just made, and does not anyway."""
    if request is None or isinstance(request, Trace) or not rest or rest[0] is None:
        return False
    return conditions.wary or not conditions.is_usual()


@dataclass(slots=True, repr=False)
class InProcess:
    """An executor without isolation: runs are made here and what they leave is repaired as far as it can be."""

    run: MakesRuns
    conditions: Conditions = field(default_factory=Conditions)

    @property
    def clean(self) -> bool:
        """Whether each sequence of runs has a process of its own."""
        return False

    def runs(self, requests: Sequence[Request], last: Last) -> Generator[Ran, None, None]:
        """See :class:`pytest_maskcheck.runs.Executor`."""
        for turn, request in enumerate(requests):
            ran = _made(self.run, request, lambda: None)
            yield ran
            if last(request, ran) or ran.error is not None:
                break
            if _is_to_be_followed(self.conditions, request, requests[turn + 1 :]):
                following = self.run(None, lambda: None)
                if not following.passed:
                    yield following
                    break
                self.conditions.settle()
