"""What one run shows about its point: its findings, or why it proves nothing.

No run is made here. What a single run shows is not certain yet: see :mod:`.confirmation` and :mod:`.blame`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_maskcheck import interrupts
from pytest_maskcheck.audit.failed_runs import NO_VERDICT, way_to_the_end
from pytest_maskcheck.audit.naming import named
from pytest_maskcheck.audit.proof import is_unseen, note, unproven
from pytest_maskcheck.audit.swallowed import EXCEPTION, lost, swallowed
from pytest_maskcheck.interrupts.places import BEYOND
from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.results import Finding, PointResult, Verdict
from pytest_maskcheck.runs.requests import CaughtBy
from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_maskcheck.audit.left_anyway import LeftAnyway
    from pytest_maskcheck.audit.rules import Allowances
    from pytest_maskcheck.audit.swallowed import Catchers
    from pytest_maskcheck.results import Frame, Point
    from pytest_maskcheck.runs.raised import Raised
    from pytest_maskcheck.runs.requests import RunResult


PROCESS, IN_HANDLER = "process", "in_handler"
"""Kinds of hangs and crashes: anywhere, or in the handler of the interrupt."""

_DELIVERY = os.path.dirname(interrupts.__file__)


@dataclass(frozen=True, slots=True, repr=False)
class Findings:
    """Judges single runs.

    Parameters:
        allowances: what counts as a failure, and what is allowed.
        left_anyway: what the uninterrupted test leaves behind.
        catchers: who caught the interrupt at which point.
        results: id of a point -> its final result.
    """

    allowances: Allowances
    left_anyway: LeftAnyway
    catchers: Catchers
    results: Mapping[str, PointResult]

    def result(self, point: Point, ran: RunResult) -> PointResult:
        """Return what one run shows about its point."""
        caught = self.catchers.of(point, ran)
        exception = ran.raised.text if ran.raised else ""
        # At these two kinds of points, the reader can change the line that calls, but not the code that it calls.
        outside = point.kind in BEYOND
        instead = ran.raised and (ran.raised.interrupt or ran.raised.over or not caught)
        surfaced = ran.raised.frames if ran.raised and instead and not outside else ()
        # Of a run that hung or crashed, the place where it did is what has to be looked at; no exception came out of it.
        traceback = surfaced or (way_to_the_end(ran.stack) if ran.died else ()) or point.traceback
        if ran.error is not None:
            return PointResult(point.id, reason=ran.error.reason, error=ran.error.traceback)
        if is_unseen(ran):
            self.catchers.unseen.add(point.id)
        code = NO_VERDICT.get(ran.died)
        if reason := Reason(code, detail=ran.detail) if code else unproven(ran, caught):
            return PointResult(point.id, reason=reason, exception=exception, traceback=traceback)
        patterns = self.left_anyway.patterns
        # The first interrupt alone may cause some of the findings. They are in its own result, and are no findings of the pair.
        known = {named(finding, patterns).identity for finding in self._of_first(point)} if point.first else ()
        findings = [
            each
            for each in self.of(point, ran)
            if not self.allowances.allows(point, each) and named(each, patterns).identity not in known
        ]
        if ran.strike.strayed and not findings:
            return PointResult(point.id, reason=Reason(NotAudited.OTHER_CONTEXT))
        return PointResult(point.id, tuple(findings), "", note(point, ran), exception, traceback)

    def _of_first(self, point: Point) -> tuple[Finding, ...]:
        """Return the findings that the first of two interrupts causes alone."""
        alone = self.results.get(point.first.id) if point.first else None
        return alone.findings if alone else ()

    def of(self, point: Point, ran: RunResult) -> Iterator[Finding]:
        """Yield all findings of a run, the allowed ones included."""
        if ran.died:
            where = f"{ran.stack[-1].path}:{ran.stack[-1].line}" if ran.stack else ""
            detail = f"{ran.detail}, at {where} in {ran.stack[-1].function}" if where else ran.detail
            kind = IN_HANDLER if _is_in_handler(ran.stack) else PROCESS
            yield Finding(Verdict(ran.died), kind, where or ran.detail, detail)
            return
        if ran.trouble:
            yield Finding(Verdict.UNUSABLE, "fixture", ran.trouble, f"after the interrupt {ran.trouble}")
        strict = self.allowances.rules.strict
        left = False
        dropped = tuple(leftover.key for leftover in ran.dropped if leftover.kind != "implicit")
        leaked, released = self.left_anyway.beyond(ran)
        for leftover in leaked:
            if leftover.kind == "implicit" and leftover.key.endswith(dropped):
                continue  # a ResourceWarning about a thing that is listed anyway
            if leftover.kind == "implicit":
                yield Finding(Verdict.IMPLICIT, leftover.kind, leftover.key, leftover.detail, strict)
            else:
                verdict = Verdict.ALTERED if leftover.altered else Verdict.LEAK
                finding = Finding(verdict, leftover.kind, leftover.key, leftover.detail)
                left = left or not self.allowances.allows(point, finding)
                yield finding
        for leftover in released:
            yield Finding(Verdict.IMPLICIT, leftover.kind, leftover.key, leftover.detail, strict)
        # If a finalizer lost the interrupt, guarantees broke because its package did not do its part: the findings name it.
        package = ran.lost_in.package if ran.lost_in is not None else ""
        yield from (replace(finding, package=package) for finding in ran.broken)
        yield from self._about_exception(point, ran, left=left)

    def _about_exception(self, point: Point, ran: RunResult, *, left: bool) -> Iterator[Finding]:
        """Yield the finding that the interrupt did not come out of the test, if it did not.

        Parameters:
            point: where it was interrupted.
            ran: the run.
            left: something that is not allowed stayed behind, too.
        """
        raised = ran.raised
        if raised is not None and raised.interrupt:
            return
        rules = self.allowances.rules
        # If a handler in Python took the signal and raised nothing, no exception is due.
        due = any(one.raised or (one.raised is None and one.fired and not one.handler) for one in ran.strike.in_turn())
        caught = self.catchers.of(point, ran)
        finalizer = lost(ran.lost, caught, fails=rules.strict or left)
        if raised is not None and not (finalizer and not raised.over):
            is_tests = caught is not None and caught.by is CaughtBy.TEST
            if caught is not None and due and not raised.over and (is_tests or not rules.may_swallow):
                yield swallowed(caught, f"; then the test raised {raised.text}")
            elif due or raised.over:
                detail = f"{raised.text} came out instead of the interrupt"
                package = _raised_inside(point, raised)
                yield Finding(Verdict.REPLACED, EXCEPTION, raised.type, detail, package=package)
        elif finalizer is not None:
            yield finalizer
        elif due and not rules.may_swallow:
            yield swallowed(caught)


def _is_in_handler(stack: Sequence[Frame]) -> bool:
    """Return whether a stack ends in a handler that the audit has called, as CPython would have."""
    return any(frame.file.startswith(_DELIVERY) for frame in stack)


def is_failing(result: PointResult) -> bool:
    """Return whether a result has a finding that makes the test fail."""
    return any(finding.fails for finding in result.findings)


def _raised_inside(point: Point, raised: Raised) -> str:
    """Return the package out of scope that replaced the interrupt with its own exception, ``""`` if none did."""
    if point.kind not in BEYOND:
        return ""
    site = next((at for at, each in enumerate(raised.frames) if (each.path, each.line) == (point.path, point.line)), -1)
    inner = raised.frames[site + 1 :] if site >= 0 else ()
    return inner[0].package if inner else ""
