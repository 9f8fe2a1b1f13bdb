"""Steps that the audit of later runs (:mod:`.course`) and that of the first run (:mod:`.first_course`) share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_maskcheck.audit.judge import Judge
from pytest_maskcheck.audit.rules import Rules
from pytest_maskcheck.points.plan import Plan
from pytest_maskcheck.reasons import Note, Reason
from pytest_maskcheck.results import PointResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_maskcheck.audit.assignment import Assignment, Send
    from pytest_maskcheck.audit.budget import Share
    from pytest_maskcheck.audit.instruments import Instruments
    from pytest_maskcheck.results import Point
    from pytest_maskcheck.runs.requests import Executor


def new_judge(
    assignment: Assignment, instruments: Instruments, executor: Executor, send: Send, common: str = ""
) -> Judge:
    """Return a judge with the settings of the test, and nothing to audit yet.

    Parameters:
        assignment: what the audit is to do.
        instruments: what it works with.
        executor: makes the runs.
        send: receives messages.
        common: a description of what all runs share, or ``""``.
    """
    settings, budget = assignment.settings, assignment.budget
    rules = Rules(settings.strict, settings.may_swallow, (*settings.allow, *instruments.ledger.allowed))
    traced = {kind.name: kind.blocks for kind in instruments.kinds if kind.traced}
    late = budget.over if budget else (lambda _seconds: False)
    runner = instruments.runner
    return Judge(
        executor,
        Plan(),
        rules,
        send,
        traced,
        runner.noting_state,
        late,
        common,
        release=runner.release,
        announce=send,
    )


def categorize(judge: Judge, shown: Sequence[Point], send: Send, *, complete: bool) -> list[PointResult]:
    """Give each finding its category, now that all of them are known; drop those whose category is allowed.

    Parameters:
        judge: has the results.
        shown: the points.
        send: receives the results that change.
        complete: no point was left out of the plan.

    Returns:
        The results, as they are now.
    """
    final = []
    audited = [point for point in shown if point.id in judge.results and not judge.results[point.id].reason]
    for result in judge.sort_out(audited, complete=complete and len(audited) == len(shown)):
        kept = tuple(
            finding for finding in result.findings if not judge.allowances.allows_cleanup(result.point, finding)
        )
        final.append(replace(result, findings=kept))
        if kept != judge.results[result.point].findings:
            send(final[-1])
    return final


def send_untraced(judge: Judge, budget: Share | None, send: Send) -> None:
    """Send the number of points where there was no time to find the origin of leftovers."""
    if budget and judge.untraced:
        send(Reason(Note.UNTRACED, number=judge.untraced, why=budget.reason))


def report_the_rest(judge: Judge, shown: Sequence[Point], budget: Share | None) -> None:
    """Report that there was no time for the points without a result, if there is a budget."""
    if budget:
        for point in shown:
            if point.id not in judge.results:
                judge.report(PointResult(point.id, reason=budget.reason))
