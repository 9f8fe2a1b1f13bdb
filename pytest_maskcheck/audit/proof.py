"""Whether a run proves that its interrupt was delivered at its point, and how the interrupt got there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck.audit.failed_runs import trouble
from pytest_maskcheck.reasons import NotAudited, Note, Reason, joined

if TYPE_CHECKING:
    from pytest_maskcheck.results import Point
    from pytest_maskcheck.runs.requests import Catcher, RunResult


def unproven(ran: RunResult, caught: Catcher | None) -> Reason | None:
    """Return why a run proves nothing about its point, ``None`` if the interrupt was delivered there."""
    strike = ran.strike
    if not strike.fired:
        return _unreached(ran)
    if ran.late:
        return Reason(NotAudited.HELD_BACK_PAST_TEST)
    if strike.undelivered:
        return strike.undelivered
    if (is_unseen(ran) and caught is None) or (strike.withdrawn and strike.earlier is not None):
        return Reason(NotAudited.HELD_BACK, by=strike.held)
    return None


def is_unseen(ran: RunResult) -> bool:
    """Return whether the signal was held back, and nothing shows that it arrived.

    It may have arrived all the same, if something caught the exception that it led to.
    """
    return bool(ran.strike.fired and ran.strike.held) and ran.raised is None and not (ran.lost or ran.died)


def _unreached(ran: RunResult) -> Reason:
    """Return why a run did not reach its point."""
    if ran.strike.in_turn()[0].fired:
        return Reason(NotAudited.NOT_REACHED_AFTER_FIRST)
    if ran.passed:
        return Reason(NotAudited.NOT_REACHED)
    return Reason(NotAudited.FAILED_BEFORE, trouble=trouble(ran))


def note(point: Point, ran: RunResult) -> str:
    """Return what is unusual about how the interrupt arrived; several notes are joined into one, with their codes."""
    strike = ran.strike
    notes = [Reason(NotAudited.OTHER_CONTEXT)] if strike.strayed else []
    if strike.handler:
        notes.append(Reason(Note.HANDLER, handler=strike.handler))
    surfaced = ran.raised is not None and ran.raised.interrupt
    where = ran.raised.frames[-1] if ran.raised and ran.raised.frames else None
    elsewhere = surfaced and (where is None or (where.path, where.line) != (point.path, point.line))
    if not (strike.held or (elsewhere and point.kind != "line")):
        return joined(notes)
    place = Reason(Note.ARRIVED, place=f"{where.path}:{where.line}") if where else Reason(Note.ARRIVED_LATE)
    if strike.held:
        notes.append(Reason(Note.HELD, by=strike.held, where=place if surfaced else "did not come out"))
    else:
        notes.append(place)
    return joined(notes)
