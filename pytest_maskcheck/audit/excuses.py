"""Findings at a point where CPython has a known defect: which of them are CPython's.

A second run goes past the defect: its interrupt comes as it would if CPython had no defect
(:class:`~pytest_maskcheck.runs.requests.PastDefect`). Findings that this run shows too are the code's own. If no such run can be made,
nothing is excused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck.results import Finding, Verdict

if TYPE_CHECKING:
    from pytest_maskcheck.results import Point
    from pytest_maskcheck.runs.requests import RunResult


def went_past(point: Point, ran: RunResult) -> bool:
    """Return whether a run shows what an interrupt does without CPython's known defect at the point.

    Of two interrupts, the second may have no place left once the first has reached its handler. Then the first one is enough.
    """
    strikes = ran.strike.in_turn()
    return strikes[0].fired and (strikes[-1].fired or bool(point.first and point.first.defect))


def excused(point: Point, finding: Finding) -> Finding:
    """Return the finding as one that blames CPython, as no Python code could have done better."""
    return Finding(Verdict.INTERPRETER, finding.kind, finding.key, f"{point.defect}; {finding.detail}", fails=False)
