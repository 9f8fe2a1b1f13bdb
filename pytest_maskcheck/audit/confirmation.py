"""Make findings certain: confirm them by another run, find out who caught the interrupt, and separate what is CPython's own doing.

Rules:

1. A finding that makes a test fail was seen twice, the second time in a clean process. Or it was seen once, in a clean process, and
   the same finding was confirmed at another point. A process that has met nothing but confirmed leaks of kinds that do not affect
   further runs (:attr:`.Kind.passable`) is as good as a clean one for one more such leak, and for nothing else.
2. Where all runs share a process, and the interrupt breaks the test so that no second run reaches the point, once is enough.
3. A hang or a crash that a clean process showed stands, even if no second run shows it again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pytest_maskcheck.audit.blame import unusable
from pytest_maskcheck.audit.excuses import excused, went_past
from pytest_maskcheck.audit.findings import is_failing
from pytest_maskcheck.audit.naming import named, named_result
from pytest_maskcheck.audit.stage import Stage
from pytest_maskcheck.audit.swallowed import EXCEPTION, FINALIZER, may_be_caught, without_lone_finalizer
from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.results import PointResult, Verdict
from pytest_maskcheck.runs.requests import PastDefect, alone

if TYPE_CHECKING:
    from pytest_maskcheck.audit.blame import Blame
    from pytest_maskcheck.audit.findings import Findings
    from pytest_maskcheck.audit.naming import PatternSearch, Sort
    from pytest_maskcheck.results import Finding, Point
    from pytest_maskcheck.runs.requests import Executor

_TRIES = 3
"""How often a point with a different result each time is run before it counts as not audited."""


@dataclass(frozen=True, slots=True, repr=False)
class Confirmation:
    """Makes further runs of a point with findings.

    Parameters:
        executor: makes the runs.
        findings: judges them.
        search: compares names that differ from run to run.
        blame: receives a full run that fails in any process.
        announce: called when a finding is to be confirmed.
    """

    executor: Executor
    findings: Findings
    search: PatternSearch
    blame: Blame
    announce: Callable[[Stage], object] = lambda _: None
    _confirmed: set[tuple[str, str, str]] = field(default_factory=set)

    def settle(self, point: Point, result: PointResult, *, fresh: bool) -> PointResult:
        """Return a result with only what is certain.

        Parameters:
            point: the point.
            result: what a run showed about the point.
            fresh: that run was the first one in its process.
        """
        result = self._with_catcher(point, result)
        if is_failing(result):
            result = self._confirm(point, result, fresh=fresh)
        return self._excuse(point, result)

    def _named(self, finding: Finding) -> Finding:
        return named(finding, self.search.patterns)

    def _with_catcher(self, point: Point, result: PointResult) -> PointResult:
        """Return a result that names who caught the interrupt, if it did not come out."""
        catchers = self.findings.catchers
        unseen = point.id in catchers.unseen  # read before the next run is judged, which may add the point
        ran = catchers.find(point, result.findings)
        if ran is None:
            return result
        again = self.findings.result(point, ran)
        if unseen:
            return again
        # Only what depends on the catcher is taken from the watched run. A run like the first must still confirm the rest.
        others = [finding for finding in result.findings if not may_be_caught(finding)]
        caught = [finding for finding in again.findings if finding.kind in {EXCEPTION, FINALIZER}]
        return replace(result, findings=(*others, *caught), traceback=point.traceback)

    def _confirm(self, point: Point, first: PointResult, *, fresh: bool) -> PointResult:
        """Return the findings that a clean process shows again; without any, the point counts as not audited."""
        if fresh and all(self._is_confirmed(finding) for finding in first.findings if finding.fails):
            return named_result(first, self.search.patterns)
        self.announce(Stage.CONFIRMING)
        earlier = [finding for finding in first.findings if finding.fails]
        compared: set[Sort] = set()
        for _ in range(_TRIES - 1):
            ran = alone(self.executor, point)[0]
            if (whole := self.blame.spoiled_by(ran)) is not None:
                self.blame.give_up(whole, point)
                return replace(first, findings=(*first.findings, unusable(whole)))
            again = self.findings.result(point, ran)
            if again.error:
                return again  # the audit itself failed: this run shows nothing, and neither will the next
            failing = [finding for finding in again.findings if finding.fails]
            compared |= self.search.compare(point, earlier, failing, compared)
            if twice := self._seen_twice(earlier, failing):
                listed = (finding for finding in again.findings if not finding.fails)
                return replace(again, findings=(*twice, *listed))
            earlier += failing  # any two runs that agree are enough
        if fresh and any(finding.verdict in {Verdict.HANG, Verdict.CRASH} for finding in first.findings):
            return first
        findings = "; ".join(sorted(f"{f.verdict} {f.key}".strip() for f in first.findings if f.fails))
        reason = Reason(NotAudited.DIFFERENT, findings=findings)
        return PointResult(point.id, reason=reason, exception=first.exception, traceback=first.traceback, varies=True)

    def _seen_twice(self, earlier: list[Finding], now: list[Finding]) -> tuple[Finding, ...]:
        """Return the failing findings of a run that an earlier run also had, and record them as confirmed."""
        seen = {_alike(self._named(finding)) for finding in earlier}
        twice = tuple(finding for finding in map(self._named, now) if _alike(finding) in seen)
        if not twice:
            return ()
        # A lost interrupt fails if something else stayed behind in the same run, but that may be a different thing each time.
        twice = without_lone_finalizer(twice, strict=self.findings.allowances.rules.strict)
        self._confirmed.update(finding.identity for finding in twice if finding.fails)
        return twice

    def recurs(self, result: PointResult) -> bool:
        """Return whether a result has nothing but leaks that were confirmed at other points."""
        findings = result.findings
        return bool(findings) and all(each.verdict is Verdict.LEAK and self._is_confirmed(each) for each in findings)

    def _is_confirmed(self, finding: Finding) -> bool:
        """Return whether a finding was confirmed at another point; a vague pattern is no proof, as it may match another thing."""
        finding = self._named(finding)
        return finding.identity in self._confirmed and not self.search.patterns.is_vague(finding.kind, finding.key)

    def _excuse(self, point: Point, result: PointResult) -> PointResult:
        """Blame CPython for findings that disappear when the interrupt goes past CPython's defect at the point."""
        if not (point.defect and result.findings):
            return result
        ran, *_ = alone(self.executor, PastDefect(point))
        if not went_past(point, ran):
            return result
        own = {_alike(self._named(finding)) for finding in self.findings.of(point, ran)}
        findings = (each if _alike(self._named(each)) in own else excused(point, each) for each in result.findings)
        return replace(result, findings=tuple(findings))


def _alike(finding: Finding) -> object:
    """Return a key that is equal for findings that confirm each other; hangs and crashes need not be at the same place."""
    return finding.verdict if finding.verdict in {Verdict.HANG, Verdict.CRASH} else finding.identity
