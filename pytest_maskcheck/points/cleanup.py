"""Which findings are the code's own, which only a mask can avoid, and which are lost inside of code out of scope.

Two sorts of findings are true, and yet not to be cured where they show:

*cleanup*: the interrupt comes in the very call that releases, before it has: ``finally: path.unlink()``, a Python ``__exit__``. No code
of the caller's closes that gap but a mask around the call. What an uninterrupted call leaves as it is, is not of that class, nor is what
is met again behind the line; of things with one name, those of each origin are looked at by themselves. Such a finding fails; it is a class of its own, which can be allowed as
``cleanup:*``.

*inside*: code out of scope acquired it, and the interrupt came before that code returned. A Python function can keep what it acquires
from being lost to its last instruction, as there is no checkpoint between that and the next of the caller's; so the defect is that of the
function called. It is listed, and fails with ``strict``.
"""

from __future__ import annotations

import ast
import tokenize
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from pytest_maskcheck.results import Category, Finding, Point, PointResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from pytest_maskcheck.interrupts import Hit
    from pytest_maskcheck.results import Frame

_EXITS = {"__exit__", "__aexit__"}

_LASTING = {Verdict.LEAK, Verdict.ALTERED, Verdict.UNUSABLE, Verdict.INVARIANT, Verdict.IMPLICIT}
"""Verdicts about what the call that was interrupted would have undone."""


_WATCHED = {Verdict.LEAK, Verdict.ALTERED, Verdict.IMPLICIT}
"""Those of them about things that a watched run sees."""


def is_cleanup(hit: Hit) -> bool:
    """Tell whether an interrupt at a hit comes in a call that clean-up code makes: as it begins or, out of scope, as it ends."""
    if hit.kind == "entry":
        if hit.code.co_name in _EXITS:
            return True
        if not hit.context:
            return False
        caller, line = hit.context[0]
        return line in _lines(caller.co_filename)
    if hit.kind not in {"into", "back"}:
        return False
    callee = (hit.trigger.since or hit.trigger).callee
    return hit.line in _lines(hit.code.co_filename) or (callee is not None and callee.co_name in _EXITS)


@lru_cache(maxsize=256)
def _lines(filename: str) -> frozenset[int]:
    """Return the lines of a file that are within ``finally`` or ``except``."""
    try:
        with tokenize.open(filename) as source:
            tree = ast.parse(source.read())
    except (OSError, SyntaxError, ValueError):  # generated, removed, not Python
        return frozenset()
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Try, ast.TryStar)):
            for statement in (*node.finalbody, *(each for handler in node.handlers for each in handler.body)):
                found.update(range(statement.lineno, (statement.end_lineno or statement.lineno) + 1))
    return frozenset(found)


def sort_out(
    points: Sequence[Point],
    results: Iterable[PointResult],
    outlasting: Mapping[str, Collection[tuple[str, str]]],
    *,
    strict: bool,
    passed: Collection[str] = (),
    complete: bool = True,
) -> tuple[PointResult, ...]:
    """Return the results with the category of each finding.

    Parameters:
        points: in the order in which they come.
        results: of them.
        outlasting: id of a point -> kind and key of what is there still when the call returns that is under way.
        strict: what is lost inside of code out of scope fails, too.
        passed: ids of the points by which a watched run went, so that what outlasts the call is known there.
        complete: these are all points of the test. Where some are missing, nothing says that a finding is not met behind the line
            but a point that was audited there.
    """
    named = {point.id: point for point in points}
    order = {point.id: position for position, point in enumerate(points)}
    last: dict[object, dict[Frame | None, int]] = {}  # where each finding, of each origin, is met for the last time
    results = tuple(results)
    for result in results:
        point = named[result.point]
        for finding in result.findings:
            if not point.first:
                origins = last.setdefault((finding.identity, point.signal), {})
                place = _place(finding)
                origins[place] = max(origins.get(place, 0), order[point.id])

    def releases(point: Point, finding: Finding) -> bool:
        """Tell whether the call would have undone it: it is not there any more when that has returned, nor behind the line."""
        if not {(finding.kind, finding.key), (finding.kind, "")}.isdisjoint(outlasting.get(point.id, ())):
            return False
        origins, place = last[finding.identity, point.signal], _place(finding)
        latest = points[max(at for other, at in origins.items() if None in {place, other} or other == place)]
        if (latest.path, latest.line) != (point.path, point.line):
            return False
        behind = points[order[point.id] + 1 :]
        seen_gone = complete or any((each.path, each.line) != (point.path, point.line) for each in behind)
        return seen_gone or (point.id in passed and finding.verdict in _WATCHED)

    def sorted_out(result: PointResult, finding: Finding) -> Finding:
        point = named[result.point]
        if point.first is not None or finding.verdict is Verdict.INTERPRETER:
            return finding
        if package := finding.package or _lost_inside(point, finding):
            return replace(finding, category=Category.INSIDE, package=package, fails=finding.fails and strict)
        if point.cleanup and finding.verdict in _LASTING and releases(point, finding):
            return replace(finding, category=Category.CLEANUP)
        return finding

    return tuple(
        replace(result, findings=tuple(sorted_out(result, each) for each in result.findings)) for result in results
    )


def _place(finding: Finding) -> Frame | None:
    return finding.origin.place if finding.origin is not None else None


def _lost_inside(point: Point, finding: Finding) -> str:
    """Return the package in which something was acquired and lost, ``""`` if it was the code in scope that had it."""
    origin = finding.origin
    if point.kind not in {"into", "back"} or origin is None or origin.place not in origin.stack:
        return ""
    if (origin.place.path, origin.place.line) != (point.path, point.line):
        return ""
    inner = origin.stack[origin.stack.index(origin.place) + 1 :]
    return package_of(inner[0]) if inner else ""


def package_of(frame: Frame) -> str:
    """Return the package or module that a frame is of, from the name of its file below the entry of ``sys.path`` that has it."""
    first, *rest = frame.path.strip("<>").replace("frozen ", "").split("/")
    return first if rest else first.removesuffix(".py")
