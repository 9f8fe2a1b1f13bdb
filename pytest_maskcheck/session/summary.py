"""What a session reports besides its tests: header, report files, exit status and summary."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.points.reach import Reach
from pytest_maskcheck.points.scope_entries import UnknownScopeError
from pytest_maskcheck.reports import formats
from pytest_maskcheck.reports.baseline import changes
from pytest_maskcheck.reports.nothing import Nothing, nothing
from pytest_maskcheck.reports.retelling import retold
from pytest_maskcheck.reports.scope import scope_line as named_scope
from pytest_maskcheck.reports.summary import summary, undecided, unfinished
from pytest_maskcheck.results import Audit
from pytest_maskcheck.results.briefs import Brief
from pytest_maskcheck.session.properties import add_to_session
from pytest_maskcheck.session.terminal_appearance import TerminalAppearance
from pytest_maskcheck.system.breakdown import breakdown_of
from pytest_maskcheck.system.unpatched import unpatched

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_maskcheck.reports.appearance import Appearance
    from pytest_maskcheck.reports.baseline import After
    from pytest_maskcheck.session.accepted import Accepted
    from pytest_maskcheck.session.expected import Expected
    from pytest_maskcheck.session.github import GitHub
    from pytest_maskcheck.session.left_out import Collected
    from pytest_maskcheck.settings import Shard


def scope_line(config: pytest.Config, common: Mapping[str, Any]) -> list[str]:
    """Return the line of the header that names the code in scope."""
    include, exclude = common["include"], common["exclude"]
    with suppress(UnknownScopeError):  # a usage error, but only if a test is to be audited
        reach = Reach(str(config.rootpath), include, exclude)
        project = reach.scope.project
        root = str(config.rootpath)
        places = [place for place in (*project.directories, *project.files) if place != root] if project else []
        named = named_scope(include, exclude, reach.scope.configured, project.name if project else "", places)
        return [f"maskcheck: scope: {named}"]
    return []


class Summary:
    """Collects the audits of a session, and reports them at its end.

    Parameters:
        config: pytest's configuration.
        reports: format and path of each file to write.
        expected: the tests that were to be audited, and how they ended.
        accepted: the defects that are known.
        collected: what was left out before tests ran.
        only: the id of the only point to audit, or ``""``.
        shard: the part of the points that is audited; ``None``: all of them.
        may_audit_none: a session where nothing was audited may end with exit status 0.
        must_decide: points without a verdict, and tests without an audit, fail the session.
        github: what GitHub Actions reads; ``None`` if nothing is to be written for it.

    Attributes:
        wanted: how many tests were to be audited.
        missed: how many points no test was audited at, as those that were chosen for them could not be.
        usage: what is wrong with the settings of a test or of the session, or ``""``.
        complaints: what the user should know about results of other sessions.
        ended: tests were run, and none was left out.
    """

    def __init__(
        self,
        config: pytest.Config,
        reports: Sequence[tuple[str, str]],
        expected: Expected,
        accepted: Accepted,
        collected: Collected,
        *,
        only: str,
        shard: Shard | None,
        may_audit_none: bool,
        must_decide: bool = False,
        github: GitHub | None = None,
    ) -> None:
        self._config = config
        self._reports = reports
        self._expected = expected
        self._without: list[Audit] = []
        self._shortfall = ""
        self._accepted = accepted
        self._collected = collected
        self._after: After | None = None
        self._written = False
        self._only = only
        self._shard = shard
        self._may_audit_none = may_audit_none
        self._must_decide = must_decide
        self._github = github
        self._why_failed: list[str] = []
        self._audits: list[Audit] = []
        self._briefs: list[Brief] = []
        self._unfinished: list[Audit] = []
        self.complaints: list[str] = []
        self._interrupted = False
        self._session: pytest.Session | None = None
        self._nothing: Nothing | None = None
        self.wanted = 0
        self.missed = 0
        self.usage = ""
        self.ended = False

    def take(self, audit: Audit) -> None:
        """Add the audit of one test."""
        self._audits.append(audit)

    def take_interrupted(self, audit: Audit) -> None:
        """Add what is known of the audit of a test that the user has ended; pytest has no report of that test."""
        audit = self._accepted.mark(audit)
        self._audits.append(audit)
        self._unfinished.append(audit)

    def has(self, test: str) -> bool:
        """Return whether there is an audit of a test."""
        return any(audit.test == test for audit in self._audits)

    def take_earlier(self, text: str) -> None:
        """Add the audit of one test that an earlier session made, without findings; ``text`` is its :class:`.Brief` as JSON."""
        self._briefs.append(Brief.from_json(json.loads(text)))

    def finish(self, session: pytest.Session) -> None:
        """Write the report files, and set the exit status."""
        self._session = session
        refused = [audit for audit in self._audits if audit.refused]
        if self._only and len(refused) < len(self._audits) and not any(audit.results for audit in self._audits):
            self.usage = self.usage or (
                f"no test that ran comes to the point {self._only}; the code may have changed since: "
                "run with --maskcheck for the current ids"
            )
        self._find_missing(session)
        try:
            self._write_reports()
        except KeyboardInterrupt:  # pytest no longer handles it here, so the session ends at once, but in order
            self._interrupted = True
            session.exitstatus = pytest.ExitCode.INTERRUPTED
            return
        self._compare()
        self._complain()
        if self.usage:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        elif self._why_failed:
            if session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
        elif (
            self.ended
            and not self._briefs
            and not any(audit.audited or audit.is_elsewhere or audit.is_untouched for audit in self._audits)
        ):
            begun = len(self._audits)
            self._nothing = Nothing(self.wanted, begun, self._only_marked, self._may_audit_none, bool(self._only))
            if not self._may_audit_none and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED

    def _find_missing(self, session: pytest.Session) -> None:
        """Find out which tests have no audit, and how the session ended."""
        known = {audit.test for audit in self._audits} | {each.audit.test for each in self._briefs}
        self._without = self._expected.without_audit(known, session, shard=str(self._shard or ""))
        self._shortfall = self._expected.shortfall(self._without, session, only_marked=self._only_marked)

    @property
    def _only_marked(self) -> bool:
        return not (self._config.getoption("--maskcheck-all") or self._only)

    @property
    def _all(self) -> list[Audit]:
        """The audits, and for each test without one the reason."""
        return [*self._audits, *self._without]

    def _complain(self) -> None:
        """Find out why a session fails although no test may have failed."""
        assert self._session is not None
        if self._must_decide and (left := undecided(self._all, self._briefs, self.missed)):
            self._why_failed.append(f"{left} (exit status 1, because of --maskcheck-fail-undecided)")
        # The test with the defect fails by itself, unless another plugin has taken it for something else since.
        known = {audit.test for audit in self._audits if any(defect.known for defect in audit.defects)}
        found = {test for audit in self._audits for test in audit.found.values()}
        if self._session.exitstatus == pytest.ExitCode.OK and found - known:
            self._why_failed.append(
                "a test has a defect that others reach, and is not reported as failed (exit status 1)"
            )

    def _compare(self) -> None:
        """Find out what the session has shown about the baseline, and write the next one if that is wanted."""
        some = not self.ended or bool(self._shard or self._only)
        self._after = self._accepted.after(self._audits, self._briefs, self._collected, self.wanted, some=some)
        if self._after is not None and not self.usage:
            try:
                self._written = self._accepted.write(self._after)
            except OSError as error:
                self.usage = f"the baseline cannot be written: {self._accepted.shown}: {error}"

    def _write_reports(self) -> None:
        for form, path in self._reports:
            try:
                with unpatched():
                    formats.write(form, path, self._all, str(self._shard or ""), self._shortfall)
            except OSError as error:
                self._add_usage(f"the report cannot be written: {form}:{path}: {error}")
            except Exception as error:  # noqa: BLE001  (an error of maskcheck: the session ends in order)
                self._add_usage(f"the report cannot be written: {form}:{path}: {breakdown_of(error).reason}")
        with unpatched():
            audits = [*self._all, *(each.audit for each in self._briefs)]  # there are no briefs if a report is written
            add_to_session(self._config, audits, self._shortfall)
            if self._github is not None and self._expected.runs_tests:
                self.complaints += self._github.finish(audits, str(self._shard or ""), self._shortfall)

    def _add_usage(self, text: str) -> None:
        self.usage = f"{self.usage}; {text}" if self.usage else text

    def write(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write totals, what was only listed, and what was not audited and why."""
        if self.usage:
            terminalreporter.write_line(f"ERROR: {self.usage}")
        if self._interrupted:
            terminalreporter.write_line("INTERRUPTED while the report was made: it was not written")
        if self._all or self._nothing or self._briefs or self.complaints or self._shortfall:
            terminalreporter.write_sep("=", "maskcheck")
            for line in self._lines(TerminalAppearance(terminalreporter)):
                terminalreporter.write_line(line)
        for complaint in self._why_failed:
            terminalreporter.write_line(f"ERROR: {complaint}", red=True)
        if self._nothing:
            terminalreporter.write_line(
                nothing(self._nothing), yellow=self._may_audit_none, red=not self._may_audit_none
            )
        for command in self._github.commands if self._github is not None else ():
            terminalreporter.write_line(command)

    def _lines(self, look: Appearance) -> list[str]:
        verbose = self._config.get_verbosity() > 0
        try:
            return [
                *self.complaints,
                *(line for audit in self._audits for line in retold(audit, look)),
                *unfinished(self._unfinished),
                *(
                    changes(
                        self._after,
                        self._accepted.shown,
                        updated=self._written,
                        verbose=verbose,
                        look=look,
                    )
                    if self._after
                    else ()
                ),
                *summary(
                    self._all,
                    self._briefs,
                    self.missed,
                    shortfall=self._shortfall,
                    point=self._only,
                    verbose=verbose,
                    look=look,
                ),
            ]
        except Exception as error:  # noqa: BLE001  (an error of maskcheck: the summaries of other plugins still come out)
            # Otherwise a session without failures would end as if its audits were in order.
            if self._session is not None and self._session.exitstatus == pytest.ExitCode.OK:
                self._session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
            return [breakdown_of(error).reason]
