"""Where the audit of one pytest item happens, in this process or in another, and what comes of it."""

from __future__ import annotations

from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.audit.auditor import Refused
from pytest_maskcheck.audit.messages import Collected, FirstUseReached
from pytest_maskcheck.audit.sharing import Helper, Lead
from pytest_maskcheck.points.plan import FIRST
from pytest_maskcheck.points.reach import measures_forks, paused, running
from pytest_maskcheck.results import Audit
from pytest_maskcheck.runs import effects
from pytest_maskcheck.runs.isolation import in_child
from pytest_maskcheck.session.assembly import Order, Work, outline
from pytest_maskcheck.session.fixture import LEDGER
from pytest_maskcheck.session.item import muted, own_directory, own_output, refusal
from pytest_maskcheck.system import descendants
from pytest_maskcheck.system.breakdown import AuditBrokeError, Breakdown, breakdown_of
from pytest_maskcheck.system.signals import all_blocked, collect_garbage
from pytest_maskcheck.system.stopwatch import Page
from pytest_maskcheck.system.unpatched import (
    keep,
    os,
    pickle,
    shutil,
    state_of,
    tempfile,
    threading,
    time,
    unpatched,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from pytest_maskcheck.audit.budget import Share
    from pytest_maskcheck.runs.isolation import Death

    Tell = Callable[[object], None]

keep("linecache", "pickle", "shutil", "tempfile")

_SILENCE = 60.0
"""Seconds without a word from the auditor after which it counts as hung; its own watchdog comes first."""


@dataclass(slots=True, repr=False)
class Outcome:
    """What an audit said.

    Attributes:
        audit: the results.
        seeing: see :class:`Order`.
        exception: with ``only``, what came out of the test, for a debugger.
    """

    audit: Audit
    seeing: dict[str, str]
    exception: BaseException | None = None


@dataclass(frozen=True, slots=True, repr=False)
class _Go:
    """What a process that waits is told when it is wanted.

    Parameters:
        order: what is to be audited; the item, the scope and the like are its own.
        directory: room for files.
        warm: what later runs reach.
    """

    seconds: float
    seeing: dict[str, str]
    budget: Share | None
    directory: str
    warm: frozenset[int]


class FirstUse:
    """A process in which the test has not run yet, and which waits for the audit of what only the first run reaches.

    Parameters:
        order: gives the order for a test whose ordinary run took so many seconds.
        leave: lets go of what pytest has begun for the item; called in the process.

    Attributes:
        reason: why there is no such process, or ``""``.
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
        """How long it took to fork: part of what pytest measures of the test."""
        self._said: Generator[object, None, Death | None] | None = None
        self._reader = self._writer = -1
        self.descriptors: frozenset[int] = frozenset()
        """What it takes to talk to the process."""

    def fork(self) -> None:
        """Fork; call it before the ordinary run does anything that is done once only. Further calls do nothing."""
        if self._said is not None or self.reason:
            return
        try:
            self._fork()
        except Exception as error:  # noqa: BLE001  (ours: the test that is being set up has nothing to do with it)
            self.close()
            self._said = None
            self._breakdown = breakdown_of(error)
            self.reason = self._breakdown.reason

    def _fork(self) -> None:
        self.reason = _against_fork(self._order(0.0))
        if self.reason:
            return
        began, before = time.perf_counter(), effects.descriptors()
        self._measurement = running()
        self._page = Page()
        self._reader, self._writer = os.pipe()
        self._said = in_child(self._wait, self._page, self._limit, leader=True, orphan=True)
        next(self._said)
        os.close(self._reader)
        self._reader = -1
        self.descriptors = effects.descriptors() - before
        self.seconds = time.perf_counter() - began

    def _limit(self) -> float:
        """Return the seconds without a word after which the process counts as hung; errors as for :func:`_limit`."""
        if self._over():
            raise KeyboardInterrupt
        return _SILENCE

    def comes_late(self, fixture: str) -> None:
        """Give the process up if it was forked before a longer-lived fixture was asked for: it would set up another one, beside this."""
        if self._said is not None:
            self.reason = self.reason or f"fixture {fixture} is asked for while others of the test are set up"

    def audit(self, order: Order, directory: str, warm: frozenset[int], take: Tell) -> None:
        """Audit, and give what the process says to ``take``."""
        if self.reason or self._said is None or self._page is None:
            take(FirstUseReached({}, self.reason or "no process was kept for it"))
            if self._breakdown is not None and self._breakdown.traceback:
                take(self._breakdown)
            return
        self._over = order.over
        go = pickle.dumps(_Go(order.seconds, order.seeing, order.budget, directory, warm))
        self._page.begin(0)
        with suppress(BrokenPipeError):  # it has ended; why is told below
            while go:
                go = go[os.write(self._writer, go) :]
        os.close(self._writer)
        self._writer = -1
        if (death := _take_all(self._said, take)) is not None:
            take(FirstUseReached({}, f"the process for it ended: {death.detail}"))

    def _wait(self, say: Tell) -> None:
        """Wait in the process, and audit when it is wanted; without a word if it is not."""
        os.close(self._writer)
        say(None)
        told = bytearray()
        while part := os.read(self._reader, 1 << 16):
            told += part
        if not told:
            return
        go: _Go = pickle.loads(bytes(told))
        page = self._page
        assert page is not None

        def tell(message: object) -> None:
            page.begin(0)
            say(message)

        self._leave()
        order = replace(self._order(go.seconds), seeing=go.seeing, budget=go.budget)
        item = order.item
        assert isinstance(item, pytest.Function)
        state_of("tempfile")["tempdir"] = os.path.join(go.directory, "t")
        work = Work(order, item, go.directory)
        with _in_its_own(work, tell, self._measurement):
            work.first(tell, go.warm)

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
    """Return why no process can be kept cold beside an ordinary run, or ``""``."""
    if order.isolation != "fork":
        return f"runs share the process of the session: {order.why}"
    if threading.active_count() > 1:
        return "a fork would lose running threads"
    if measures_forks():
        return "coverage's patch measures each process that is forked"
    return next(
        iter(shared_descriptors(order.descriptors)), ""
    )  # its other end would wait for this process, too, to close it


def shared_descriptors(known: frozenset[int]) -> list[str]:
    """Return in words what is shared by way of descriptors other than those that are known; what garbage has open is closed."""
    found = _shared(known)
    if found:
        collect_garbage()
        found = _shared(known)
    return found


def _shared(known: frozenset[int]) -> list[str]:
    return [what for fd in sorted(effects.descriptors() - known) if (what := effects.shared(fd))]


def audit_item(order: Order, first_use: FirstUse | None = None, against: str = "") -> Outcome:
    """Audit one test that passed.

    Parameters:
        order: what is to be done.
        first_use: the process for what only the first run reaches, if there is one.
        against: why the test is not to be audited, or ``""``.
    """
    started = time.perf_counter()
    complaints = order.extensions.complaints() if order.extensions else ()
    collected = Collected(refused=against or refusal(order.item), notes=[*complaints])
    if order.budget and not order.budget.has_room(order.seconds):
        collected.refused = collected.refused or order.budget.reason
    exception = None
    if not collected.refused:
        try:
            order, exception = _audit(order, first_use, collected)
        except Exception as error:  # noqa: BLE001  (a defect of ours: told as such, and the session goes on)
            collected.take(breakdown_of(error))
    if isinstance(order.share, Lead):  # the auditing process may have ended before it told what others did
        collected.results = order.share.found() | collected.results
    results = collected.complete()
    audit = outline(
        order,
        strategy=collected.strategy,
        points=tuple(collected.plan.points),
        results=results,
        left_out=collected.plan.left_out,
        notes=tuple(collected.notes),
        ignores=collected.ignores,
        allows=collected.allows,
        baseline=collected.baseline,
        refused=collected.refused if not collected.results else "",
        seconds=time.perf_counter() - started,
        plan=collected.dealt,
        reached_first=collected.reached_first,
        no_first_use=collected.no_first_use,
        reached=collected.reached,
        breakdown=collected.refused if collected.error else "",
        error=collected.error,
    )
    return Outcome(audit, collected.seeing or order.seeing, exception)


def _audit(order: Order, first_use: FirstUse | None, collected: Collected) -> tuple[Order, BaseException | None]:
    """Audit, and collect what is said of it; return what was done, and what came out of the test, for a debugger."""
    item = order.item
    assert isinstance(item, pytest.Function)
    with _directory() as directory:
        try:
            work = Work(order, item, directory)
            if lost := _lost_by_fork(work, order):
                order = replace(order, isolation="none", why=lost, share=None)
                work = Work(order, item, directory)
            with _watched(order, collected.take) as take:
                if order.isolation != "fork":
                    with paused(), muted(item.config):
                        work.here(_unless(order.over, take))
                    return order, work.runner.exception
                if not order.only or FIRST not in order.only:
                    _in_auditor(work, take, partial(_limit, work, order.over))
                if first_use is not None and not collected.refused:
                    first_use.audit(order, directory, collected.warm, take)
        finally:
            if LEDGER in item.stash:
                del item.stash[LEDGER]
    return order, None


def broken(test: str, error: Exception) -> Audit:
    """Return the audit of a test that an error of ours ended before it could say anything."""
    breakdown = breakdown_of(error)
    told = breakdown.reason if breakdown.traceback else ""
    return Audit(test, refused=breakdown.reason, breakdown=told, error=breakdown.traceback)


@contextmanager
def _watched(order: Order, take: Tell) -> Iterator[Tell]:
    """Yield what tells each message to the progress, too."""
    progress = order.progress
    if progress is None:
        yield take
        return

    def tell(message: object) -> None:
        take(message)
        with suppress(Exception):  # a terminal that is gone is no reason to end an audit
            progress.take(message)

    deadline = order.budget.deadline if order.budget else float("inf")
    progress.begin(order.item.nodeid, forked=order.isolation == "fork", deadline=deadline)
    try:
        yield tell
    finally:
        progress.end()


def assist(order: Order) -> dict[str, str]:
    """Help with the audit of one test that passed in this process, too: ``order.share`` is a helper.

    What cannot be done here is left to the owner, without a word.

    Returns:
        Which kinds saw their canary; see :class:`Order`.
    """
    item = order.item
    assert isinstance(item, pytest.Function)
    assert isinstance(order.share, Helper)
    helper = order.share
    collected = Collected()

    def limit() -> float:
        if not helper.is_wanted():
            raise AuditBrokeError(Breakdown("nobody waits for it any more", ""))
        return _limit(work, order.over)

    with closing(helper), _directory() as directory:
        work = Work(order, item, directory)
        try:
            if not _lost_by_fork(work, order):
                with suppress(AuditBrokeError):  # the owner will meet what broke it
                    _in_auditor(work, collected.take, limit)
        finally:
            del item.stash[LEDGER]
    return collected.seeing or order.seeing


def _lost_by_fork(work: Work, order: Order) -> str:
    """Return why a test is not to be forked though nobody asked for that: it does not end without threads that run here.

    Such are those of a pool that a module keeps. Where no other thread runs there is nothing to lose, and no attempt is made.
    It is made in a process like that of the audit, and in one like its workers, which are forked from it: a pool with room for two threads starts
    the second one after the first fork, and none after the next.
    """
    others = sorted(thread.name for thread in threading.enumerate() if thread is not threading.main_thread())
    if order.isolation != "fork" or order.settings.isolation != "auto" or not others:
        return ""
    measurement = running()
    limit = order.settings.timeout + 10 * order.seconds

    def run_again(_: Tell) -> None:
        work.runner.target(_just)

    def attempt(tell: Tell) -> None:
        descendants.adopt()
        with unpatched():
            own_output(work.item.config)
            own_directory(work.item.config, work.directory)
        with paused(*([measurement] if measurement else [])):
            work.runner.target(_just)
            if _hangs(run_again, limit, leader=False):
                tell("hang")

    if not _hangs(attempt, 2 * limit, leader=True):
        return ""
    return f"a fork loses running threads, and the test does not end without them: {', '.join(others)}; hangs and crashes are not caught"


def _hangs(run: Callable[[Tell], None], limit: float, *, leader: bool) -> bool:
    """Tell whether a child hangs that does something, or says that one of its own does."""
    page = Page()
    heard: list[object] = []
    try:
        with closing(in_child(run, page, lambda: limit, leader=leader)) as said:
            death = _take_all(said, heard.append)
    finally:
        page.close()
    return bool(heard) or (death is not None and death.how == "hang")


def _just(body: Callable[[], object]) -> None:
    body()


def _ended(death: Death, *, in_run: bool) -> str:
    """Return in words how the auditing process ended; ``in_run``: within a run that was not interrupted."""
    if death.how == "terminal":
        return death.detail
    where = f", at {death.stack[-1].path}:{death.stack[-1].line} in {death.stack[-1].function}" if death.stack else ""
    if not in_run or death.how == "look":
        return f"the auditing process ended: {death.detail}{where}"
    return f"run again, the test {'hung' if death.how == 'hang' else 'died'} ({death.detail}{where})"


def _limit(work: Work, over: Callable[[], bool]) -> float:
    """Return the seconds without a word from the auditing process after which it counts as hung.

    Raises:
        KeyboardInterrupt: the session is over, as after Ctrl-C to the controller of xdist: this process ends as if it had got one.
    """
    if over():
        raise KeyboardInterrupt
    return _SILENCE + 10 * work.limit


def _unless(over: Callable[[], bool], take: Tell) -> Tell:
    """Return what takes a message as ``take`` does, unless the session is over; see :func:`_limit`."""

    def tell(message: object) -> None:
        if over():
            raise KeyboardInterrupt
        take(message)

    return tell


def _in_auditor(work: Work, take: Tell, limit: Callable[[], float]) -> None:
    """Audit in a forked process, which may be silent for so long, and give all that it says to ``take``."""
    page = Page()
    measurement = running()

    def auditor(say: Tell) -> None:
        def tell(message: object) -> None:
            page.begin(0)
            say(message)

        with _in_its_own(work, tell, measurement):
            work.isolated(tell)

    try:
        with closing(in_child(auditor, page, limit, leader=True, name=work.short)) as said:
            death = _take_all(said, take)
        if death is not None:
            take(Refused(_ended(death, in_run=page.runs)))
    finally:
        page.close()


@contextmanager
def _in_its_own(work: Work, tell: Tell, measurement: Any) -> Iterator[None]:
    """Make a forked process the test's own: output, directories, handlers; and pause what measured before the fork."""
    descendants.adopt()
    with unpatched():
        own_output(work.item.config)
        own_directory(work.item.config, work.directory)
    for note in work.clear_way():
        tell(note)
    with paused(*([measurement] if measurement else [])):
        yield


def _take_all(said: Generator[object, None, Death | None], take: Tell) -> Death | None:
    while True:
        try:
            take(next(said))
        except StopIteration as end:
            death: Death | None = end.value
            return death


@contextmanager
def _directory() -> Iterator[str]:
    """Make ``tempfile`` use a directory of the audit's own: what others do in the shared one is no finding.

    Yields a directory with room beside that one (``t``) for ``tmp_path`` (``p``).
    """
    state = state_of("tempfile")
    before = state["tempdir"]
    directory = ""
    try:
        with all_blocked(), unpatched():
            directory = os.path.realpath(tempfile.mkdtemp(prefix="mc-"))
        for name in "tp":
            os.mkdir(os.path.join(directory, name))
        state["tempdir"] = os.path.join(directory, "t")
        yield directory
    finally:
        state["tempdir"] = before
        try:
            _remove(directory)
        except KeyboardInterrupt:  # between here and the first line of _remove, or held back until its last one
            _remove(directory)
            raise


def _remove(directory: str) -> None:
    with all_blocked(), unpatched():
        shutil.rmtree(directory, ignore_errors=True)
