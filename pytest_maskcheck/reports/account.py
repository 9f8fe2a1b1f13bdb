"""The account of one audit: the message of a failing test, and the section below it."""

from __future__ import annotations

import linecache
import shlex
from collections import Counter
from typing import TYPE_CHECKING

from pytest_maskcheck.reasons import count
from pytest_maskcheck.reports.cures import cure
from pytest_maskcheck.reports.defects import category, headline, title, together, where
from pytest_maskcheck.reports.exposure import exposure, why_none
from pytest_maskcheck.results import Verdict
from pytest_maskcheck.results.windows import windows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_maskcheck.results import Audit, Defect, Frame, Origin, Point
    from pytest_maskcheck.results.windows import Window

_SHOWN = 8
"""Number of point ids shown for one defect; the others are counted."""

_STACK = 6
"""Number of callers, and of callees, shown for one call."""

_NOTES = 3
"""Number of different notes shown for one defect."""

_HEADLINES = 3
"""Number of defects that the message of a failing test names; the others are counted."""

_WINDOWS = 3
"""Number of windows shown for one defect; the others are counted."""

_LABEL = 12

_EARLIER = "found in an earlier session; nothing that decides it has changed since"


def message(audit: Audit) -> str:
    """Return the failure message of an audit: one line for pytest's summary, then one for each defect."""
    failures = audit.failures
    if not failures:
        return str(audit.broken)  # a plain string: workers of xdist send no other
    again = [_EARLIER] if audit.earlier else []
    if len(failures) == 1:
        lines = [headline(failures[0])]
    else:
        more = len(failures) - _HEADLINES
        lines = [f"not interrupt-safe: {count(failures, 'defect')}", *map(headline, failures[:_HEADLINES])]
        lines += [f"and {more} more"] if more > 0 else []
    return "\n".join([*lines, *again, *([audit.broken] if audit.broken else [])])


def as_told(test: str) -> str:
    """Return what is said of a defect whose story another test has told."""
    return _labelled("told in", test)


def story(audit: Audit, defect: Defect) -> str:
    """Return, in a few lines, the story of a defect: where the thing came from, the cure, and how to see it again.

    It is shown below the traceback, because JUnit XML and other formats have only that, without the sections of a report.
    """
    exposed = exposure(audit, defect) or why_none(defect)
    lines = [_labelled("story of", title(defect))] if len(audit.failures) > 1 else []
    lines += [_labelled("exposed", exposed)] if exposed else []
    lines += [*(_origin(defect, defect.origin) if defect.origin is not None else ()), *_windows(audit, defect)]
    lines += [_labelled("reproduce", _reproduce(audit, defect)), _labelled("cure", cure(defect))]
    return "\n".join(lines)


def section(audit: Audit) -> str:
    """Return everything that an audit found, as text."""
    if audit.refused:
        return "\n".join([f"not audited: {audit.refused}", *_errors(audit)]) + "\n"
    lines = [totals(audit), *([f"strategy: {audit.strategy}"] if audit.strategy else [])]
    lines += [f"note: {note}" for note in audit.notes]
    for group in together(audit.defects):
        lines += ["", *_defect(audit, *group)]
    if audit.not_audited:
        lines += ["", "not audited:"]
        lines += [f"  {number:5}  {reason}" for reason, number in sorted(audit.not_audited.items())]
    if audit.found:
        lines += ["", "defects of other tests, reached again:"]
        lines += [f"  {number:5}  found in {test}" for test, number in sorted(Counter(audit.found.values()).items())]
    return "\n".join([*lines, *_errors(audit)]) + "\n"


def _errors(audit: Audit) -> list[str]:
    """Return the tracebacks of errors in the audit itself, for a bug report."""
    return [line for error in audit.errors for line in ("", *error.splitlines())]


def totals(audit: Audit) -> str:
    """Return the totals of an audit on one line."""
    listed = sum(1 for defect, *_ in together(audit.defects) if not (defect.fails or defect.known))
    known = sum(defect.known for defect in audit.defects)
    text = (
        f"{audit.audited} of {count(audit.points, 'point')} audited in {audit.seconds:.1f} s"
        f"{' in an earlier session' if audit.earlier else ''}, "
        f"{count(audit.failures, 'defect')}"
    )
    return text + (f", {known} known" if known else "") + (f", {listed} listed only" if listed else "")


def _defect(audit: Audit, defect: Defect, *others: Defect) -> Iterator[str]:
    point = defect.points[0]
    listed = (
        "" if defect.fails else "  (known, in the baseline)" if defect.known else "  (listed, does not fail the test)"
    )
    yield f"{defect.verdict}: {title(defect)}{category(defect)}{listed}"
    if defect.detail and defect.detail != title(defect):
        yield _labelled("what", defect.detail)
    for other in others:
        yield _labelled("with it", title(other))
    yield from _excerpt(point)
    yield _labelled("interrupted", _points(defect.points))
    if len(defect.points) > 1:
        yield _labelled("lost at", f"{where(defect)} ({count(defect.points, 'point')})")
    if exposed := exposure(audit, defect) or why_none(defect):
        yield _labelled("exposed", exposed)
    if defect.origin is not None:
        yield from _origin(defect, defect.origin)
    yield from _windows(audit, defect)
    for note in _notes(audit, defect):
        yield _labelled("note", note)
    yield _labelled("reproduce", _reproduce(audit, defect))
    yield _labelled("cure", cure(defect))


def _reproduce(audit: Audit, defect: Defect) -> str:
    return shlex.join([*audit.command, defect.points[0].id, audit.test])


def _origin(defect: Defect, origin: Origin) -> Iterator[str]:
    """Yield where a leftover came from, what still refers to it, and what it blocks."""
    labels = {Verdict.ALTERED: "changed", Verdict.SWALLOWED: "caught at"}
    yield _labelled(labels.get(defect.verdict, "came from"), _frame(origin.place))
    inner = origin.stack[origin.stack.index(origin.place) + 1 :] if origin.place in origin.stack else ()
    if inner:
        yield _labelled("", f"through {', '.join(map(_frame, inner[-_STACK:]))}")
    outer = origin.stack[: origin.stack.index(origin.place)] if origin.place in origin.stack else ()
    if outer:
        yield _labelled("", f"called from {', '.join(map(_frame, outer[-_STACK:][::-1]))}")
    if origin.held_by:
        yield _labelled("held by", origin.held_by)
    if origin.waiting:
        yield _labelled("blocks", f"whoever acquires it next: {', '.join(map(_frame, origin.waiting))}")


def _windows(audit: Audit, defect: Defect) -> Iterator[str]:
    """Yield the stretches that a mask would have to cover, and where an interrupt would arrive then; none of which a run shows that it does not help."""
    found = [window for window in windows(audit, defect) if window.proven is not False]
    for window in found[:_WINDOWS]:
        yield _labelled("window", f"{window.path}:{window.lines} in {window.function}{_masked(window)}")
    if len(found) > _WINDOWS:
        yield _labelled("", f"and {count(found[_WINDOWS:], 'more window')}")


def _masked(window: Window) -> str:
    """Return where an interrupt would arrive if it were masked over a window, if a run has shown that nothing is lost then."""
    if not window.proven:
        return ""
    until = f"the end of {window.function}" if window.until is None else f"line {window.until}"
    lines = f"on line {window.since}" if window.until == window.since else f"from line {window.since} to {until}"
    place = "after the test"
    if window.after is not None:
        place = (
            f"at line {window.after.line}"
            if window.after.path == window.path
            else f"at {window.after.path}:{window.after.line}"
        )
    # Another test that meets the defect may take another way out of the window.
    return f"; in this test, with signals masked {lines}, {window.begins.signal} would arrive {place}, where nothing is lost"


def _frame(frame: Frame) -> str:
    return f"{frame.path}:{frame.line} in {frame.function}"


def _notes(audit: Audit, defect: Defect) -> Iterator[str]:
    """Yield the notes about points of a defect; a note that only some points have is followed by their ids."""
    notes = {result.point: result.note for result in audit.results}
    with_note: dict[str, list[Point]] = {}
    for point in defect.points:
        if note := notes.get(point.id, ""):
            with_note.setdefault(note, []).append(point)
    shown = sorted(with_note.items(), key=lambda each: (-len(each[1]), each[0]))
    for note, points in shown[:_NOTES]:
        some = len(points) < len(defect.points)
        yield f"{note} ({len(points)} of {count(defect.points, 'point')}: {_points(points)})" if some else note
    if more := [point for _, points in shown[_NOTES:] for point in points]:
        yield f"and {count(shown[_NOTES:], 'other note')} on {count(more, 'point')}: the JSON report has them"


def _labelled(label: str, text: str) -> str:
    return f"  {label:{_LABEL}}" + text.replace("\n", "\n" + " " * (_LABEL + 2))


def _excerpt(point: Point) -> Iterator[str]:
    """Yield the source around a point, with the interrupted line marked; for two interrupts, the source of the first comes first."""
    if point.first:
        yield from _excerpt(point.first)
    yield f"  {'then ' if point.first else ''}{point.path}, in {point.function}"
    for number in range(max(1, point.line - 2), point.line + 2):
        source = linecache.getline(point.file, number).rstrip()
        if source or number == point.line:
            yield f"  {'>' if number == point.line else ' '} {number:4} | {source}"


def _points(points: Sequence[Point]) -> str:
    """Return the ids of the first few points, and the number of the others."""
    shown = ", ".join(point.title for point in points[:_SHOWN])
    more = len(points) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
