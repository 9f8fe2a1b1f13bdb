"""What all executors share: the rules by which one run of a sequence follows another in the same process."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from pytest_maskcheck.interrupts import Strike
from pytest_maskcheck.results import Point
from pytest_maskcheck.runs.requests import Catch, PastDefect, RunResult, Trace
from pytest_maskcheck.system.breakdown import breakdown_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_maskcheck.runs.requests import Conditions, MakesRuns, Request


def make(run: MakesRuns, request: Request, struck: Callable[[], None]) -> RunResult:
    """Make a run; an error of ours costs the point that it was made for, and no other. Without a point, it is raised."""
    try:
        return run(request, struck)
    except Exception as error:
        if request is None:
            raise
        return RunResult(Strike(), error=breakdown_of(error))


def needs_whole_run(conditions: Conditions, request: Request, rest: Sequence[Request]) -> bool:
    """Tell whether a whole run is to follow the one just made, and does not anyway.

    Parameters:
        conditions: of the process that made it.
        request: what it was made for.
        rest: the requests that come next.
    """
    if not rest or rest[0] is None:
        return False
    match request:
        case (
            None | Trace()
        ):  # a watched run explains what another one found: nothing is judged by what it leaves in modules
            return False
        case Point() | PastDefect() | Catch():
            return conditions.wary or not conditions.is_usual()
        case _:
            assert_never(request)
