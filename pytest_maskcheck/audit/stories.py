"""Records the story of the one point that is wanted: what the code in scope does from the interrupt on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck.results import Verdict
from pytest_maskcheck.runs.requests import Catch, alone

if TYPE_CHECKING:
    from pytest_maskcheck.audit.judge import Judge
    from pytest_maskcheck.points.plan import Plan
    from pytest_maskcheck.results import Story
    from pytest_maskcheck.runs.requests import Executor


def story(executor: Executor, plan: Plan, wanted: str) -> Story | None:
    """Interrupt at a point, and return what the run does from there on; ``None`` if the run did not come there, or did not end."""
    point = next((point for point in plan.points if point.id == wanted), None)
    if point is None:
        return None
    ran, *_ = alone(executor, Catch(point, retells=True))
    return ran.story if ran.strike.fired else None


def ends(judge: Judge, wanted: str) -> bool:
    """Return whether a run that is interrupted at a point ends by itself: it is known what it does, and it does not hang or crash."""
    result = judge.results.get(wanted)
    if result is None or result.reason:
        return False
    return not any(finding.verdict in {Verdict.HANG, Verdict.CRASH} for finding in result.findings)
