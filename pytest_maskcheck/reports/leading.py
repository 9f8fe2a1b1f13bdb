"""The defects of a session, each once however many tests meet it: the worst first, in a few lines each, the others counted."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from pytest_maskcheck.reasons import count
from pytest_maskcheck.reports.cures import cure
from pytest_maskcheck.reports.defects import category, title, where
from pytest_maskcheck.reports.exposure import odds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_maskcheck.results import SharedDefect

_SHOWN = 10
"""Number of defects that are shown unless all are wanted."""


def leading(defects: Sequence[SharedDefect], command: Sequence[str], *, verbose: bool) -> Iterator[str]:
    """Yield the defects of a session that make tests fail.

    Parameters:
        defects: the defects that fail, the worst first.
        command: words of the command that runs a test again, without ``--maskcheck-point ID``.
        verbose: show all of them.
    """
    shown = defects if verbose else defects[:_SHOWN]
    told: dict[str, int] = {}
    for number, each in enumerate(shown, 1):
        yield f"{number:2}. {_headline(each)}"
        first = told.setdefault(cure(each.defect), number)
        yield f"    cure: {cure(each.defect) if first == number else f'as for {first}'}"
        yield f"    {reproduce(each, command)}"
    if more := len(defects) - len(shown):
        yield f"    and {count(defects[-more:], 'more defect')}: -v shows all"


def _headline(shared: SharedDefect) -> str:
    defect = shared.defect
    tests = f", {count(shared.tests, 'test')}" if len(shared.tests) > 1 else ""
    came = f", from line {defect.origin.place.line}" if defect.origin is not None else ""
    often = odds(shared.exposed.audit, shared.exposed.defect)
    return f"{defect.verdict}: {title(defect)}{category(defect)} [{where(defect)}{came}{tests}{often and f'; {often}'}]"


def reproduce(shared: SharedDefect, command: Sequence[str]) -> str:
    """Return the command that shows a defect again at its first point, in the test where that is done soonest."""
    cheapest = shared.cheapest
    return shlex.join([*command, "--maskcheck-point", cheapest.defect.points[0].id, cheapest.audit.test])
