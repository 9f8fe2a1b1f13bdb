"""The hooks of an auditing session: which items are audited, where, and what is reported of it."""

from __future__ import annotations

import sys
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck import InterruptUnsafe, settings
from pytest_maskcheck.audit.budget import Budget
from pytest_maskcheck.audit.sharing import CAN_SPREAD, POLL, Board, Helper
from pytest_maskcheck.interrupts import EngineUnavailableError, choose
from pytest_maskcheck.points import plan as points
from pytest_maskcheck.points.plan import FIRST
from pytest_maskcheck.points.reach import Reach, UnknownScopeError
from pytest_maskcheck.reasons import NotAudited, Reason, count
from pytest_maskcheck.reports import account, formats
from pytest_maskcheck.reports.nothing import Nothing, nothing
from pytest_maskcheck.reports.scope import scope_line
from pytest_maskcheck.reports.summary import summary
from pytest_maskcheck.resources import Surroundings, default_kinds, kind_defaults
from pytest_maskcheck.resources.set_once import SetOnce
from pytest_maskcheck.results import Audit
from pytest_maskcheck.runs import effects
from pytest_maskcheck.runs.isolation import CAN_FORK
from pytest_maskcheck.session.assembly import Channel, Order
from pytest_maskcheck.session.attempts import held_back, made_by_others
from pytest_maskcheck.session.auditing import FirstUse, Outcome, assist, audit_item, broken, shared_descriptors
from pytest_maskcheck.session.extensions import Extensions
from pytest_maskcheck.session.item import (
    directories,
    drawn,
    fixtures,
    in_call_phase,
    leave,
    let_go,
    numbered_places,
    ordinary_run,
    report_of,
    stop_timer,
    unlogged,
)
from pytest_maskcheck.session.progress import Progress
from pytest_maskcheck.system import signals
from pytest_maskcheck.system.breakdown import breakdown_of
from pytest_maskcheck.system.unpatched import keep, keep_there, put_own_back, threading, time, unpatched

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from pytest_maskcheck.settings import Settings


keep("json", "json.decoder", "json.encoder", "traceback")
keep_there("copyreg", *(name for name in sys.modules if name.partition(".")[0] == "pytest_maskcheck"))


@dataclass(frozen=True, slots=True, repr=False)
class _Failed:
    """The report of a test whose audit failed, for a debugger."""

    item: pytest.Item
    report: pytest.TestReport
    call: pytest.CallInfo[None]

    def interact(self) -> None:
        """Let other plugins, such as ``--pdb``, see the failure."""
        with in_call_phase(self.item, "pytest_exception_interact"):
            self.item.ihook.pytest_exception_interact(node=self.item, call=self.call, report=self.report)


class AuditingSession:
    """Registered only where something is to be audited."""

    def __init__(self, config: pytest.Config) -> None:
        """Read the settings.

        Raises:
            pytest.UsageError: one of them cannot be used.
        """
        self._config = config
        self._common = settings.from_config(config)
        self._reports = settings.reports(config, formats.parse)
        seconds = settings.budget(config)
        self._budget = None if seconds is None else Budget(seconds)
        self._only = settings.point(config, points.is_id)
        # Whoever asks for one point wants to see what happens there.
        self._may_audit_none = settings.allow_none(config) and not self._only
        self._shard = settings.shard(config)
        self._is_worker = hasattr(config, "workerinput")  # of xdist
        self._board: Board | None = None
        self._helper: Helper | None = None
        self._first: FirstUse | None = None
        self._threads: dict[pytest.FixtureDef[Any], set[threading.Thread]] = {}
        self._channels: dict[pytest.FixtureDef[Any], Channel] = {}
        self._unstarted: Exception | None = None
        self._unnoted: dict[pytest.FixtureDef[Any], Exception] = {}
        try:
            self._engine, self._engine_why = choose()
        except EngineUnavailableError as error:
            raise pytest.UsageError(str(error)) from None
        self._extensions = Extensions(config)
        self._audits: list[Audit] = []
        self._passed: pytest.TestReport | None = None
        self._failed: _Failed | None = None
        self._descriptors: frozenset[int] = frozenset()
        self._blocked: frozenset[int] = frozenset()
        self._progress = Progress(config)
        self._usage = ""
        self._interrupted = False
        self._session: pytest.Session | None = None
        self._failing_parts = 0
        self._ended = False
        self._wanted = 0
        self._nothing: Nothing | None = None
        self._settings: dict[str, Settings] = {}
        self._seeing: dict[str, str] = {}
        self._scopes: dict[tuple[tuple[str, ...], tuple[str, ...]], Reach] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        """Be there for other workers before the first of them runs a test; note the state before there are fixtures."""
        self._attend()
        try:
            self._descriptors = effects.descriptors()
            self._blocked = signals.blocked()
        except Exception as error:  # noqa: BLE001  (ours: it is told where a test is audited)
            self._unstarted = error

    # What is audited

    def pytest_report_header(self) -> list[str]:
        """Say how audits are made, and why so, and of which code."""
        isolation, why = self._isolation(self._common["isolation"])
        shard = f"; shard {self._shard}" if self._shard else ""
        how = f"maskcheck: {self._common['points']} points by {self._engine_why}; isolation {isolation} ({why}){shard}"
        include, exclude = self._common["include"], self._common["exclude"]
        with suppress(UnknownScopeError):  # a test that is to be audited makes a usage error of it
            reach = Reach(str(self._config.rootpath), include, exclude)
            project = reach.project
            root = str(self._config.rootpath)
            places = [place for place in (*project.directories, *project.files) if place != root] if project else []
            named = scope_line(include, exclude, reach.configured, project.name if project else "", places)
            return [how, f"maskcheck: scope: {named}"]
        return [how]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Check the settings of all tests to audit before the first one runs."""
        try:
            self._check(items)
        except pytest.UsageError as error:
            if not self._is_worker:
                raise
            # xdist would make an internal error of the exception.
            self._config.workeroutput["maskcheck_usage"] = str(error)  # type: ignore[attr-defined]
            items.clear()

    def _check(self, items: list[pytest.Item]) -> None:
        for item in items:
            if self._wants(item):
                chosen = settings.for_item(item, self._common)
                try:
                    self._reach(chosen)
                    settings.switched(chosen.kinds, self._kinds())
                except UnknownScopeError as error:
                    message = f"{item.nodeid}: {error}"
                    raise pytest.UsageError(message) from None
                except pytest.UsageError as error:
                    message = f"{item.nodeid}: maskcheck {error}"
                    raise pytest.UsageError(message) from None
                self._settings[item.nodeid] = chosen
        self._wanted = len(self._settings)
        if self._is_worker:
            self._config.workeroutput["maskcheck_wanted"] = self._wanted  # type: ignore[attr-defined]
        if self._budget:
            self._budget.expect(len(self._settings), getattr(self._config, "workerinput", {}).get("workercount", 1))

    def pytest_report_collectionfinish(self, items: list[pytest.Item]) -> list[str]:
        """Say how many tests are to be audited."""
        quiet = self._config.get_verbosity() < 0
        return [] if quiet else [f"maskcheck: {self._wanted} of {count(items, 'test')} to audit"]

    def _kinds(self) -> dict[str, bool]:
        """Return the names of all kinds, those of other plugins included, and whether each is looked for by default."""
        return kind_defaults() | {kind.name: kind.default for kind in self._extensions.kinds()}

    def _reach(self, chosen: Settings) -> Reach:
        """Return the scope for these settings; tests that share it share what was read of coverage's configuration."""
        scope = (chosen.include, chosen.exclude)
        if scope not in self._scopes:
            self._scopes[scope] = Reach(str(self._config.rootpath), *scope)
        return self._scopes[scope]

    def _wants(self, item: pytest.Item) -> bool:
        marked = item.get_closest_marker(settings.MARKER) is not None
        return marked or bool(self._config.getoption("--maskcheck-all")) or bool(self._only)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Run a test that is to be audited as usual, audit it, and report once."""
        if self._helper is not None:
            self._assist(item, self._helper)
            return True
        if item.nodeid not in self._settings:
            return None
        if self._budget:
            self._budget.begins()
        self._failed = self._passed = None
        if made_by_others(item, nextitem, partial(self._attempt_of_others, item)):
            return True
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._attempt(item, nextitem)[1]:
            self._log(item, report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _attempt(
        self, item: pytest.Item, nextitem: pytest.Item | None, said: list[pytest.TestReport] | None = None
    ) -> tuple[list[pytest.TestReport], list[pytest.TestReport]]:
        """Run a test as usual, and audit it if it passes.

        Parameters:
            item: the test.
            nextitem: the test that follows.
            said: what is logged by whoever makes the attempts; without a report of the call in it, another one follows.

        Returns:
            The reports of the ordinary run, and those to be logged.
        """
        with self._first_used(item) as first:
            self._failing_parts = 0
            once = self._set_once(item)
            began = time.perf_counter()
            reports, completed = ordinary_run(item, first.fork if first else lambda: None, once, log=said is not None)
            seconds = _taken(reports, time.perf_counter() - began) - (first.seconds if first else 0.0)
            logged = [*reports] if said is None else said
            if said is not None:  # what is held back was not counted
                self._failing_parts += sum(report.failed for report in said)
            passed = completed and all(report.passed or report.when == "call" for report in reports)
            if passed and any(report.when == "call" for report in logged):
                stop_timer(item)
                outcome = self._audited(item, seconds, first, left=once.left, more=nextitem is not None)
                call = self._remade(item, logged, outcome)
                if call is not None:
                    self._failed = _Failed(item, next(report for report in logged if report.when == "call"), call)
        leave(item, nextitem, logged)
        return reports, logged

    def _attempt_of_others(self, item: pytest.Item, log: bool, nextitem: pytest.Item | None) -> list[pytest.TestReport]:
        """Make an attempt for a plugin that makes another if this one fails; what the audit found is no reason for that."""
        self._passed = None
        with held_back(item.config) as said:
            reports, logged = self._attempt(item, nextitem, said if log else None)
        for report in said:
            self._log(item, report)
        if (
            not log
        ):  # the plugin looks at the reports first: until it logs them, the audit's verdict is none of its business
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

    # How it is audited

    @contextmanager
    def _first_used(self, item: pytest.Item) -> Iterator[FirstUse | None]:
        """Yield what audits the first use of things in a test, if that is possible for it; it forks when fixtures are there."""
        self._first = None
        if isinstance(item, pytest.Function) and (not self._only or FIRST in self._only):
            self._first = FirstUse(partial(self._order, item), partial(let_go, item))
        try:
            yield self._first
        finally:
            if self._first is not None:
                self._first.close()
            self._first = None

    def _set_once(self, item: pytest.Item) -> SetOnce:
        """Return what looks at the process state that the ordinary run of a test leaves."""
        chosen = self._settings[item.nodeid]
        surroundings = Surroundings(in_scope=self._reach(chosen).covers)
        names = settings.switched(chosen.kinds, self._kinds())
        kinds = [kind for kind in default_kinds(surroundings) if kind.name in names]
        return SetOnce(kinds, surroundings, partial(directories, item))

    def _audited(
        self, item: pytest.Item, seconds: float, first: FirstUse | None, *, left: frozenset[str], more: bool
    ) -> Outcome:
        """Audit one test that passed; an error of ours is an outcome, too, and the session goes on.

        Parameters:
            item: the test.
            seconds: that it took.
            first: the process for what only the first run reaches.
            left: the process state that it left behind.
            more: further tests are to come.
        """
        put_own_back()
        try:
            return self._audit(item, seconds, first, left=left, more=more)
        except Exception as error:  # noqa: BLE001  (see above)
            return Outcome(broken(item.nodeid, error), self._seeing)

    def _audit(
        self, item: pytest.Item, seconds: float, first: FirstUse | None, *, left: frozenset[str], more: bool
    ) -> Outcome:
        """See :meth:`_audited`."""
        if self._unstarted is not None:
            raise self._unstarted
        order = replace(self._order(item, seconds), left=left)
        if order.isolation != "fork":
            signals.collect_garbage()  # of the test itself: what is collected in the audit says nothing
        if self._budget and not self._only:
            order = replace(order, budget=self._budget.share(more=more, seconds=seconds))
        alone = order.isolation != "fork" or order.budget is not None
        lead = self._shared_board.lead() if self._shared_board and not alone else None
        began = time.perf_counter()
        with closing(lead) if lead else nullcontext():
            outcome = audit_item(replace(order, share=lead), first, self._against())
        if self._budget:
            self._budget.spend(time.perf_counter() - began, audited=bool(outcome.audit.audited))
        self._seeing = outcome.seeing
        if complaints := self._extensions.tell(item, outcome.audit):
            outcome.audit = replace(outcome.audit, notes=(*outcome.audit.notes, *complaints))
        return outcome

    def _against(self) -> str:
        """Return why the test that has just run is not audited, or ``""``."""
        return Reason(NotAudited.SUBTESTS_FAILED, number=self._failing_parts) if self._failing_parts else ""

    def _order(self, item: pytest.Item, seconds: float) -> Order:
        """Return what is to be done with a test that took so long."""
        chosen = self._settings[item.nodeid]
        isolation, why = self._isolation(chosen.isolation, item)
        return Order(
            item,
            chosen,
            self._engine,
            self._reach(chosen),
            isolation,
            why,
            self._only,
            self._seeing,
            self._extensions,
            seconds,
            self._known_descriptors(),
            self._channels_of(item),
            self._blocked,
            progress=self._progress,
            shard=self._shard,
            over=self._is_over,
        )

    @property
    def _shared_board(self) -> Board | None:
        """The board, if this is one of several workers that help each other."""
        shared = self._board is not None and self._is_worker and self._board.workers > 1 and not self._only
        return self._board if shared else None

    def _is_over(self) -> bool:
        """Tell whether this is a worker of xdist whose session has ended, or was interrupted."""
        return self._is_worker and self._board is not None and not self._board.is_open()

    def _isolation(self, asked: str, item: pytest.Item | None = None) -> tuple[str, str]:
        """Return how audited runs are isolated, and why so.

        Raises:
            pytest.UsageError: isolation by fork is asked for where there is no fork.
        """
        if asked == "fork" and not CAN_FORK:
            message = "maskcheck isolation is 'fork', but this platform cannot fork; use isolation=none"
            raise pytest.UsageError(message)
        if asked != "auto":
            return asked, "as asked"
        if self._only and FIRST not in self._only:
            return "none", "one point, so that a debugger can look at it"
        if self._config.getoption("usepdb", False):
            return "none", "--pdb needs live frames"
        if not CAN_FORK:
            return "none", "this platform cannot fork; hangs and crashes are not caught"
        others = sorted(thread.name for thread in self._threads_of(item))
        if others:
            return "none", f"a fork would lose running threads: {', '.join(others)}; hangs and crashes are not caught"
        return "fork", "clean processes, so that hangs and crashes are caught"

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        """Note the threads that a longer-lived fixture starts, which do not survive a fork, and what it shares with other processes."""
        if fixturedef.scope == "function":
            if self._first is not None:
                self._first.fork()
            return (yield)
        if self._first is not None:
            self._first.comes_late(fixturedef.argname)
        try:
            before, began = set(threading.enumerate()), time.perf_counter()
            opened = effects.Opened(partial(numbered_places, self._config))
        except Exception as error:  # noqa: BLE001  (ours: it is told where a test is audited)
            self._unnoted[fixturedef] = error
            return (yield)
        with opened.watching():
            result = yield
        try:
            seconds = time.perf_counter() - began
            if started := set(threading.enumerate()) - before:
                self._threads[fixturedef] = started
            if shared := opened.shared():
                # Django's test database has a name: whoever sets it up again drops the one that is there.
                fixed = fixturedef.argname == "django_db_setup" or opened.is_fixed()
                self._channels[fixturedef] = Channel(
                    fixturedef.argname, shared, opened.descriptors(), seconds, fixed=fixed
                )
        except Exception as error:  # noqa: BLE001  (see above)
            self._unnoted[fixturedef] = error
        return result

    def _threads_of(self, item: pytest.Item | None) -> set[threading.Thread]:
        """Return the running threads of the fixtures that an item uses."""
        used = fixtures(item) if item is not None else []
        return {thread for fixture in used for thread in self._threads.get(fixture, ()) if thread.is_alive()}

    def _known_descriptors(self) -> frozenset[int]:
        """Return those that were open when the session began, and those of the process that is kept cold."""
        return self._descriptors | (self._first.descriptors if self._first else frozenset())

    def _channels_of(self, item: pytest.Item) -> tuple[Channel, ...]:
        """Return what an item shares with other processes and threads, for longer than a run."""
        used = set(fixtures(item))
        for fixture in used & self._unnoted.keys():
            raise self._unnoted[fixture]
        channels = [channel for fixture, channel in self._channels.items() if fixture in used and fixture.cached_result]
        threads = sorted(thread.name for thread in self._threads_of(item))
        owned = {fd for channel in self._channels.values() for fd in channel.descriptors}
        others = shared_descriptors(self._known_descriptors() | owned)
        return (
            *channels,
            *(Channel("", f"a thread is running: {name}") for name in threads),
            *(Channel("", what) for what in others),
        )

    # Who helps whom, where several workers of xdist run tests

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker on this machine where points are offered to others, and where it can see that the session goes on."""
        if not (CAN_SPREAD and CAN_FORK and node.gateway.spec.popen):
            return
        with suppress(OSError):  # no room for a board: every worker for itself
            self._board = self._board or Board.make()
            node.workerinput["maskcheck_board"] = self._board.path

    def _attend(self) -> None:
        given = getattr(self._config, "workerinput", {})
        if "maskcheck_board" in given:
            board = Board(given["maskcheck_board"], given["workerid"], given["workercount"])
            with suppress(OSError):
                board.attend()
                self._board = board

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Help other workers when this one has run out of tests."""
        try:
            result = yield
            if self._shared_board and not (session.shouldfail or session.shouldstop):
                self._help(session, self._shared_board)
            # Neither --collect-only nor --setup-only runs tests.
            option = self._config.option  # plugins that are switched off register none
            self._ended = not (option.collectonly or getattr(option, "setuponly", False))
            return result
        finally:
            if self._board and self._is_worker:
                self._board.leave()

    def _help(self, session: pytest.Session, board: Board) -> None:
        """Help with one long audit after another, until nobody runs tests any more."""
        board.rest()
        items = {item.nodeid: item for item in reversed(session.items) if item.nodeid in self._settings}
        known: set[str] = set()
        while board.is_open():
            helper = board.look(known)
            if helper is None:
                if not board.others_run():
                    return
                time.sleep(POLL)
                continue
            known.add(helper.name)
            if item := items.get(helper.offer.audit.test):
                self._helper = helper
                try:
                    item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
                finally:
                    self._helper = None

    def _assist(self, item: pytest.Item, helper: Helper) -> None:
        """Help to audit a test, which is run here first: its fixtures of longer life are torn down afterwards. Report nothing."""
        began = time.perf_counter()
        with unlogged(item):
            reports, completed = ordinary_run(item)
        seconds = _taken(reports, time.perf_counter() - began)
        try:
            if completed and all(report.passed for report in reports):
                stop_timer(item)
                with suppress(Exception):  # the owner meets what is wrong, and tells it
                    order = self._order(item, seconds)
                    if order.isolation == "fork":
                        self._seeing = assist(replace(order, share=helper))
        finally:
            with unlogged(item):
                leave(item, None, reports)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: Any) -> None:
        """Attach to the report of a worker's death what is known of the audit that it made."""
        audit = self._board.left_behind(crashitem, report.node.gateway.id) if self._board else None
        if audit is not None:
            report.sections.append(("maskcheck", account.section(audit, self._command())))
            report.maskcheck = audit.to_json()

    def pytest_unconfigure(self) -> None:
        """Remove the board when all workers are gone."""
        if self._board and not self._is_worker:
            self._board.remove()

    # What is reported

    def _remade(
        self, item: pytest.Item, reports: list[pytest.TestReport], outcome: Outcome
    ) -> pytest.CallInfo[None] | None:
        """Put the audit's outcome in place of the call report; an error of ours on the way is an outcome, too."""
        with unpatched():  # pytest draws tracebacks with functions that a test may leave replaced
            try:
                return self._remake(item, reports, outcome)
            except Exception as error:  # noqa: BLE001  (see above)
                return self._remake(item, reports, Outcome(broken(item.nodeid, error), self._seeing))

    def _remake(
        self, item: pytest.Item, reports: list[pytest.TestReport], outcome: Outcome
    ) -> pytest.CallInfo[None] | None:
        """Put the audit's outcome in place of the call report."""
        data = outcome.audit.to_json()  # plain data travels with xdist
        audit = Audit.from_json(data)
        position = next(index for index, report in enumerate(reports) if report.when == "call")
        call = None
        trouble = ""
        if audit.failures or audit.broken:
            failure = InterruptUnsafe(account.message(audit))
            traceback = outcome.exception.__traceback__ if outcome.exception else None

            def fail() -> None:
                raise failure.with_traceback(traceback)

            call = pytest.CallInfo.from_call(fail, "call")
            with in_call_phase(item, "pytest_runtest_makereport"):
                report, trouble = report_of(item, call)
            hint = account.hint(audit, self._command())
            report.longrepr = drawn(audit.failures[0].traceback if audit.failures else (), str(failure), hint)
            report.sections = [*reports[position].sections]
            report.duration = reports[position].duration
            reports[position] = report
        report = reports[position]
        report.duration += audit.seconds
        if audit.defects or audit.refused or audit.broken:
            report.sections.append(("maskcheck", account.section(audit, self._command())))
        if trouble:
            report.sections.append(
                ("maskcheck", f"a hook pytest_runtest_makereport of another plugin raised {trouble}\n")
            )
        report.maskcheck = data  # type: ignore[attr-defined]
        return call

    def _command(self) -> list[str]:
        """Return the command that runs a test under the settings of this session."""
        words = ["pytest"]
        for row in settings.TABLE:
            value = self._config.getoption(row.option)
            if value is True:
                words.append(row.option)
            elif isinstance(value, list):
                words += [f"{row.option}={entry}" for entry in value]
            elif value is not None and row.name != "isolation":
                words.append(f"{row.option}={value}")
        return words

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, object, object]:
        """Collect audits, also those of other workers; count what is reported while a test runs: failing subtests of it."""
        self._failing_parts += report.failed
        failed = self._failed if report is self._passed else None
        if failed:
            vars(report).update(vars(failed.report))
        data = getattr(report, "maskcheck", None)
        if data is not None:
            self._audits.append(Audit.from_json(data))
        result = yield
        if failed:
            failed.interact()
        return result

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Learn from a worker of xdist that a marker cannot be used, and how many tests were to be audited."""
        output = getattr(node, "workeroutput", {})
        self._usage = output.get("maskcheck_usage", self._usage)
        self._wanted = max(self._wanted, output.get("maskcheck_wanted", 0))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the reports that were asked for, and see to the exit status."""
        if self._is_worker:
            return
        self._session = session
        if self._board:
            self._board.close()
        refused = [audit for audit in self._audits if audit.refused]
        if self._only and len(refused) < len(self._audits) and not any(audit.results for audit in self._audits):
            self._usage = self._usage or (
                f"no test that ran comes to the point {self._only}; the code may have changed since: "
                "run with --maskcheck for the current ids"
            )
        try:
            self._write_reports()
        except KeyboardInterrupt:  # which pytest itself expects no more: the session ends at once, and in order
            self._interrupted = True
            session.exitstatus = pytest.ExitCode.INTERRUPTED
            return
        if self._usage:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        elif self._ended and not any(audit.audited or audit.is_elsewhere for audit in self._audits):
            marked = not (self._config.getoption("--maskcheck-all") or self._only)
            self._nothing = Nothing(self._wanted, len(self._audits), marked, self._may_audit_none, bool(self._only))
            if not self._may_audit_none and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED

    def _write_reports(self) -> None:
        for form, path in self._reports:
            try:
                with unpatched():
                    formats.write(form, path, self._audits, str(self._shard or ""))
            except OSError as error:
                self._usage = f"the report cannot be written: {error}"
            except Exception as error:  # noqa: BLE001  (ours: the session ends in order)
                self._usage = f"the report cannot be written: {breakdown_of(error).reason}"

    def _fail(self) -> None:
        """Let a session that went well end otherwise."""
        if self._session is not None and self._session.exitstatus == pytest.ExitCode.OK:
            self._session.exitstatus = pytest.ExitCode.INTERNAL_ERROR

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show totals, what was only listed, and what was not audited and why."""
        if self._usage:
            terminalreporter.write_line(f"ERROR: {self._usage}")
        if self._interrupted:
            terminalreporter.write_line("INTERRUPTED while the report was made: it was not written")
        if self._audits or self._nothing:
            terminalreporter.section("maskcheck")
            try:
                lines = [*summary(self._audits)]
            except Exception as error:  # noqa: BLE001  (ours: what other plugins have to say comes out)
                lines = [breakdown_of(error).reason]
                self._fail()
            for line in lines:
                terminalreporter.write_line(line)
        if self._nothing:
            terminalreporter.write_line(
                nothing(self._nothing), yellow=self._may_audit_none, red=not self._may_audit_none
            )


def _taken(reports: list[pytest.TestReport], at_most: float) -> float:
    """Return how long a test took by its reports; or at most, where pytest's clock was stopped or moved (freezegun)."""
    seconds = sum(report.duration for report in reports)
    return seconds if 0.0 < seconds < at_most else at_most
