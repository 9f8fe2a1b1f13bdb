"""The report for people: text, without colour, for the terminal and for everything that shows report sections."""

from __future__ import annotations

import linecache
import shlex
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_maskcheck.reports.cures import cure
from pytest_maskcheck.results import Category, Verdict, count, lines_of, spans, united, used_in_any
from pytest_maskcheck.system.unpatched import pathlib

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_maskcheck.results import Audit, Defect, Frame, Origin, Point

_SHOWN = 8
"""Ids of points shown of one defect; the rest is counted."""

_STACK = 6
"""Callers and callees shown of one call."""

_NOTES = 3
"""Different notes shown of one defect."""

_LABEL = 12

_LINES = 5
"""Functions whose lines are shown of those in which one resource is lost."""

_NAMED = 3
"""Tests, points or packages named of several that one line is about."""

_TITLES = 3
"""Resources named of those that were released together."""


def together(defects: Iterable[Defect]) -> list[list[Defect]]:
    """Return the defects; those that reference counting alone released at the same points, as parts of one thing are, in one group."""
    groups: dict[object, list[Defect]] = {}
    for number, defect in enumerate(defects):
        alone = defect.fails or defect.verdict is not Verdict.IMPLICIT
        groups.setdefault(number if alone else tuple(point.id for point in defect.points), []).append(defect)
    return [sorted(group, key=lambda defect: defect.kind == defect.verdict) for group in groups.values()]


def headline(defect: Defect, *others: Defect) -> str:
    """Return a defect on one line, such as ``leak: lock Store._lock [2 points, src/store.py:12-15]``."""
    firsts = dict.fromkeys(f"{point.first.path}:{point.first.line}" for point in defect.points if point.first)
    before = f"{', '.join(firsts)} \N{RIGHTWARDS ARROW} " if firsts else ""
    about = titles(defect, *others) + category(defect)
    return f"{defect.verdict}: {about} [{count(defect.points, 'point')}, {before}{where(defect)}]"


def category(defect: Defect) -> str:
    """Return whose a defect is, if it is not simply the code's own."""
    if defect.category is Category.INSIDE:
        return f", {'caught' if defect.verdict is Verdict.SWALLOWED else 'lost'} inside {defect.package}"
    return ", in clean-up" if defect.category is Category.CLEANUP else ""


def where(defect: Defect) -> str:
    """Return the lines at which something is lost, such as ``store.py:12-18, 30``; the first few, if they are many."""
    files: dict[str, list[str]] = {}
    for path, numbers in defect.lines[:_LINES]:
        files.setdefault(path, []).append(numbers)
    shown = ", ".join(f"{path}:{', '.join(numbers)}" for path, numbers in files.items())
    more = len(defect.lines) - _LINES
    return f"{shown} and in {count(more, 'more function')}" if more > 0 else shown


def titles(*defects: Defect) -> str:
    """Return what several defects are about."""
    more = len(defects) - _TITLES
    return ", ".join(map(title, defects[:_TITLES])) + (f" and {more} more" if more > 0 else "")


def title(defect: Defect) -> str:
    """Return what a defect is about."""
    if defect.kind == defect.verdict:
        return defect.key
    if defect.verdict in {Verdict.LEAK, Verdict.IMPLICIT, Verdict.ALTERED, Verdict.INTERPRETER, Verdict.INVARIANT}:
        return f"{defect.kind} {defect.key}".strip()
    return defect.detail


def message(audit: Audit) -> str:
    """Return what a failing audit says: one line for a summary, then one for each defect."""
    failures = audit.failures
    if not failures:
        return audit.broken
    lines = (
        [headline(failures[0])]
        if len(failures) == 1
        else [
            f"not interrupt-safe: {count(failures, 'defect')}",
            *(headline(defect) for defect in failures),
        ]
    )
    return "\n".join([*lines, *([audit.broken] if audit.broken else [])])


def hint(audit: Audit, command: Sequence[str]) -> str:
    """Return how the first failing defect is reproduced, ``""`` if there is none.

    JUnit XML and other formats have the traceback alone, and not the sections of a report.
    """
    return f"reproduce: {_reproduce(audit, command, audit.failures[0])}" if audit.failures else ""


def section(audit: Audit, command: Sequence[str]) -> str:
    """Return the full account of an audit.

    Parameters:
        audit: the results.
        command: words of the command that runs the test again, without ``--maskcheck-point ID``.
    """
    if audit.refused:
        return "\n".join([f"not audited: {audit.refused}", *_errors(audit)]) + "\n"
    lines = [totals(audit), *([f"strategy: {audit.strategy}"] if audit.strategy else [])]
    lines += [f"note: {note}" for note in audit.notes]
    for group in together(audit.defects):
        lines += ["", *_defect(audit, command, *group)]
    if audit.not_audited:
        lines += ["", "not audited:"]
        lines += [f"  {number:5}  {reason}" for reason, number in sorted(audit.not_audited.items())]
    return "\n".join([*lines, *_errors(audit)]) + "\n"


def _errors(audit: Audit) -> list[str]:
    """Return what a report of a defect of maskcheck's own should contain."""
    return [line for error in audit.errors for line in ("", *error.splitlines())]


def totals(audit: Audit) -> str:
    """Return the numbers of an audit on one line."""
    listed = sum(1 for defect, *_ in together(audit.defects) if not defect.fails)
    text = (
        f"{audit.audited} of {count(audit.points, 'point')} audited in {audit.seconds:.1f} s, "
        f"{count(audit.failures, 'defect')}"
    )
    return text + (f", {listed} listed only" if listed else "")


def _defect(audit: Audit, command: Sequence[str], defect: Defect, *others: Defect) -> Iterator[str]:
    point = defect.points[0]
    listed = "" if defect.fails else "  (listed, does not fail the test)"
    yield f"{defect.verdict}: {title(defect)}{category(defect)}{listed}"
    if defect.detail and defect.detail != title(defect):
        yield _labelled("what", defect.detail)
    for other in others:
        yield _labelled("with it", title(other))
    yield from _excerpt(point)
    yield _labelled("interrupted", _points(defect.points))
    if len(defect.points) > 1:
        yield _labelled("lost at", f"{where(defect)} ({count(defect.points, 'point')})")
    if defect.origin is not None:
        yield from _origin(defect, defect.origin)
    for note in _notes(audit, defect):
        yield _labelled("note", note)
    yield _labelled("reproduce", _reproduce(audit, command, defect))
    yield _labelled("cure", cure(defect))


def _reproduce(audit: Audit, command: Sequence[str], defect: Defect) -> str:
    return shlex.join([*command, "--maskcheck-point", defect.points[0].id, audit.test])


def _origin(defect: Defect, origin: Origin) -> Iterator[str]:
    """Yield where a leftover came from, who has it and whom it blocks."""
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


def _frame(frame: Frame) -> str:
    return f"{frame.path}:{frame.line} in {frame.function}"


def _notes(audit: Audit, defect: Defect) -> Iterator[str]:
    """Yield the notes about points of a defect, each with the points that have it if others have not."""
    notes = {result.point: result.note for result in audit.results}
    with_note: dict[str, list[Point]] = {}
    for point in defect.points:
        if note := notes.get(point.id, ""):
            with_note.setdefault(note, []).append(point)
    told = sorted(with_note.items(), key=lambda each: (-len(each[1]), each[0]))
    for note, points in told[:_NOTES]:
        some = len(points) < len(defect.points)
        yield f"{note} ({len(points)} of {count(defect.points, 'point')}: {_points(points)})" if some else note
    if more := [point for _, points in told[_NOTES:] for point in points]:
        yield f"and {count(told[_NOTES:], 'other note')} on {count(more, 'point')}: the JSON report has them"


def _labelled(label: str, text: str) -> str:
    return f"  {label:{_LABEL}}" + text.replace("\n", "\n" + " " * (_LABEL + 2))


def _excerpt(point: Point) -> Iterator[str]:
    """Yield the source around a point, the interrupted line marked; of two interrupts, the first before the second."""
    if point.first:
        yield from _excerpt(point.first)
    yield f"  {'then ' if point.first else ''}{point.path}, in {point.function}"
    for number in range(max(1, point.line - 2), point.line + 2):
        source = linecache.getline(point.file, number).rstrip()
        if source or number == point.line:
            yield f"  {'>' if number == point.line else ' '} {number:4} | {source}"


def _points(points: Sequence[Point]) -> str:
    """Return the ids of points, the first few of them if they are many."""
    shown = ", ".join(point.title for point in points[:_SHOWN])
    more = len(points) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


@dataclass(frozen=True, slots=True)
class Nothing:
    """A session in which nothing was audited.

    Parameters:
        wanted: how many tests were to be audited.
        begun: how many of them passed, so that there is an audit that says why not.
        marked: only tests with the marker were to be audited.
        meant: it is to end well all the same.
        one: a single point was asked for.
    """

    wanted: int
    begun: int
    marked: bool
    meant: bool
    one: bool = False


def failing_parts(number: int) -> str:
    """Return why a test is not audited of which so many subtests failed, or ``""``."""
    return f"{count(number, 'subtest')} of it failed: only what passes can be audited" if number else ""


def nothing(session: Nothing) -> str:
    """Return why nothing was audited, and what helps."""
    if session.begun:
        why = f"no point of {count(session.begun, 'test')}, for the reasons above"
    elif session.wanted:
        why = f"none of {count(session.wanted, 'test')} passed by itself, and only what passes can be audited"
    elif session.marked:
        why = "no test that was selected is marked: add @pytest.mark.interrupt_safe, or audit every test with --maskcheck-all"
    else:
        why = "no test was selected"
    if session.one:
        return f"the point was not audited: {why} (exit status 5)"
    remedy = "" if session.meant else " (exit status 5; --maskcheck-allow-none if that is meant)"
    return f"nothing was audited: {why}{remedy}"


def scope(
    include: Sequence[str], exclude: Sequence[str], configured: Sequence[str], project: str, places: Sequence[str]
) -> str:
    """Return which code is audited where a test says nothing else, for the header.

    Parameters:
        include, exclude: the settings.
        configured: what coverage's configuration includes.
        project: the name of the project's own distribution, if it is in scope by default.
        places: where that is installed, if not in the root directory.
    """
    if include:
        text = f"{', '.join(include)} (include)"
    elif configured:
        text = f"{', '.join(configured)} (coverage's configuration)"
    else:
        text = "the root directory" + (f" and {project}" if places else f", project {project}" if project else "")
        text += f" ({', '.join(places)})" if places else ""
    return text + (f", without {', '.join(exclude)}" if exclude else "") + ", and the tests"


def summary(audits: Iterable[Audit]) -> Iterator[str]:
    """Yield the lines of the session's summary: what is only listed, what was not audited and why, and totals as the last one."""
    audits = list(audits)
    done = [audit for audit in audits if not audit.refused]
    yield from _unaudited_tests(audits)
    for audit in done:
        if audit.strategy.startswith("snapshot"):
            yield f"strategy: {audit.test}: {audit.strategy}"
    for audit in done:
        for group in together(audit.defects):
            if not group[0].fails:
                yield f"listed: {audit.test}: {headline(*group)}"
    reasons: Counter[str] = Counter()
    for audit in done:
        reasons.update(audit.not_audited)
    for reason, number in sorted(reasons.items()):
        yield f"not audited: {count(number, 'point')}: {reason}"
    yield from _unmeasured(audits)
    yield from _first_use(done)
    left = Counter(leftover for audit in done for leftover in audit.baseline)
    for leftover, number in sorted(left.items()):
        yield f"left behind by {count(number, 'test')} uninterrupted, and so no finding: {leftover}"
    for place in _unused(audit.ignores for audit in done):
        yield f"unused: {place}: `# maskcheck: ignore` ignored no point in this run"
    for allow in _unused(audit.allows for audit in done):
        yield f"unused: {allow}: nothing like it was left behind in this run"
    varying = [f"{audit.test} at {each.point}" for audit in done for each in audit.results if each.varies]
    if varying:
        yield f"UNDECIDED: what the interrupt led to was different each time at {count(varying, 'point')}: {_few(varying)}"
    yield from _narrow(done)
    if audits:
        yield closing(audits)


def _unaudited_tests(audits: Iterable[Audit]) -> Iterator[str]:
    """Yield which tests were not audited at any point, and why: one line for each reason."""
    reasons: dict[str, list[str]] = {}
    for audit in audits:
        if not audit.audited and not audit.is_elsewhere:
            reasons.setdefault(audit.refused or _against_all(audit), []).append(audit.test)
    for reason, tests in reasons.items():
        shown = tests[0] if len(tests) == 1 else f"{count(tests, 'test')} ({_few(tests)})"
        yield f"not audited: {shown}: {reason}"


def _against_all(audit: Audit) -> str:
    """Return why no point of a test was audited."""
    reasons = sorted(audit.not_audited, key=audit.not_audited.__getitem__, reverse=True)
    if not reasons:
        return "it reached no point in scope"
    return reasons[0] + (" and other reasons" if len(reasons) > 1 else "")


def _few(texts: Sequence[str]) -> str:
    """Return the first few of several texts, and how many more there are."""
    more = len(texts) - _NAMED
    return ", ".join(texts[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _narrow(audits: Sequence[Audit]) -> Iterator[str]:
    """Yield what helps if the tests alone were audited, and not the code that they test."""
    own = {path for audit in audits for path in audit.own}
    reached = {path for audit in audits for path in audit.reached}
    if not reached or any(path not in own and not _is_support(path) for path in reached):
        return
    packages = Counter(name for audit in audits for name in audit.unaudited)
    names = [name for name, _ in packages.most_common(_NAMED)]
    imports = f", and none of what they import ({', '.join(names)})" if names else ""
    yield (
        f"SCOPE: only the tests' own code was audited{imports}: name the package that they test with "
        f"--maskcheck-include={names[0] if names else 'PACKAGE'}, or with maskcheck_include in the configuration file"
    )


def _is_support(path: str) -> bool:
    """Tell whether a file belongs to tests, by its name."""
    *folders, name = pathlib.PurePath(path).parts
    return name == "conftest.py" or not {"test", "tests"}.isdisjoint(folders)


def closing(audits: Sequence[Audit]) -> str:
    """Return the numbers of a session on one line."""
    tests = sum(1 for audit in audits if audit.audited)
    points = sum(audit.audited for audit in audits)
    undecided = sum(audit.undecided for audit in audits)
    defects = sum(len(audit.failures) for audit in audits)
    reached = sum(map(len, united(audit.lines_reached for audit in audits).values()))
    interrupted = sum(map(len, united(audit.lines_interrupted for audit in audits).values()))
    return (
        f"{count(tests, 'test')} audited at {count(points, 'point')}, {undecided} undecided: {count(defects, 'defect')}; "
        f"{count(reached, 'line')} reached, {interrupted} interrupted"
    )


def _unmeasured(audits: Iterable[Audit]) -> Iterator[str]:
    """Yield which modules were included to no effect, and why: one line for each reason."""
    named: dict[str, dict[str, None]] = {}
    for audit in audits:
        for name, why in audit.unmeasured.items():
            named.setdefault(why, {})[name] = None
    for why, names in named.items():
        yield f"not audited, although included: {', '.join(names)}: {why}"


def _first_use(audits: Sequence[Audit]) -> Iterator[str]:
    """Yield what only first runs reach and was not audited."""
    lines: dict[str, set[int]] = united(
        {path: lines_of(text) for path, text in audit.reached_first.items()} for audit in audits
    )
    if lines:
        shown = [f"{path}:{spans(numbers)}" for path, numbers in sorted(lines.items())]
        number = sum(map(len, lines.values()))
        yield f"reached only by the first run, not audited: {count(number, 'line')}: {_few(shown)}"
    reasons = Counter(audit.no_first_use for audit in audits if audit.no_first_use)
    for reason, number in sorted(reasons.items()):
        yield f"first use not audited in {count(number, 'test')}: {reason}"


def _unused(uses: Iterable[dict[str, bool]]) -> list[str]:
    """Return what is not used in any of several audits."""
    return sorted(name for name, use in used_in_any(uses).items() if not use)
