"""The protocol of an item that is audited: its ordinary run, the audit if that passes, and one report of both."""

from __future__ import annotations

from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck import settings
from pytest_maskcheck.points.ids import FIRST
from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.resources import Surroundings, all_kinds
from pytest_maskcheck.resources.set_once import SetOnce
from pytest_maskcheck.session.call_report import Failed, remade
from pytest_maskcheck.session.first_use_process import FirstUse
from pytest_maskcheck.session.item_fixtures import directories
from pytest_maskcheck.session.ordinary import leave, let_go, ordinary_run, stop_timer
from pytest_maskcheck.session.outcome import Outcome, broken
from pytest_maskcheck.session.place import assist, audit_item
from pytest_maskcheck.session.rerunners import held_back, made_by_others
from pytest_maskcheck.session.unlogged import unlogged
from pytest_maskcheck.system import signals
from pytest_maskcheck.system.unpatched import put_own_back, time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_maskcheck.audit.budget import Budget
    from pytest_maskcheck.audit.sharing.helper import Helper
    from pytest_maskcheck.points.cover import Chosen
    from pytest_maskcheck.results import Audit
    from pytest_maskcheck.session.accepted import Accepted
    from pytest_maskcheck.session.audited_items import AuditedItems
    from pytest_maskcheck.session.earlier import Earlier, Found
    from pytest_maskcheck.session.extensions import Extensions
    from pytest_maskcheck.session.order_maker import OrderMaker
    from pytest_maskcheck.session.survey import Survey
    from pytest_maskcheck.session.workers import Workers


class ItemProtocol:
    """Runs the protocol of the items that are audited, one after the other.

    Parameters:
        items: the items to audit.
        orders: makes the order for each.
        workers: the workers of xdist.
        extensions: what other plugins add.
        earlier: the results of earlier sessions; ``None``: none are kept.
        accepted: the defects that are known.
        budget: the time for all audits, if it is limited.
        survey: what all tests reach, if it is found out first.
        only: the id of the only point to audit, or ``""``.
        interrupted: called with what is known of an audit that the user ends.
    """

    def __init__(
        self,
        items: AuditedItems,
        orders: OrderMaker,
        workers: Workers,
        extensions: Extensions,
        earlier: Earlier | None,
        *,
        accepted: Accepted,
        budget: Budget | None,
        survey: Survey | None,
        only: str,
        interrupted: Callable[[Audit], object],
    ) -> None:
        self._items = items
        self._orders = orders
        self._workers = workers
        self._extensions = extensions
        self._earlier = earlier
        self._accepted = accepted
        self._budget = budget
        self._survey = survey
        self._chosen: Chosen | None = None
        self._elsewhere: Reason | None = None
        self._only = only
        self._interrupted = interrupted
        self._passed: pytest.TestReport | None = None
        self._failed: Failed | None = None
        self._failing_parts = 0
        self._start_error: Exception | None = None

    def start(self) -> None:
        """Record the state of the process; call this before fixtures are set up."""
        try:
            self._orders.note_state()
        except Exception as error:  # noqa: BLE001  (an error of maskcheck: audits report it)
            self._start_error = error

    def run(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """Run a test as usual, audit it, and report once."""
        if self._budget:
            self._budget.begins()
        left = self._budget.left if self._budget else float("inf")
        self._chosen = self._survey.suite.next(item.nodeid, left) if self._survey else None
        self._failed = self._passed = None
        self._elsewhere = self._orders.dealing.against(item.nodeid)
        if made_by_others(item, nextitem, partial(self._attempt_of_others, item)):
            return
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._attempt(item, nextitem)[1]:
            self._log(item, report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def end(self, item: pytest.Item) -> None:
        """Record that a test has ended, audited or not."""
        if self._survey:
            self._survey.suite.ends(item.nodeid, 0.0, complete=False)

    def assist(self, item: pytest.Item, helper: Helper) -> None:
        """Help another worker's audit: run the test, then its points; report nothing.

        The test runs here first, so its longer-lived fixtures are torn down afterwards.
        """
        began = time.perf_counter()
        with unlogged(item.config):
            reports, completed = ordinary_run(item)
        seconds = _duration(reports, time.perf_counter() - began)
        try:
            if completed and all(report.passed for report in reports):
                stop_timer(item)
                with suppress(Exception):  # the owner of the audit meets the same error, and reports it
                    order = self._orders.order(item, seconds)
                    if not order.is_here:
                        self._orders.seeing = assist(replace(order, share=helper))
        finally:
            with unlogged(item.config):
                leave(item, None, reports)

    def count_failing(self, report: pytest.TestReport) -> None:
        """Count the failing reports that are logged while a test runs, which are those of its subtests."""
        self._failing_parts += report.failed

    def failure_of(self, report: pytest.TestReport) -> Failed | None:
        """Return the failed audit if ``report`` is that of its ordinary run, which a rerunning plugin logs."""
        return self._failed if report is self._passed else None

    # One attempt

    def _attempt(
        self, item: pytest.Item, nextitem: pytest.Item | None, held: list[pytest.TestReport] | None = None
    ) -> tuple[list[pytest.TestReport], list[pytest.TestReport]]:
        """Run a test as usual, and audit it if it passes.

        Parameters:
            item: the test.
            nextitem: the test that follows.
            held: the reports that a rerunning plugin logs; if none of them is of the call, another attempt follows.

        Returns:
            The reports of the ordinary run, and those to be logged.
        """
        found = self._earlier.of(item) if self._earlier else None
        with nullcontext() if found else self._first_use(item) as first:
            self._failing_parts = 0
            once = None if found else self._set_once(item)
            began = time.perf_counter()
            begins = first.fork if first else lambda: None
            reports, completed = ordinary_run(item, begins, once or nullcontext(), log=held is not None)
            seconds = _duration(reports, time.perf_counter() - began) - (first.seconds if first else 0.0)
            logged = [*reports] if held is None else held
            if held is not None:  # count_failing() did not see the reports held back
                self._failing_parts += sum(report.failed for report in held)
            passed = completed and all(report.passed or report.when == "call" for report in reports)
            if passed and any(report.when == "call" for report in logged):
                stop_timer(item)
                if found and not self._failing_parts:
                    self._repeat(item, logged, found)
                else:
                    left = once.left if once else frozenset()
                    outcome = self._audited(item, seconds, first, left=left, more=nextitem is not None)
                    self._failed = remade(item, logged, outcome) or self._failed
                    self._remember(outcome, logged)
                    self._keep(item, logged, outcome)
        leave(item, nextitem, logged)
        return reports, logged

    def _repeat(self, item: pytest.Item, reports: list[pytest.TestReport], found: Found) -> None:
        """Report what an earlier session found."""
        if self._survey:
            self._survey.suite.ends(item.nodeid, 0.0, complete=True)
        if self._budget:
            self._budget.spend(0.0, audited=False)
        if found.audit is not None:
            outcome = Outcome(self._accepted.mark(found.audit), self._orders.seeing)
            self._failed = remade(item, reports, outcome) or self._failed
            return
        report = next(report for report in reports if report.when == "call")
        report.maskcheck_earlier = found.brief  # type: ignore[attr-defined]

    def _keep(self, item: pytest.Item, reports: list[pytest.TestReport], outcome: Outcome) -> None:
        """Keep the result of a test for later sessions."""
        reported = any(hasattr(report, "maskcheck") for report in reports if report.when == "call")
        if self._earlier is not None and reported:
            self._earlier.keep(item, outcome)

    def _attempt_of_others(self, item: pytest.Item, log: bool, nextitem: pytest.Item | None) -> list[pytest.TestReport]:
        """Make an attempt for a plugin that makes another one if this fails; the audit's verdict must not cause that."""
        self._passed = None
        with held_back(item.config) as held:
            reports, logged = self._attempt(item, nextitem, held if log else None)
        for report in held:
            self._log(item, report)
        # A plugin that logs reports itself looks at them first, so it gets that of the ordinary run until it logs it.
        if not log:
            position = next((index for index, report in enumerate(reports) if report.when == "call"), None)
            if position is not None and logged[position] is not reports[position]:
                self._passed = reports[position]
                logged[position] = self._passed
        return logged

    def _log(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Log a report, and let a debugger in if its audit failed."""
        item.ihook.pytest_runtest_logreport(report=report)
        if self._failed and self._failed.report is report:
            self._failed.interact()

    @contextmanager
    def _first_use(self, item: pytest.Item) -> Iterator[FirstUse | None]:
        """Yield the process for first use, if there can be one; it is forked later, during the setup of fixtures."""
        self._orders.first = None
        changed = self._orders.changed(item)
        wanted = (not self._only or FIRST in self._only) and not self._is_left_out
        if isinstance(item, pytest.Function) and wanted and not (changed and changed.is_nothing):
            self._orders.first = FirstUse(partial(self._orders.order, item), partial(let_go, item))
        try:
            yield self._orders.first
        finally:
            if self._orders.first is not None:
                self._orders.first.close()
            self._orders.first = None

    def _set_once(self, item: pytest.Item) -> SetOnce:
        """Return the reader of the process state that the ordinary run of a test leaves behind."""
        chosen = self._items.settings(item)
        reach = self._items.reach(chosen)
        surroundings = Surroundings(in_scope=reach.covers, modules=reach.modules)
        names = settings.switched(chosen.kinds, self._items.kinds())
        kinds = [] if self._is_left_out else [kind for kind in all_kinds(surroundings) if kind.name in names]
        return SetOnce(kinds, surroundings, partial(directories, item))

    def _audited(
        self, item: pytest.Item, seconds: float, first: FirstUse | None, *, left: frozenset[str], more: bool
    ) -> Outcome:
        """Audit one test that passed; an error of maskcheck counts as an outcome, too, and the session goes on.

        Parameters:
            item: the test.
            seconds: duration of its ordinary run.
            first: the process for what only the first run reaches.
            left: the process state that it left behind.
            more: whether other tests follow.
        """
        put_own_back()
        try:
            return self._audit(item, seconds, first, left=left, more=more)
        except Exception as error:  # noqa: BLE001  (see above)
            return Outcome(broken(item.nodeid, error), self._orders.seeing)

    def _audit(
        self, item: pytest.Item, seconds: float, first: FirstUse | None, *, left: frozenset[str], more: bool
    ) -> Outcome:
        """Audit one test; see :meth:`_audited`."""
        if self._start_error is not None:
            raise self._start_error
        order = replace(
            self._orders.order(item, seconds),
            left=left,
            chosen=self._chosen,
            depth=self._survey.depth if self._survey else "all",
        )
        if order.is_here:
            # Garbage of the ordinary run: if it were collected during the audit, a run would seem to release it.
            signals.collect_garbage()
        if self._budget and not self._only:
            suite, others = self._survey and self._survey.suite, self._budget.others
            part = suite.part(item.nodeid, others, self._workers.count) if suite else None
            order = replace(order, budget=self._budget.share(more=more, seconds=seconds, part=part))
        alone = order.is_here or order.budget is not None
        lead = None if alone else self._workers.lead()
        began = time.perf_counter()
        with closing(lead) if lead else nullcontext():
            journal = self._workers.journal
            outcome = audit_item(replace(order, share=lead), first, self._against(), self._interrupted, journal)
        if self._budget:
            self._budget.spend(time.perf_counter() - began, audited=bool(outcome.audit.audited))
        self._orders.seeing = outcome.seeing
        if self._survey and outcome.audit.refused and not outcome.audit.reached:
            outcome.audit = replace(outcome.audit, reached=self._survey.reached(item.nodeid))
        outcome.audit = self._accepted.mark(outcome.audit)
        if complaints := self._extensions.tell(item, outcome.audit):
            outcome.audit = replace(outcome.audit, notes=(*outcome.audit.notes, *complaints))
        return outcome

    def _remember(self, outcome: Outcome, logged: list[pytest.TestReport]) -> None:
        """Record what was audited, for the tests that follow."""
        # Another plugin or a mark may make a failing audit an xfail. Then the tests that meet the defect again have to fail.
        failed = any(report.failed for report in logged if report.when == "call")
        known = any(defect.known for defect in outcome.audit.defects)
        failed = failed or (known and not outcome.audit.failures)
        if self._survey:
            self._survey.ends(outcome.audit.test, outcome.audit, failed=failed)
        if outcome.unsettled is not None:
            self._orders.audited.add(outcome.audit, outcome.keys, outcome.unsettled, failed=failed)

    def _against(self) -> str:
        """Return why the test that has just run is not audited, or ``""``."""
        if self._failing_parts:
            return Reason(NotAudited.SUBTESTS_FAILED, number=self._failing_parts)
        if self._elsewhere:
            return self._elsewhere
        return self._survey.reason if self._survey and self._is_left_out else ""

    @property
    def _is_left_out(self) -> bool:
        """Whether the survey has chosen no point of the test under way, or another shard audits it."""
        return self._elsewhere is not None or (self._chosen is not None and not self._chosen.contexts)


def _duration(reports: list[pytest.TestReport], at_most: float) -> float:
    """Return how long a test took according to its reports; ``at_most`` if pytest's clock was stopped or moved (freezegun)."""
    seconds = sum(report.duration for report in reports)
    return seconds if 0.0 < seconds < at_most else at_most
