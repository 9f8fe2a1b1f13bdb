"""Whether a run proves that its interrupt was delivered at its point, and how the interrupt got there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck.audit.failed_runs import trouble

if TYPE_CHECKING:
    from pytest_maskcheck.results import Point
    from pytest_maskcheck.runs.requests import Catcher, RunResult

ANOTHER_CONTEXT = "reached in another calling context than in the recorded run"


def unproven(ran: RunResult, caught: Catcher | None) -> str:
    """Return why a run proves nothing about its point, ``""`` if the interrupt was delivered there."""
    strike = ran.strike
    if not strike.fired:
        return _unreached(ran)
    if ran.late:
        return "held back to the end of the test: the interrupt came out of a fixture"
    if strike.undelivered:
        return strike.undelivered
    if (is_unseen(ran) and caught is None) or (strike.withdrawn and strike.earlier is not None):
        return f"held back by the {strike.held} to the end of the run"
    return ""


def is_unseen(ran: RunResult) -> bool:
    """Return whether the signal was held back and nothing shows that it arrived.

    It may have arrived all the same, where somebody caught the exception that it led to.
    """
    return bool(ran.strike.fired and ran.strike.held) and ran.raised is None and not (ran.lost or ran.died)


def _unreached(ran: RunResult) -> str:
    """Return why a run did not come to its point."""
    if ran.strike.in_turn()[0].fired:
        return "not reached again after the first interrupt"
    return "not reached again" if ran.passed else f"the run {trouble(ran)} before it came to the point"


def note(point: Point, ran: RunResult) -> str:
    """Return in words what is unusual in how the interrupt arrived."""
    strike = ran.strike
    notes = [ANOTHER_CONTEXT] if strike.strayed else []
    if strike.handler:
        notes.append(f"went to {strike.handler}")
    surfaced = ran.raised is not None and ran.raised.interrupt
    where = ran.raised.frames[-1] if ran.raised and ran.raised.frames else None
    place = f"arrived at {where.path}:{where.line}" if where else "arrived after the test"
    if strike.held:
        notes.append(f"held back by the {strike.held}, {place if surfaced else 'did not come out'}")
    elif surfaced and point.kind != "line" and (where is None or (where.path, where.line) != (point.path, point.line)):
        notes.append(place)
    return ", ".join(notes)
