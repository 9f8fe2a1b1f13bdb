"""The defects of a session, each once however many tests meet it: the worst first, in three lines each, the others counted."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from pytest_maskcheck.reasons import count
from pytest_maskcheck.reports.appearance import Tone
from pytest_maskcheck.reports.cures import cure
from pytest_maskcheck.reports.defects import category, title, where
from pytest_maskcheck.reports.hints import hint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_maskcheck.reports.appearance import Appearance
    from pytest_maskcheck.results import Defect, SharedDefect

_SHOWN = 10
"""Number of defects that are shown unless all are wanted."""

_LINES = 2
"""Number of functions whose lines are shown of one defect."""

_POINT = "--maskcheck-point"


def leading(
    defects: Sequence[SharedDefect], command: Sequence[str], look: Appearance, *, verbose: bool
) -> Iterator[str]:
    """Yield the defects of a session that make tests fail.

    Parameters:
        defects: the defects that fail, the worst first.
        command: words of the command that runs a test again, without ``--maskcheck-point ID``.
        look: how parts of the lines stand out.
        verbose: show all of them, with whole sentences and commands.
    """
    told: dict[str, int] = {}
    for number, each in enumerate(defects if verbose else defects[:_SHOWN], 1):
        headline = f"{number:2}. {_headline(each, look)}"
        if verbose:
            first = told.setdefault(cure(each.defect), number)
            yield headline
            yield f"    {_place(each.defect, look)}"
            yield f"    cure: {cure(each.defect) if first == number else f'as for {first}'}"
            yield look.toned(f"    {reproduce(each, command)}", Tone.FAINT)
        else:
            yield f"{headline}; cure: {hint(each.defect)}"
            yield f"    {_place(each.defect, look)}"
            yield look.toned(f"    {shlex.join(_again(each))}", Tone.FAINT)
    if not verbose:
        if (more := len(defects) - _SHOWN) > 0:
            yield f"    and {count(defects[-more:], 'more defect')}, which -v shows"
        yield look.toned(f"    to see one again: {shlex.join([*command, _POINT])} POINT TEST", Tone.FAINT)


def _headline(shared: SharedDefect, look: Appearance) -> str:
    defect = shared.defect
    tests = f", in {count(shared.tests, 'test')}" if len(shared.tests) > 1 else ""
    return f"{look.toned(defect.verdict, Tone.BAD)}: {look.toned(title(defect), Tone.STRONG)}{category(defect)}{tests}"


def _place(defect: Defect, look: Appearance) -> str:
    """Return where a defect is met, and where the thing came from if that is another line."""
    point, origin = defect.points[0], defect.origin
    met = where(defect, _LINES)
    text = look.linked(met, point.file, point.line)
    if origin is None or met == f"{origin.place.path}:{origin.place.line}":
        return text
    place = origin.place
    came = f"line {place.line}" if {path for path, _ in defect.lines} == {place.path} else f"{place.path}:{place.line}"
    return f"{text}, from {look.linked(came, place.file, place.line)}"


def _again(shared: SharedDefect) -> list[str]:
    """Return the first point of a defect and the test where it is reproduced soonest."""
    cheapest = shared.cheapest
    return [cheapest.defect.points[0].id, cheapest.audit.test]


def reproduce(shared: SharedDefect, command: Sequence[str]) -> str:
    """Return the command that shows a defect again at its first point, in the test where that is done soonest."""
    return shlex.join([*command, _POINT, *_again(shared)])
