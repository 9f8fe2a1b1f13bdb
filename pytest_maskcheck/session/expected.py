"""Which tests were to be audited, how those without an audit ended, and how the session did.

Audits come with reports of tests that passed. Of the others, nothing would be known: a session that ends after its first test would look
like one with a single test. So the tests are noted once they are collected, and at the end each without an audit gets one that has
nothing but the reason. In workers of xdist the tests are collected; the controller, which reports, reads them from the board, as a worker
that dies sends nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.results import Audit

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


class Expected:
    """The tests that a session was to audit.

    Attributes:
        tests: their node ids, in order.
        is_collected: they are known.
        runs_tests: tests are run: not with ``--collect-only``.
    """

    def __init__(self) -> None:
        self.tests: dict[str, None] = {}
        self.is_collected = False
        self.runs_tests = True
        self._ended: dict[str, NotAudited] = {}
        self._passed: set[str] = set()
        self._uncollected: dict[str, None] = {}
        self._end: Reason | None = None

    def add(self, tests: Iterable[str]) -> None:
        """Add tests; each worker of xdist has collected the same ones."""
        known = dict.fromkeys(tests)
        self.tests |= known
        self.is_collected = self.is_collected or bool(known)

    def take_collection(self, report: pytest.CollectReport) -> None:
        """Note a module that could not be collected."""
        if report.failed and report.nodeid:
            self._uncollected[report.nodeid] = None

    def take(self, report: Any) -> None:
        """Note how a part of a test ended; what fails once does not pass."""
        if report.passed:
            self._passed.add(report.nodeid)
        elif report.failed:
            if self._ended.get(report.nodeid) is not NotAudited.WORKER_DIED:
                self._ended[report.nodeid] = NotAudited.FAILED
        elif report.skipped:
            how = NotAudited.XFAILED if hasattr(report, "wasxfail") else NotAudited.SKIPPED
            self._ended.setdefault(report.nodeid, how)

    def take_crash(self, test: str) -> None:
        """Note that a worker died while it ran a test; a report that the test failed follows."""
        self._ended[test] = NotAudited.WORKER_DIED

    def take_end(self, exception: BaseException) -> None:
        """Note what ended the session, as pytest and xdist raise it: Ctrl-C, ``-x``, ``pytest.exit()``, an error of collection."""
        is_ctrl_c = type(exception) is KeyboardInterrupt  # the others are derived from it
        self._end = Reason(NotAudited.CTRL_C) if is_ctrl_c else Reason(NotAudited.STOPPED, why=str(exception))

    def without_audit(self, audited: Collection[str], session: pytest.Session, *, shard: str) -> list[Audit]:
        """Return an audit with nothing but a reason for each test that has none.

        Parameters:
            audited: the tests that have one.
            session: the session, at its end.
            shard: the shard that this is, or ``""``.
        """
        if not self.runs_tests:
            return []
        end = self._end_of(session)
        reasons = {test: self._reason(test, end) for test in self.tests if test not in audited}
        reasons |= dict.fromkeys(self._uncollected, Reason(NotAudited.NOT_COLLECTED))
        return [Audit(test, refused=reason, shard=shard) for test, reason in reasons.items()]

    def shortfall(self, without: Iterable[Audit], session: pytest.Session, *, only_marked: bool) -> str:
        """Return why the session came no further as a whole, or ``""``.

        Parameters:
            without: what :meth:`without_audit` has returned.
            session: the session, at its end.
            only_marked: only tests with the marker were to be audited.
        """
        if not self.runs_tests:
            return Reason(NotAudited.ONLY_COLLECTED)
        end = self._end_of(session)
        # With -x, the last test may be the one that fails: then the session came to its end all the same.
        lost = not self.is_collected or any(audit.test not in self._ended for audit in without)
        if end is not None and lost:
            return end
        if self.is_collected and not self.tests:
            return Reason(NotAudited.NONE_MARKED if only_marked else NotAudited.NONE_SELECTED)
        return ""

    def _reason(self, test: str, end: Reason | None) -> Reason:
        if test in self._ended:
            return Reason(self._ended[test])
        if end is not None:
            return end
        # Another plugin has run it instead of us, or a worker died between the test and its report.
        return Reason(NotAudited.ENDED_EARLY if test in self._passed else NotAudited.NOT_RUN)

    def _end_of(self, session: pytest.Session) -> Reason | None:
        """Return why the session ended early; ``None`` if it did not."""
        if self._end is not None:
            return self._end
        if why := session.shouldfail or session.shouldstop:
            return Reason(NotAudited.STOPPED, why=str(why))
        is_broken = session.exitstatus in {pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR}
        return Reason(NotAudited.SESSION_BROKE) if is_broken else None
