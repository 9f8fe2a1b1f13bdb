"""The hooks of pytest and xdist in an auditing session; each delegates to the module that does the work."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import pytest_maskcheck.session.fixture  # noqa: F401  (imported now: a test may replace imports and fake files)
from pytest_maskcheck import settings
from pytest_maskcheck.audit.budget import Budget
from pytest_maskcheck.interrupts import EngineUnavailableError, choose
from pytest_maskcheck.points.cover import Depth
from pytest_maskcheck.points.ids import is_id
from pytest_maskcheck.reasons import count
from pytest_maskcheck.reports import account, formats
from pytest_maskcheck.results import Audit
from pytest_maskcheck.session.accepted import Accepted
from pytest_maskcheck.session.audited_items import AuditedItems
from pytest_maskcheck.session.call_report import draw
from pytest_maskcheck.session.changes import Changes
from pytest_maskcheck.session.dealing import Dealing
from pytest_maskcheck.session.expected import Expected
from pytest_maskcheck.session.extensions import Extensions
from pytest_maskcheck.session.github import GitHub
from pytest_maskcheck.session.item_protocol import ItemProtocol
from pytest_maskcheck.session.keeping import Keeping
from pytest_maskcheck.session.left_out import NAME, Collected
from pytest_maskcheck.session.order_maker import OrderMaker
from pytest_maskcheck.session.progress import Progress
from pytest_maskcheck.session.shared_fixtures import SharedFixtures
from pytest_maskcheck.session.summary import Summary, scope_line
from pytest_maskcheck.session.survey import Survey
from pytest_maskcheck.session.workers import Workers
from pytest_maskcheck.system.entered import AT_IMPORT
from pytest_maskcheck.system.lines_since import CAN_NOTE
from pytest_maskcheck.system.own_code import is_in_package
from pytest_maskcheck.system.unpatched import keep, keep_there

if TYPE_CHECKING:
    from collections.abc import Generator

    from pytest_maskcheck.audit.sharing.helper import Helper

# Below all imports: only modules that have been imported by now are kept.
keep("json", "json.decoder", "json.encoder", "traceback")
keep_there("copyreg", *(name for name in sys.modules if is_in_package(name)))


class AuditingSession:
    """The plugin of an auditing session, registered only if something is to be audited."""

    def __init__(self, config: pytest.Config) -> None:
        """Read the settings.

        Raises:
            pytest.UsageError: one of them cannot be used.
        """
        self._config = config
        self._common = settings.from_config(config)
        reports = settings.reports(config, formats.parse)
        chosen = settings.of_session(config)
        cleanup = chosen.cleanup or any(formats.FORMATS[form].notes_lines for form, _ in reports)
        chosen = replace(chosen, cleanup=cleanup and CAN_NOTE)
        self._budget = None if chosen.budget is None else Budget(chosen.budget)
        only = settings.point(config, is_id)
        # --allow-none does not hold for a single point: if it was not audited, the user must notice.
        may_audit_none = chosen.allow_none and not only
        self._shard = settings.shard(config)
        try:
            mechanism, self._engine_why = choose()
        except EngineUnavailableError as error:
            raise pytest.UsageError(str(error)) from None
        self._dealing = Dealing.made(self._shard, chosen)
        extensions = Extensions(config)
        self._accepted = Accepted(config, chosen)
        depth = Depth[chosen.depth.upper()]
        self._workers = Workers(config, only)
        self._items = AuditedItems(config, self._common, only, extensions)
        self._collected = Collected(config, self._items)
        config.pluginmanager.register(self._collected, "maskcheck-collected")
        self._keeping = Keeping(config, self._items, chosen, whole=not (only or self._shard))
        since = None if only else chosen.since
        bases = self._keeping.earlier.bases if self._keeping.earlier else None  # has read source files, and reads more
        self._changes = None if since is None else Changes.since(config, self._items, bases, since)
        self._shared = SharedFixtures(config)
        self._progress = Progress(config)
        self._orders = OrderMaker(
            config,
            self._items,
            mechanism,
            extensions,
            shared=self._shared,
            workers=self._workers,
            progress=self._progress,
            only=only,
            dealing=self._dealing,
            changes=self._changes,
            notes_lines=chosen.cleanup,
        )
        self._expected = Expected()
        self._summary = Summary(
            config,
            reports,
            self._expected,
            self._accepted,
            self._collected,
            only=only,
            shard=self._shard,
            may_audit_none=may_audit_none,
            must_decide=chosen.fail_undecided,
            github=GitHub.of(chosen.github, only=only),
        )
        surveyed = (chosen.budget is not None or depth is not Depth.ALL) and not (only or self._shard)
        time = chosen.budget or float("inf")
        self._survey = Survey(self._items, mechanism, self._workers, depth, time) if surveyed else None
        self._protocol = ItemProtocol(
            self._items,
            self._orders,
            self._workers,
            extensions,
            self._keeping.earlier,
            accepted=self._accepted,
            budget=self._budget,
            survey=self._survey,
            only=only,
            interrupted=self._summary.take_interrupted,
        )
        self._helper: Helper | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        """Announce this worker before any worker runs a test; record the process state before fixtures are set up."""
        self._workers.attend()
        self._protocol.start()

    # What is audited

    def pytest_report_header(self) -> list[str]:
        """Return header lines on how audits are made, why, and which code is in scope."""
        isolation = self._orders.isolation(self._common["isolation"])
        isolated = f"isolation {isolation.how} ({isolation.why})"
        how = f"maskcheck: {self._common['points']} points by {self._engine_why}; {isolated}"
        since = [self._changes.header()] if self._changes else []
        return [how, *scope_line(self._config, self._common), *since, *self._dealing.header(), *self._keeping.header()]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Check the settings of all tests to audit before the first one runs."""
        try:
            self._items.check(items)
        except pytest.UsageError as error:
            if not self._workers.is_worker:
                raise
            # xdist would turn the exception into an internal error.
            self._workers.send("usage", str(error))
            items.clear()
            return
        self._dealing.deal(item.nodeid for item in items if item in self._items)
        self._summary.wanted = self._progress.wanted = len(self._items)
        self._workers.send("wanted", len(self._items))
        self._expected.is_collected = True
        if self._budget:
            self._budget.expect(len(self._items), self._workers.count)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note which code the import of the tests entered, and which tests are to be audited."""
        AT_IMPORT.stop()
        if self._expected.is_collected:  # not if Ctrl-C has ended the collection
            self._expected.add(item.nodeid for item in session.items if item in self._items)
            self._workers.post("expected", [*self._expected.tests])

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note which modules could not be collected; the controller of xdist is passed what workers report."""
        self._expected.take_collection(report)

    def pytest_report_collectionfinish(self, items: list[pytest.Item]) -> list[str]:
        """Return how many tests are to be audited."""
        quiet = self._config.get_verbosity() < 0
        return [] if quiet else [f"maskcheck: {self._summary.wanted} of {count(items, 'test')} to audit"]

    # Tests

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Run a test that is to be audited as usual, audit it, and report once."""
        if self._helper is not None:
            self._protocol.assist(item, self._helper)
            return True
        if item not in self._items:
            return None
        self._protocol.run(item, nextitem)
        self._protocol.end(item)
        self._progress.ended += 1
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        """Watch the setup of each longer-lived fixture; fork the process for first use before the first function-scoped one."""
        first = self._orders.first
        if fixturedef.scope == "function":
            if first is not None:
                first.fork()
            return (yield)
        if first is not None:
            first.comes_late(fixturedef.argname)
        return (yield from self._shared.watched(fixturedef))

    @pytest.hookimpl(wrapper=True, trylast=True)  # the innermost wrapper: those of other plugins read what it returns
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Draw the failure of an audit in the report that other plugins see."""
        report = yield
        draw(item, report)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, object, object]:
        """Collect audits, including those of workers; if a rerunning plugin logs this report, put the failed audit in its place."""
        self._protocol.count_failing(report)
        self._expected.take(report)
        failed = self._protocol.failure_of(report)
        if failed:
            vars(report).update(vars(failed.report))
        audit = getattr(report, "maskcheck", None)
        if audit is not None:
            self._summary.take(audit if isinstance(audit, Audit) else Audit.from_json(audit))
        if text := getattr(report, "maskcheck_earlier", ""):
            self._summary.take_earlier(text)
        result = yield
        if failed:
            failed.interact()
        return result

    # Workers of xdist

    @pytest.hookimpl(wrapper=True)
    def pytest_report_to_serializable(self) -> Generator[None, dict[str, Any] | None, dict[str, Any] | None]:
        """Replace an audit by its plain data: xdist sends reports, and other plugins write them to files."""
        data = yield
        if data is not None and isinstance(audit := data.get("maskcheck"), Audit):
            data["maskcheck"] = audit.to_json()
        return data

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Survey the suite first, if that is wanted; help other workers when this one has run out of tests."""
        try:
            self._make_survey(session)
            result = yield
            if not (session.shouldfail or session.shouldstop):
                self._workers.help((item for item in session.items if item in self._items), self._help)
            self._summary.ended = self._runs_tests
            self._keeping.all_run = self._summary.ended and not (session.shouldfail or session.shouldstop)
            return result
        finally:
            self._workers.leave()

    @property
    def _runs_tests(self) -> bool:
        """Whether tests are run: neither --collect-only nor --setup-only does that."""
        option = self._config.option  # a plugin that is switched off registers no option
        return not (option.collectonly or getattr(option, "setuponly", False))

    def _make_survey(self, session: pytest.Session) -> None:
        if self._survey is None or not self._runs_tests:
            return
        audited = [item for item in session.items if item in self._items]  # none in the controller of xdist
        if len(audited) > 1:
            self._survey.make(audited)
        if self._budget:
            self._budget.spend(self._survey.spent)

    def _help(self, item: pytest.Item, helper: Helper) -> None:
        """Help with the audit of an item, inside the protocol hook that other plugins wrap."""
        self._helper = helper
        try:
            item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
        finally:
            self._helper = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Pass the board's path to a worker."""
        self._workers.configure(node)
        self._keeping.configure(node)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: Any) -> None:
        """Attach what is known of a dead worker's audit to the report of its death."""
        audit = self._workers.left_behind(crashitem, report)
        if audit is None:
            self._expected.take_crash(crashitem)
        elif not self._summary.has(crashitem):
            report.sections.append(("maskcheck", account.section(audit)))
            report.maskcheck = audit.to_json()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Read a worker's output: its usage error, if any, the number of tests to audit, and that of the points that were missed."""
        output = getattr(node, "workeroutput", {})
        self._summary.usage = output.get("maskcheck_usage", self._summary.usage)
        self._summary.wanted = max(self._summary.wanted, output.get("maskcheck_wanted", 0))
        self._summary.missed += output.get("maskcheck_missed", 0)
        self._expected.add(output.get("maskcheck_expected", ()))
        if left_out := output.get(f"maskcheck_{NAME}"):
            self._collected.add(left_out)

    def pytest_unconfigure(self) -> None:
        """Remove the board when all workers are gone."""
        self._workers.remove()

    # The end

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note what ended the session; drop the frames that were interrupted where there is no line: pytest fails when it draws them."""
        self._expected.take_end(excinfo.value)
        excinfo.traceback = excinfo.traceback.filter(_has_line)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the report files, and set the exit status."""
        AT_IMPORT.stop()  # the controller of xdist collects no tests
        self._keeping.close()
        self._summary.missed += self._survey.missed if self._survey else 0
        if self._workers.is_worker:
            self._workers.send("missed", self._summary.missed)
            self._workers.send(NAME, self._collected.to_plain())
            return
        self._expected.runs_tests = self._runs_tests
        if not self._summary.ended:  # by Ctrl-C, or by -x while other workers audit
            for audit in self._workers.in_progress():
                if not self._summary.has(audit.test):
                    self._summary.take_interrupted(audit)
        self._expected.add(self._workers.posted("expected"))
        self._workers.close()
        self._summary.complaints = self._keeping.complaints()
        self._summary.finish(session)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write the summary of all audits."""
        self._summary.write(terminalreporter)


def _has_line(entry: Any) -> bool:
    try:
        return entry.lineno is not None
    except TypeError:
        return False
