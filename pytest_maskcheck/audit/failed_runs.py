"""How a run failed that should have passed, or should have reached its point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck.reasons import NotAudited
from pytest_maskcheck.system.own_code import is_ours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_maskcheck.results import Frame
    from pytest_maskcheck.runs.requests import RunResult

NO_VERDICT = {"terminal": NotAudited.TERMINAL, "look": NotAudited.LOOK}
"""How a process ended, where the test's code is not at fault or may not be -> why the point is not audited."""


def strayed(ran: RunResult) -> bool:
    """Return whether a run neither reached its own point nor passed."""
    return not ran.strike.in_turn()[0].fired and not ran.passed and ran.error is None


def trouble(ran: RunResult) -> str:
    """Return how a run failed, in words; the subject of the phrase is the run."""
    if ran.died in {"hang", *NO_VERDICT}:
        return f"hung ({ran.detail})"
    if ran.died:
        return f"died ({ran.detail})"
    if ran.raised:
        return f"raised {ran.raised.text}"
    if ran.broken:
        return f"broke the {ran.broken[0].kind} {ran.broken[0].key}"
    return ran.trouble or "took another way"


_HARNESS = {"_pytest", "pluggy"}


def way_to_the_end(stack: Sequence[Frame]) -> tuple[Frame, ...]:
    """Return where a run hung or crashed, and the calls that led there; those of the harness, and of what called it, are left out."""
    called = [at for at, frame in enumerate(stack) if _is_of_harness(frame)]
    return tuple(frame for frame in stack[called[0] if called else 0 :] if not _is_of_harness(frame))


def _is_of_harness(frame: Frame) -> bool:
    return frame.package in _HARNESS or is_ours(frame.file)


def where(ran: RunResult) -> str:
    """Return where a run failed, in words; ``""`` if that is unknown."""
    frames = ran.stack if ran.died else ran.raised.frames if ran.raised else ()
    return f", at {frames[-1].path}:{frames[-1].line} in {frames[-1].function}" if frames else ""
