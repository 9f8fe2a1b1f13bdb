"""The defects of a session, each once however many tests meet it: the worst first, in three lines each, the others counted.

A screen has some forty lines, and other parts of the summary want some of them. Lines that are longer than the terminal is wide take up
several; where paths are long, fewer defects are shown.
"""

from __future__ import annotations

import math
import shlex
from operator import attrgetter
from typing import TYPE_CHECKING

from pytest_maskcheck.reasons import count
from pytest_maskcheck.reports.appearance import PLAIN, Tone
from pytest_maskcheck.reports.cures import cure
from pytest_maskcheck.reports.defects import category, in_tests, title, where
from pytest_maskcheck.reports.exposure import brief, why_none_briefly
from pytest_maskcheck.reports.hints import hint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_maskcheck.reports.appearance import Appearance
    from pytest_maskcheck.results import SharedDefect

_SHOWN = 10
"""Number of defects that are shown at most, unless all are wanted."""

_ROWS = 30
"""Number of rows of the terminal that they may take up; one defect is shown in any case."""

_LINES = 2
"""Number of functions whose lines are shown of one defect."""


def leading(defects: Sequence[SharedDefect], look: Appearance, *, verbose: bool) -> Iterator[str]:
    """Yield the defects of a session that make tests fail.

    Parameters:
        defects: the defects that fail, the worst first.
        look: how parts of the lines stand out.
        verbose: show all of them, with whole sentences and commands.
    """
    bundles = _bundled(defects)
    if verbose:
        yield from _all(bundles, look)
        return
    shown = _fitting(bundles, look.columns)
    for number, each in enumerate(bundles[:shown], 1):
        yield from _brief(number, each, look)
    if more := [each for bundle in bundles[shown:] for each in bundle]:
        yield f"    and {count(more, 'more defect')}, which -v shows"
    yield look.toned(f"    to see one again: {shlex.join(defects[0].cheapest.audit.command)} POINT TEST", Tone.FAINT)


def _all(bundles: Iterable[Sequence[SharedDefect]], look: Appearance) -> Iterator[str]:
    told: dict[str, int] = {}
    for number, (each, *others) in enumerate(bundles, 1):
        first = told.setdefault(cure(each.defect), number)
        yield f"{number:2}. {_headline(each, look, *others)}"
        if others:
            yield f"    also {', '.join(title(other.defect) for other in others)}"
        yield f"    {_place(each, look)}"
        yield f"    cure: {cure(each.defect) if first == number else f'as for {first}'}"
        yield look.toned(f"    {reproduce(each)}", Tone.FAINT)


def _bundled(defects: Iterable[SharedDefect]) -> list[list[SharedDefect]]:
    """Return the defects in bundles: what one line does to several things of a kind, such as variables, is one entry."""
    bundles: dict[object, list[SharedDefect]] = {}
    for each in defects:
        defect = each.defect
        place = defect.origin and defect.origin.place
        bundles.setdefault((defect.verdict, defect.kind, defect.category, defect.lines, place), []).append(each)
    return [*bundles.values()]


def _fitting(bundles: Sequence[Sequence[SharedDefect]], columns: int) -> int:
    """Return how many bundles fit."""
    rows = 0
    for number, each in enumerate(bundles[:_SHOWN], 1):
        rows += sum(math.ceil(len(line) / columns) for line in _brief(number, each, PLAIN))
        if rows > _ROWS and number > 1:
            return number - 1
    return min(len(bundles), _SHOWN)


def _brief(number: int, bundle: Sequence[SharedDefect], look: Appearance) -> Iterator[str]:
    shared, *others = bundle
    yield f"{number:2}. {_headline(shared, look, *others)}; cure: {hint(shared.defect)}"
    yield f"    {_place(shared, look)}"
    yield look.toned(f"    {shlex.join(_again(shared))}", Tone.FAINT)


def _headline(shared: SharedDefect, look: Appearance, *others: SharedDefect) -> str:
    defect = shared.defect
    failing, reaching = (
        {test for each in (shared, *others) for test in which(each)}
        for which in (attrgetter("failing"), attrgetter("tests"))
    )
    tests = in_tests(failing, reaching)
    about = title(defect) + (f" and {len(others)} more" if others else "")
    return f"{look.toned(defect.verdict, Tone.BAD)}: {look.toned(about, Tone.STRONG)}{category(defect)}{tests}"


def _place(shared: SharedDefect, look: Appearance) -> str:
    """Return where a defect is met, where the thing came from if that is another line, and how often an interrupt would lead there."""
    defect = shared.defect
    point, origin = defect.points[0], defect.origin
    met = where(defect, _LINES)
    text = look.linked(met, point.file, point.line)
    if origin is not None and met != f"{origin.place.path}:{origin.place.line}":
        place = origin.place
        near = {path for path, _ in defect.lines} == {place.path}
        came = f"line {place.line}" if near else f"{place.path}:{place.line}"
        text += f", from {look.linked(came, place.file, place.line)}"
    often = brief(shared.exposed.audit, shared.exposed.defect) or why_none_briefly(shared.defect)
    return text + (often and f"; {often}")


def _again(shared: SharedDefect) -> list[str]:
    """Return the first point of a defect and the test where it is reproduced soonest."""
    cheapest = shared.cheapest
    return [cheapest.defect.points[0].id, cheapest.audit.test]


def reproduce(shared: SharedDefect) -> str:
    """Return the command that shows a defect again at its first point, in the test where that is done soonest."""
    return shlex.join([*shared.cheapest.audit.command, *_again(shared)])
