"""Who caught the interrupt of a run (the test, a tool of the test, code under test, or code in C), and what happened on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.retelling import Retelling
from pytest_maskcheck.results import Step, Story
from pytest_maskcheck.runs.requests import Catcher, CaughtBy

if TYPE_CHECKING:
    from pytest_maskcheck.interrupts import InScope
    from pytest_maskcheck.interrupts.catching import Catching
    from pytest_maskcheck.points.ids import Names
    from pytest_maskcheck.runs.requests import RunResult

_EXPECTING = ("_pytest.", "unittest.case", "unittest.async_case")
"""Modules of the tools with which tests catch exceptions that they expect: ``pytest.raises``, ``assertRaises``."""


def catcher_of(
    ran: RunResult, catching: Catching, names: Names, in_scope: InScope, own: frozenset[int]
) -> Catcher | None:
    """Return who caught the interrupt, if it was caught.

    Parameters:
        ran: the run.
        catching: the handlers that the interrupt entered and left in it.
        names: names of files in reports.
        in_scope: whether a file is in scope.
        own: ids of the code of the test itself.
    """
    handling = catching.catcher()
    if handling is None:
        dropped = catching.dropped() if not ran.lost and ran.raised is None else None
        if dropped is None:
            return None
        frame = names.frame(dropped.code, dropped.line)
        return Catcher(frame, by=CaughtBy.FINALIZER if dropped.finalizing else CaughtBy.C)
    code, line = handling.code, handling.line
    is_in_scope = in_scope(code.co_filename)
    # Either the ``__exit__`` belongs to a tool, or a clause in a tool's code caught the interrupt.
    if _is_expecting(handling.module) or (not is_in_scope and _is_expecting(handling.home)):
        frame = names.frame(*(handling.site or (code, line)))
        return Catcher(names.frame(code, line) if is_in_scope else frame, by=CaughtBy.TEST)
    # A ``with`` in the test is the test's. But an ``__exit__`` in scope that decides is code under test, unless the test itself defines it.
    mine = id(code) in own or code is catching.outermost
    decides = handling.decides
    mine = mine and (decides is None or id(decides) in own or not in_scope(decides.co_filename))
    frame = names.frame(code, line)
    return Catcher(frame, by=CaughtBy.TEST if mine else CaughtBy.CODE, package="" if is_in_scope else frame.package)


def story_of(catching: Catching, names: Names) -> Story | None:
    """Return what the run did from the interrupt on, if that was recorded."""
    if not isinstance(catching, Retelling):
        return None
    return Story(tuple(Step(kind, names.frame(code, line)) for kind, code, line in catching.steps), catching.more)


def _is_expecting(module: str) -> bool:
    """Return whether a module is part of a tool that catches the exceptions that a test expects."""
    return module.startswith(_EXPECTING)
