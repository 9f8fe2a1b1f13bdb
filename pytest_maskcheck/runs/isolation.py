"""A process for audited runs: forked child, watchdog, hang and crash.

The session forks the *auditor*, in which the test is warmed up and its points are found; the auditor forks a
*worker* for every sequence of interrupted runs that needs a clean process. Nothing that a run does reaches the
session; what a worker leaves goes with it.

Rules:

1. A child ends by SIGKILL from its own hand: no exit handler, no flush, no ``os._exit`` that others have patched.
2. A child tells its results through a pipe as they come, and where it is through shared memory, which survives any
   death. What a dead child did not say is concluded from that.
3. Each child leads a process group, so that what code under test sends to its own group goes to no auditing process. With a child
   goes what it has started, wherever that went (:mod:`.descendants`).
4. Between a fork and the moment at which the child is certain to be killed, signals are blocked.
5. A child that outlives its parent is killed by the kernel where the kernel offers that (Linux).
6. A child that is stopped by the terminal has used it in a way that the audit cannot allow (:mod:`.foreground`). One that is stopped
   otherwise is waited for like any other: somebody may continue it.

What does not work: threads do not survive a fork, so a test that talks to a thread of a longer-lived fixture needs
``isolation=none``; without ``os.fork`` there is no isolation at all.
"""

from __future__ import annotations

import faulthandler
import re
import struct
import sys
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Protocol

from pytest_maskcheck.interrupts import Strike
from pytest_maskcheck.results import Frame
from pytest_maskcheck.runs.requests import Conditions, RunResult, Trace
from pytest_maskcheck.system import descendants, foreground, proc
from pytest_maskcheck.system.breakdown import AuditBrokeError, breakdown_of
from pytest_maskcheck.system.descendants import Process, die_with, processes
from pytest_maskcheck.system.signals import all_blocked
from pytest_maskcheck.system.stopwatch import LOOK, Page, beat, watched_on
from pytest_maskcheck.system.unpatched import os, pickle, select, signal, tempfile, time, unpatched

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from pytest_maskcheck.runs.requests import Last, Request
    from pytest_maskcheck.system.breakdown import Breakdown

CAN_FORK = hasattr(os, "fork")
"""Whether this platform offers isolation."""

_LENGTH = struct.Struct("=Q")
_HOLD = 0.02
"""Seconds for which a worker keeps what it has to say: each message wakes up the process that waits for it."""

_ENDING = -2
"""The number that stands for the time after the last run of a worker."""

_OFTEN = 3
"""Workers that end as modules keep something else, though the test still passes; afterwards such a worker goes on."""

GRACE = 1.0
"""Seconds that a hung child gets to write down where it hangs."""

OWN_GROUPS = sys.platform == "linux"
"""Whether workers lead process groups of their own: elsewhere nothing but their group would end them with the auditing process."""

_LOOKS = 0.25
"""Seconds after which one who waits for a child looks whether it lives."""


@dataclass(frozen=True, slots=True)
class Death:
    """How a child ended without having said all.

    Parameters:
        how: ``hang``, ``crash``, ``terminal`` (it used the terminal) or ``look`` (the audit's own look at it took too long).
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
        return child.death(name)
    finally:
        if child is not None:
            try:
                child.kill(terminal)
            except KeyboardInterrupt:  # between here and the first line of kill
                child.kill(terminal)
                raise


class _Child:
    """One forked process: pipe, crash report and pid."""

    def __init__(self, page: Page, *, leader: bool) -> None:
        self._page = page
        self._leader = leader
        self.pid = 0
        self._status: int | None = None
        self._stopped = 0
        self._hung = 0.0
        self._lost = 0.0
        self._before = descendants.present() if descendants.adopts() else None
        self._report: IO[bytes] = tempfile.TemporaryFile()
        self._reader, self._writer = os.pipe()

    def fork(self, work: Callable[[Callable[[object], None]], None], mask: set[int]) -> None:
        parent = os.getpid()
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
            if descendants.adopts():
                descendants.end_all()
            self._say(_End())
        except BaseException as error:  # noqa: BLE001  (nothing may run past this line in the child)
            with suppress(BaseException), unpatched():
                self._say(_Broken(breakdown_of(error)))
        finally:
            os.kill(os.getpid(), signal.SIGKILL)

    def _say(self, message: object) -> None:
        try:
            data = pickle.dumps(message)
        except Exception:  # noqa: BLE001  (it imports what it names, and what code under test left may forbid that)
            with unpatched():
                data = pickle.dumps(message)
        data = _LENGTH.pack(len(data)) + data
        while data:
            data = data[os.write(self._writer, data) :]

    def listen(self, limit: Callable[[], float]) -> Generator[Any, None, bool]:
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
            remaining = self._page.remaining(limit() + self._lost)
            if remaining <= 0 and not self._gone():
                self._hung = self._page.seconds()
                return False
            if self._wait_for_word(min(max(remaining, 0.01), _LOOKS)):
                data = os.read(self._reader, 1 << 16)
                if not data:
                    return False
                buffer += data
            elif self._gone() or self._stopped in foreground.STOPS:  # a grandchild may hold the pipe open
                return False
            elif (
                self._stopped and self._page.waits
            ):  # it runs nothing of the test's: who stopped it was a worker of its own
                os.kill(self.pid, signal.SIGCONT)

    def _wait_for_word(self, seconds: float) -> bool:
        """Wait until the child says something, or for so long; tell whether it does."""
        began = time.perf_counter()
        readable = wait_readable(self._reader, seconds)
        late = time.perf_counter() - began - seconds
        if late > _LOOKS:  # this process was stopped, as by Ctrl-Z, and the child may have been
            self._lost += late
        return readable

    def _gone(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG | _STOPS)
            if pid and os.WIFSTOPPED(status):
                self._stopped = os.WSTOPSIG(status)
            elif pid and os.WIFCONTINUED(status):
                self._stopped = 0
            elif pid:
                self._status = status
        return self._status is not None

    def death(self, name: Callable[[str], str]) -> Death:
        if self._status is None and self._stopped in foreground.STOPS:
            return Death("terminal", _USES[signal.Signals(self._stopped).name], self._stack(name))
        if not self._hung:
            self._wait(GRACE)
            status = os.waitstatus_to_exitcode(self._status) if self._status is not None else 0
            return Death("crash", ending(status), stack_of(self._report, name) if status < 0 else ())
        if self._page.looks:
            return Death("look", f"the audit's own look at what a run left took longer than {LOOK:.0f} s", ())
        detail = f"no end after {self._hung:.1f} s"
        if self._stopped:
            detail += f", stopped by {_name_of(self._stopped)}"
        elif stopped := [each.pid for each in descendants.below(self.pid) if proc.is_stopped(each.pid)]:
            detail += f", as its child {proc.program_of(stopped[0])} is stopped"
            if foreground.settings() is not None:
                return Death("terminal", f"{detail}: it uses the terminal, or waits to be continued", self._stack(name))
        return Death("hang", detail, self._stack(name))

    def _stack(self, name: Callable[[str], str]) -> tuple[Frame, ...]:
        """End the child; return where it was."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGABRT)  # faulthandler writes where it is
            os.kill(self.pid, signal.SIGCONT)  # if it is stopped
        self._wait(GRACE)
        return stack_of(self._report, name)

    def _wait(self, seconds: float) -> None:
        until = time.perf_counter() + seconds
        while not self._gone() and time.perf_counter() < until:
            time.sleep(0.005)

    def kill(self, terminal: foreground.Settings | None = None) -> None:
        """End the child and all that it made, whatever state it is in; give the terminal its settings again."""
        with all_blocked():
            if self.pid:
                self._kill()
                foreground.put_back(terminal)
            for descriptor in (self._reader, self._writer):
                if descriptor != -1:
                    os.close(descriptor)
            self._reader = self._writer = -1
            self._report.close()
            self.pid = 0

    def _kill(self) -> None:
        family: list[Process] = []
        if self._before is None:
            family = descendants.below(self.pid)  # while they have their parents
            with suppress(OSError):
                if self._leader:
                    os.killpg(self.pid, signal.SIGKILL)
        if self._status is None:
            with suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)
            with suppress(OSError):
                os.waitpid(self.pid, 0)
        for process in family:
            process.kill()
        if self._before is not None:
            descendants.end_new(self._before)


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
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(middle, 0)
        os.close(writer)
        self.pid = int(os.read(reader, 32) or 0)
        os.close(reader)
        os.close(self._writer)
        self._writer = -1

    def _gone(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        self._stopped = int(signal.SIGSTOP) if proc.is_stopped(self.pid) else 0
        return self.pid == 0


def wait_readable(descriptor: int, seconds: float) -> bool:
    """Wait until a child has written to the pipe, but not longer; return whether it has.

    ``select.select`` takes no descriptors from 1,024 on.
    """
    beat()  # here, where every wait begins: a process that is stopped is continued only if its page says that it waits
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


_STOPS: int = getattr(os, "WUNTRACED", 0) | getattr(os, "WCONTINUED", 0)
_USES = {
    "SIGTTIN": "it reads from the terminal, which would wait for the user in each run",
    "SIGTTOU": "it changes the terminal with SIGTTOU handled by default, in the background",
}


def ending(status: int) -> str:
    """Return in words how a process ended: by an exit status or, below 0, by a signal."""
    return f"the process exited with status {status}" if status >= 0 else f"killed by {_name_of(-status)}"


def _name_of(signum: int) -> str:
    with suppress(ValueError):
        return signal.Signals(signum).name
    return f"signal {signum}"


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


class MakesRuns(Protocol):
    """Makes one run in this process."""

    def __call__(self, request: Request, struck: Callable[[], None], /) -> RunResult:
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

    def runs(self, requests: Sequence[Request], last: Last) -> Generator[RunResult, None, None]:
        """See :class:`pytest_maskcheck.runs.requests.Executor`."""
        told, end = yield from self._in_worker(requests, last, _HOLD)
        if end is not None and told < end.turn:  # what the dead worker had not said yet is run again, and said at once
            again, other = yield from self._in_worker(requests[told : end.turn], last, 0.0)
            if other is not None or told + again < end.turn:
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
        """Make runs in one worker; return how many it told of, and in which it died, if it did."""
        page = Page()
        work = partial(self._work, requests, last, page, hold)
        children = in_child(work, page, lambda: self._limit(page), leader=OWN_GROUPS, name=self.name)
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
        page.pause()
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
        owner = os.getpid()
        held: list[RunResult] = []
        since = time.perf_counter()
        for turn, request in enumerate(requests):
            page.begin(turn)
            ran = _made(self.run, request, page.strike)
            page.pause()
            if os.getpid() != owner:  # a child that the code under test forked and lost
                os.kill(os.getpid(), signal.SIGKILL)
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
                page.pause()
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


def _made(run: MakesRuns, request: Request, struck: Callable[[], None]) -> RunResult:
    """Make a run; an error of ours costs the point that it was made for, and no other. Without a point, it is raised."""
    try:
        return run(request, struck)
    except Exception as error:
        if request is None:
            raise
        return RunResult(Strike(), error=breakdown_of(error))


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

    def runs(self, requests: Sequence[Request], last: Last) -> Generator[RunResult, None, None]:
        """See :class:`pytest_maskcheck.runs.requests.Executor`."""
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
