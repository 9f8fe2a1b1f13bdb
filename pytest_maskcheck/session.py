"""The hooks of an auditing session: which items are audited, where, and what is reported of it."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import tempfile
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck import points, settings
from pytest_maskcheck.audit import Auditor, Judge, Refused, Rules
from pytest_maskcheck.errors import InterruptUnsafe
from pytest_maskcheck.interrupts import choose
from pytest_maskcheck.isolation import CAN_FORK, AuditBroke, Forked, InProcess, Page, in_child
from pytest_maskcheck.reach import Reach, UnknownScope, paused
from pytest_maskcheck.reports import jsonfile, terminal
from pytest_maskcheck.rerun import ItemTarget, drawn, leave, needs_threads, ordinary_run, own_directory, own_output, refusal, stop_timer
from pytest_maskcheck.resources import Surroundings, default_kinds, self_test
from pytest_maskcheck.results import Audit, PointResult
from pytest_maskcheck.run import Runner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_maskcheck.interrupts import Engine
    from pytest_maskcheck.settings import Settings

_SILENCE = 60.0
"""Seconds without a word from the auditor after which it counts as hung; its own watchdog comes first."""

class AuditingSession:
    """Registered only where something is to be audited."""

    def __init__(self, config: pytest.Config) -> None:
        """Read the settings.

        Raises:
            pytest.UsageError: one of them cannot be used.
        """
        self._config = config
        self._common = settings.from_config(config)
        self._reports = settings.reports(config)
        self._only = config.getoption("--maskcheck-point") or ""
        if self._only and not points.ID.fullmatch(self._only):
            message = f"--maskcheck-point is {self._only!r}; copy an id such as src/store.py:12:call#1 from a report"
            raise pytest.UsageError(message)
        self._threads = set(threading.enumerate())  # those of other plugins; tests do not need them
        try:
            self._engine, self._engine_why = choose()
        except RuntimeError as error:
            raise pytest.UsageError(str(error)) from None
        self._audits: list[Audit] = []
        self._settings: dict[str, Settings] = {}
        self._scopes: dict[tuple[tuple[str, ...], tuple[str, ...]], Reach] = {}

    # What is audited

    def pytest_report_header(self) -> str:
        """Say how audits are made, and why so."""
        isolation, why = self._isolation(self._common["isolation"])
        return f"maskcheck: {self._common['points']} points by {self._engine_why}; isolation {isolation} ({why})"

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Check the settings of all tests to audit before the first one runs."""
        for item in items:
            if self._wants(item):
                chosen = settings.for_item(item, self._common)
                try:
                    self._reach(chosen)
                except UnknownScope as error:
                    message = f"{item.nodeid}: maskcheck include or exclude: {error}"
                    raise pytest.UsageError(message) from None
                self._settings[item.nodeid] = chosen

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
        if item.nodeid not in self._settings:
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        reports, completed = ordinary_run(item)
        call = None
        if completed and all(report.passed or report.when == "call" for report in reports):
            stop_timer(item)
            audit = self._audit(item)
            call = self._remake(item, reports, audit)
        leave(item, nextitem, reports)
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
            if call is not None and report.when == "call" and report.failed:
                item.ihook.pytest_exception_interact(node=item, call=call, report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    # How it is audited

    def _audit(self, item: pytest.Item) -> Audit:
        """Audit one test that passed."""
        started = time.perf_counter()
        chosen = self._settings[item.nodeid]
        isolation, why = self._isolation(chosen.isolation, item)
        collected = _Collected()
        self.exception: BaseException | None = None
        reason = refusal(item)
        if not reason:
            assert isinstance(item, pytest.Function)
            with _directory() as directory:
                work = _Work(item, chosen, self._engine, self._reach(chosen), directory, self._only)
                try:
                    if isolation == "fork":
                        self._fork(work, collected)
                    else:
                        with paused():
                            work.here(collected.take)
                        self.exception = work.runner.exception
                except Refused as refused:
                    reason = str(refused)
        return Audit(
            test=item.nodeid,
            engine=self._engine.name,
            isolation=f"{isolation}: {why}",
            mode=chosen.points,
            points=tuple(collected.plan.points),
            results=collected.complete(),
            left_out=collected.plan.left_out,
            notes=tuple(collected.notes),
            ignores=collected.ignores,
            refused=reason or collected.refused,
            seconds=time.perf_counter() - started,
        )

    def _fork(self, work: _Work, collected: _Collected) -> None:
        page = Page()

        def in_auditor(say: Callable[[object], None]) -> None:
            def tell(message: object) -> None:
                page.begin(0)
                say(message)

            own_output(self._config)
            own_directory(self._config, work.directory)
            with paused():
                work.isolated(tell)

        try:
            with closing(in_child(in_auditor, page, lambda: _SILENCE + 10 * work.limit, leader=True)) as said:
                death = yield_all(said, collected.take)
            if death is not None:
                collected.take(Refused(f"the auditing process died: {death.detail}"))
        except AuditBroke as broken:
            raise RuntimeError(f"maskcheck itself failed while it audited {work.item.nodeid}\n{broken}") from None
        finally:
            page.close()

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
        if self._only:
            return "none", "one point, so that a debugger can look at it"
        if self._config.getoption("usepdb", False):
            return "none", "--pdb needs live frames"
        if not CAN_FORK:
            return "none", "this platform cannot fork; hangs and crashes are not caught"
        others = sorted(thread.name for thread in set(threading.enumerate()) - self._threads)
        if others and item is not None and needs_threads(item):
            return "none", f"a fork would lose running threads: {', '.join(others)}; hangs and crashes are not caught"
        return "fork", "clean processes, so that hangs and crashes are caught"

    # What is reported

    def _remake(
        self, item: pytest.Item, reports: list[pytest.TestReport], audit: Audit
    ) -> pytest.CallInfo[None] | None:
        """Put the audit's outcome in place of the call report."""
        position = next(index for index, report in enumerate(reports) if report.when == "call")
        call = None
        if audit.failures:
            failure = InterruptUnsafe(terminal.message(audit))
            traceback = self.exception.__traceback__ if self.exception else None

            def fail() -> None:
                raise failure.with_traceback(traceback)

            call = pytest.CallInfo.from_call(fail, "call")
            report: pytest.TestReport = item.ihook.pytest_runtest_makereport(item=item, call=call)
            report.longrepr = drawn(audit.failures[0].traceback, str(failure))
            report.sections = [*reports[position].sections]
            report.duration = reports[position].duration
            reports[position] = report
        report = reports[position]
        report.duration += audit.seconds
        if audit.defects or audit.refused:
            report.sections.append(("maskcheck", terminal.section(audit, self._command(item))))
        report.maskcheck = audit.to_json()  # type: ignore[attr-defined]  # plain data travels with xdist
        return call

    def _command(self, item: pytest.Item) -> list[str]:
        """Return the command that runs the item under the settings of this session."""
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

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect audits, also those of other workers."""
        data = getattr(report, "maskcheck", None)
        if data is not None:
            self._audits.append(Audit.from_json(data))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the reports that were asked for."""
        if hasattr(self._config, "workerinput"):
            return
        for _, path in self._reports:
            jsonfile.write(path, self._audits)
        if self._only and not any(audit.results for audit in self._audits):
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show totals, what was only listed, and what was not audited and why."""
        if self._only and not any(audit.results for audit in self._audits):
            terminalreporter.write_line(
                f"ERROR: no test that ran comes to the point {self._only}; the code may have changed since: "
                "run with --maskcheck for the current ids"
            )
        if self._audits:
            terminalreporter.section("maskcheck")
            for line in terminal.summary(self._audits):
                terminalreporter.write_line(line)


class _Collected:
    """What an audit said so far."""

    def __init__(self) -> None:
        self.plan = points.Plan()
        self.results: dict[str, PointResult] = {}
        self.notes: list[str] = []
        self.refused = ""
        self.ignores: dict[str, bool] = {}

    def take(self, message: object) -> None:
        """Take one message of the audit."""
        if isinstance(message, points.Plan):
            self.plan = message
        elif isinstance(message, PointResult):
            self.results[message.point] = message
        elif isinstance(message, Refused):
            self.refused = str(message)
        elif isinstance(message, dict):
            self.ignores = message
        elif isinstance(message, str):
            self.notes.append(message)

    def complete(self) -> tuple[PointResult, ...]:
        """Return a result for every point; those without one were not audited."""
        return tuple(
            self.results.get(point.id) or PointResult(point.id, reason=self.refused or "the audit ended early")
            for point in self.plan.points
        )


class _Work:
    """The audit of one item, wherever it happens."""

    def __init__(  # noqa: PLR0913
        self, item: pytest.Function, chosen: Settings, engine: Engine, reach: Reach, directory: str, only: str
    ) -> None:
        self.item = item
        self.limit = chosen.timeout
        self._chosen = chosen
        self._only = only
        self.directory = os.path.join(directory, "p")
        self._names = points.Names(str(item.config.rootpath))
        self._reach = reach
        self._surroundings = Surroundings()
        self._kinds = default_kinds(self._surroundings)
        target = ItemTarget(item, {"tmp": os.path.join(directory, "t")})
        self.runner = Runner(target, self._kinds, self._surroundings, self._names, self._reach.in_scope)
        self._auditor = Auditor(self.runner, engine, self._reach, chosen.points, signal.SIGINT)

    def isolated(self, tell: Callable[[object], None]) -> None:
        """Audit in forked workers; called in the auditing process."""
        self._audit(tell, lambda: Forked(self._auditor.make_run, self.limit, self._names.short))

    def here(self, tell: Callable[[object], None]) -> None:
        """Audit in this process."""
        self.runner.here = True
        self.runner.keep = bool(self._only)
        try:
            self._audit(tell, lambda: InProcess(self._auditor.make_run))
        finally:
            gc.unfreeze()

    def _audit(self, tell: Callable[[object], None], executor: Callable[[], Any]) -> None:
        try:
            plan = self._auditor.find(self._choose, self.item.path.as_posix())
            tell(points.Plan(plan.points, {}, plan.left_out))
            tell({f"{self._names.short(path)}:{line}": used for (path, line), used in self._reach.ignores().items()})
            if not plan.points:
                return
            for name, reason in self_test(self._kinds).items():
                tell(f"kind {name} is blind here: {reason}")
            baseline, seconds = self._auditor.baseline()
            for kind, key in sorted(baseline):
                tell(f"left behind by the uninterrupted test too, and so no finding: {kind}:{key}")
        except Refused as refused:
            tell(refused)
            return
        self.limit += 10 * seconds
        rules = Rules(self._chosen.strict, self._chosen.may_swallow, self._chosen.allow)
        Judge(executor(), plan, rules, baseline, tell).audit()

    def _choose(self, recording: Any) -> points.Plan:
        return points.plan(
            recording,
            self._names,
            self._reach.reason_against,
            hits=self._chosen.hits,
            max_points=self._chosen.max_points,
            only=self._only,
        )


def yield_all(said: Any, take: Callable[[object], None]) -> Any:
    """Give all that a child says to ``take``; return how it died."""
    while True:
        try:
            message = next(said)
        except StopIteration as end:
            return end.value
        take(message)


@contextmanager
def _directory() -> Iterator[str]:
    """Make ``tempfile`` use a directory of the audit's own: what others do in the shared one is no finding.

    Yields a directory with room beside that one (``t``) for ``tmp_path`` (``p``).
    """
    before = tempfile.tempdir
    directory = os.path.realpath(tempfile.mkdtemp(prefix="mc-"))
    for name in "tp":
        os.mkdir(os.path.join(directory, name))
    tempfile.tempdir = os.path.join(directory, "t")
    try:
        yield directory
    finally:
        tempfile.tempdir = before
        shutil.rmtree(directory, ignore_errors=True)
