"""Make the audit of an item where it belongs: in a forked process, with another one for first use, or in this process."""

from __future__ import annotations

from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.audit.messages import Collected
from pytest_maskcheck.audit.sharing.helper import Helper
from pytest_maskcheck.audit.sharing.lead import Lead
from pytest_maskcheck.points.ids import FIRST
from pytest_maskcheck.reasons import Isolation, NotAudited, Reason
from pytest_maskcheck.session.assembly import assemble
from pytest_maskcheck.session.auditing_process import audit_here, audit_in_child, silence
from pytest_maskcheck.session.item_body import refusal
from pytest_maskcheck.session.ledger import LEDGER
from pytest_maskcheck.session.lost_threads import lost_by_fork
from pytest_maskcheck.session.outcome import Outcome
from pytest_maskcheck.session.outline import outline
from pytest_maskcheck.session.scratch import scratch_directory
from pytest_maskcheck.system.breakdown import AuditBrokeError, Breakdown, breakdown_of
from pytest_maskcheck.system.unpatched import time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_maskcheck.audit.assignment import Send
    from pytest_maskcheck.audit.sharing.journal import Journal
    from pytest_maskcheck.results import Audit
    from pytest_maskcheck.session.first_use_process import FirstUse
    from pytest_maskcheck.session.order import Order


def audit_item(
    order: Order,
    first_use: FirstUse | None = None,
    against: str = "",
    interrupted: Callable[[Audit], object] = lambda _: None,
    journal: Journal | None = None,
) -> Outcome:
    """Audit one test that passed.

    Parameters:
        order: what is to be done.
        first_use: the process for what only the first run reaches, if there is one.
        against: why the test is not to be audited, or ``""``.
        interrupted: called with the results so far if the user ends the session meanwhile.
        journal: records the audit, so that it survives this process.
    """
    started = time.perf_counter()
    complaints = order.extensions.complaints() if order.extensions else ()
    collected = Collected(refused=against or refusal(order.item), notes=[*complaints])
    if order.changed and order.changed.is_nothing:
        collected.refused = collected.refused or order.changed.reason
    if order.budget and not order.budget.has_room(order.seconds):
        collected.refused = collected.refused or order.budget.reason
    exception = None
    if not collected.refused:
        try:
            order, exception = _audit(order, first_use, collected, journal)
        except Exception as error:  # noqa: BLE001  (a defect of ours: it is reported as such, and the session goes on)
            collected.take(breakdown_of(error))
        except BaseException:  # the user's Ctrl-C, or the end of the session
            if collected.results:
                interrupted(_audit_of(order, collected, started))
            raise
    if isinstance(order.share, Lead):  # the auditing process may have ended before it passed on other workers' results
        collected.results = order.share.found() | collected.results
    audit = _audit_of(order, collected, started)
    plan, seeing = collected.plan, collected.seeing or order.seeing
    return Outcome(audit, seeing, exception, plan.keys, collected.unsettled, plan.lasting, plan.leaning)


def _audit_of(order: Order, collected: Collected, started: float) -> Audit:
    """Return the audit that the collected messages add up to."""
    return collected.audit(outline(order), time.perf_counter() - started)


def _audit(
    order: Order, first_use: FirstUse | None, collected: Collected, journal: Journal | None
) -> tuple[Order, BaseException | None]:
    """Audit, and collect the messages; return the order as carried out, and the exception of the test for a debugger."""
    item = order.item
    assert isinstance(item, pytest.Function)
    with scratch_directory() as directory:
        try:
            assembly = assemble(order, item, directory)
            if lost := lost_by_fork(assembly):
                order = replace(order, isolation=Isolation.NONE, why=lost, share=None)
                assembly = assemble(order, item, directory)
            with _followed(order, _recorded(order, collected, journal)) as take:
                if order.is_here:
                    return order, audit_here(assembly, take)
                if not order.only or FIRST not in order.only:
                    audit_in_child(assembly, take, partial(silence, assembly, order.over))
                touched = not collected.is_untouched
                if first_use is not None and (not collected.refused or not touched):
                    first_use.audit(order, directory, collected.warm, take, touched=touched)
                    if not touched and not collected.is_untouched:  # its first run is touched: audit the rest, too
                        order = replace(order, changed=None)
                        assembly = assemble(order, item, directory)
                        audit_in_child(assembly, take, partial(silence, assembly, order.over))
        finally:
            order.reach.note(point.file for point in collected.plan.points)
            if LEDGER in item.stash:
                del item.stash[LEDGER]
    return order, None


def _recorded(order: Order, collected: Collected, journal: Journal | None) -> Send:
    """Return a ``take`` for the messages of an audit that also records them in the journal."""
    if journal is None:
        return collected.take
    journal.begin(outline(order))
    for note in collected.notes:
        journal.add(note)

    def take_and_record(message: object) -> None:
        collected.take(message)
        journal.add(message)

    return take_and_record


@contextmanager
def _followed(order: Order, take: Send) -> Iterator[Send]:
    """Yield a ``take`` that also updates the progress display."""
    progress = order.progress
    if progress is None:
        yield take
        return

    def take_and_show(message: object) -> None:
        take(message)
        with suppress(Exception):  # a terminal that is gone is no reason to end an audit
            progress.take(message)

    deadline = order.budget.deadline if order.budget else float("inf")
    progress.begin(order.item.nodeid, here=order.is_here, deadline=deadline)
    try:
        yield take_and_show
    finally:
        progress.end()


def assist(order: Order) -> dict[str, str]:
    """Help with another worker's audit of a test that passed in this process, too; ``order.share`` is a helper.

    Points that cannot be audited here are left to the owner of the audit, without a message.

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
            raise AuditBrokeError(Breakdown(Reason(NotAudited.UNWANTED), ""))
        return silence(assembly, order.over)

    with closing(helper), scratch_directory() as directory:
        assembly = assemble(order, item, directory)
        try:
            if not lost_by_fork(assembly):
                with suppress(AuditBrokeError):  # the owner will meet the same error, and report it
                    audit_in_child(assembly, collected.take, limit)
        finally:
            del item.stash[LEDGER]
    return collected.seeing or order.seeing
