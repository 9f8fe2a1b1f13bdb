"""How a run failed that should have passed, or that should have come to its point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck.reasons import NotAudited

if TYPE_CHECKING:
    from pytest_maskcheck.runs.requests import RunResult

NO_VERDICT = {"terminal": NotAudited.TERMINAL, "look": NotAudited.LOOK}
"""Ways for a process to end that are not the fault of the test's code, or may not be -> why its point is not audited then."""


def strayed(ran: RunResult) -> bool:
    """Return whether a run neither came to its own point nor passed."""
    return not ran.strike.in_turn()[0].fired and not ran.passed and ran.error is None


def trouble(ran: RunResult) -> str:
    """Return in words how a run failed; the subject is the run."""
    if ran.died in {"hang", *NO_VERDICT}:
        return f"hung ({ran.detail})"
    if ran.died:
        return f"died ({ran.detail})"
    if ran.raised:
        return f"raised {ran.raised.text}"
    if ran.broken:
        return f"broke the {ran.broken[0].kind} {ran.broken[0].key}"
    return ran.trouble or "took another way"


def where(ran: RunResult) -> str:
    """Return in words where a run failed, ``""`` if that is unknown."""
    frames = ran.stack if ran.died else ran.raised.frames if ran.raised else ()
    return f", at {frames[-1].path}:{frames[-1].line} in {frames[-1].function}" if frames else ""
