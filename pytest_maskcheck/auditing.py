"""Where the audit of one pytest item happens, in this process or in another, and what comes of it."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
import time
import traceback
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.auditor import Refused
from pytest_maskcheck.guarantees import LEDGER
from pytest_maskcheck.isolation import AuditBrokeError, Page, all_blocked, in_child
from pytest_maskcheck.messages import Collected
from pytest_maskcheck.reach import paused, running
from pytest_maskcheck.rerun import muted, own_directory, own_output, refusal
from pytest_maskcheck.results import Audit
from pytest_maskcheck.signals import name
from pytest_maskcheck.spread import Helper, Lead
from pytest_maskcheck.work import Order, Work, outline

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from pytest_maskcheck.isolation import Death

    Tell = Callable[[object], None]

_SILENCE = 60.0
"""Seconds without a word from the auditor after which it counts as hung; its own watchdog comes first."""


@dataclass(slots=True)
class Outcome:
    """What an audit said.

    Attributes:
        audit: the results.
        seeing: see :class:`Order`.
        exception: with ``only``, what came out of the test, for a debugger.
        broken: the traceback of a defect of maskcheck's own, or ``""``.
    """

    audit: Audit
    seeing: dict[str, str]
    exception: BaseException | None
    broken: str = ""


def audit_item(order: Order) -> Outcome:
    """Audit one test that passed."""
    started = time.perf_counter()
    complaints = order.extensions.complaints() if order.extensions else ()
    collected = Collected(refused=refusal(order.item), notes=[*complaints])
    if order.budget and not order.budget.has_room(order.seconds):
        collected.refused = collected.refused or order.budget.reason
    exception = None
    broken = ""
    if not collected.refused:
        item = order.item
        assert isinstance(item, pytest.Function)
        with _directory() as directory:
            work = Work(order, item, directory)
            try:
                if lost := _lost_by_fork(work, order):
                    order = replace(order, isolation="none", why=lost, share=None)
                    work = Work(order, item, directory)
                with _watched(order, collected.take) as take:
                    if order.isolation == "fork":
                        _in_auditor(work, take, partial(_limit, work))
                    else:
                        with paused(), muted(item.config):
                            work.here(take)
                        exception = work.runner.exception
            except AuditBrokeError as error:
                broken = str(error)
            except Exception:  # noqa: BLE001  (a defect of ours: reported as such, and the session goes on)
                broken = traceback.format_exc()
            finally:
                del order.item.stash[LEDGER]
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
    )
    return Outcome(audit, collected.seeing or order.seeing, exception, broken)


@contextmanager
def _watched(order: Order, take: Tell) -> Iterator[Tell]:
    """Yield what tells each message to the progress, too."""
    progress = order.progress
    if progress is None:
        yield take
        return

    def tell(message: object) -> None:
        take(message)
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
            raise AuditBrokeError
        return _limit(work)

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
    """
    others = sorted(thread.name for thread in threading.enumerate() if thread is not threading.main_thread())
    if order.isolation != "fork" or order.settings.isolation != "auto" or not others:
        return ""
    page = Page()
    measurement = running()

    def attempt(_: Tell) -> None:
        own_output(work.item.config)
        own_directory(work.item.config, work.directory)
        with paused(*([measurement] if measurement else [])):
            work.runner.target(_just)

    limit = order.settings.timeout + 10 * order.seconds
    try:
        with closing(in_child(attempt, page, lambda: limit, leader=True)) as said:
            death = _take_all(said, lambda _: None)
    finally:
        page.close()
    if death is None or death.how != "hang":
        return ""
    return f"a fork loses running threads, and the test does not end without them: {', '.join(others)}; hangs and crashes are not caught"


def _just(body: Callable[[], object]) -> None:
    body()


def _limit(work: Work) -> float:
    """Return the seconds without a word from the auditing process after which it counts as hung."""
    return _SILENCE + 10 * work.limit


def _in_auditor(work: Work, take: Tell, limit: Callable[[], float]) -> None:
    """Audit in a forked process, which may be silent for so long, and give all that it says to ``take``."""
    page = Page()
    measurement = running()

    def auditor(say: Tell) -> None:
        def tell(message: object) -> None:
            page.begin(0)
            say(message)

        own_output(work.item.config)
        own_directory(work.item.config, work.directory)
        ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        if ignored and signal.SIGINT in work.signums:  # under nohup, or in the background of a script
            signal.signal(signal.SIGINT, signal.default_int_handler)
            tell("SIGINT is ignored in this process; audited as if it were not")
        if blocked := work.inherited_mask():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
            if names := [name(signum) for signum in sorted(blocked) if signum in work.signums]:
                tell(f"pytest was started with {', '.join(names)} blocked; audited as if it were not")
        with paused(*([measurement] if measurement else [])):
            work.isolated(tell)

    try:
        with closing(in_child(auditor, page, limit, leader=True)) as said:
            death = _take_all(said, take)
        if death is not None:
            take(Refused(f"the auditing process ended: {death.detail}"))
    finally:
        page.close()


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
    before = tempfile.tempdir
    directory = ""
    try:
        with all_blocked():
            directory = os.path.realpath(tempfile.mkdtemp(prefix="mc-"))
        for name in "tp":
            os.mkdir(os.path.join(directory, name))
        tempfile.tempdir = os.path.join(directory, "t")
        yield directory
    finally:
        tempfile.tempdir = before
        try:
            _remove(directory)
        except KeyboardInterrupt:  # between here and the first line of _remove, or held back until its last one
            _remove(directory)
            raise


def _remove(directory: str) -> None:
    with all_blocked():
        shutil.rmtree(directory, ignore_errors=True)
