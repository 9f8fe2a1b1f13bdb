"""What all executors share: the rules for making one run of a sequence after another in the same process."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from pytest_maskcheck.interrupts import Strike
from pytest_maskcheck.results import Point
from pytest_maskcheck.runs.requests import Catch, HeldBack, PastDefect, RunResult, Timed, Trace
from pytest_maskcheck.system.breakdown import breakdown_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_maskcheck.runs.requests import Conditions, MakesRuns, Request


def make(run: MakesRuns, request: Request, struck: Callable[[], None]) -> RunResult:
    """Make a run. An error of ours becomes its result, and costs no other point; where there is no request, it is raised."""
    try:
        return run(request, struck)
    except Exception as error:
        if request is None:
            raise
        return RunResult(Strike(), error=breakdown_of(error))


def changes_modules(conditions: Conditions, request: Request) -> bool:
    """Return whether modules keep something else than after a whole run, or may do so, after the run for a request."""
    match request:
        case (
            None | Trace() | Timed()
        ):  # such a run explains what others found: nothing is judged by what it leaves in modules
            return False
        case Point() | PastDefect() | HeldBack() | Catch():
            return conditions.wary or not conditions.is_usual()
        case _:
            assert_never(request)


def needs_whole_run(ran: RunResult, rest: Sequence[Request]) -> bool:
    """Return whether a whole run has to be inserted after the one just made; not if the next one is a whole run anyway.

    Parameters:
        ran: the run just made.
        rest: the requests that come next.
    """
    return ran.changed and bool(rest) and rest[0] is not None
