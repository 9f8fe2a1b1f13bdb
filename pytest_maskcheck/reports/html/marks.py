"""What an interrupt does on each line of each file: the marks beside the source."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from math import log10
from typing import TYPE_CHECKING

from pytest_maskcheck.reasons import NotAudited, Reason, reason_of
from pytest_maskcheck.reports.unaudited import Gap, gap
from pytest_maskcheck.results.lines import lines_of, united

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from pytest_maskcheck.reports.ways import Way
    from pytest_maskcheck.results import Audit, Exposure, SharedDefect

FIRST_ONLY = "only the first run of a process reaches it, and that run was not interrupted there"
"""Why the lines in :attr:`.Audit.reached_first` were left out."""

_ON_PURPOSE = {NotAudited.EXCLUDED, NotAudited.PAUSED}

_LONGEST = 100_000
"""Lines of a window that are marked: more than a file has, unless a report is damaged."""

_HOTTEST = 5
"""The number of degrees of heat."""


class Mark(StrEnum):
    """What an interrupt on a line does, the worst first. A new member needs a colour and a sign in page.css, and a row in the legend."""

    DEFECT = "defect"
    """It leads into a defect that makes a test fail."""

    KNOWN = "known"
    """It leads into a defect that the baseline has."""

    LISTED = "listed"
    """It leads to what is only listed."""

    UNAUDITED = "unaudited"
    """The line has points, chosen or left out, and an interrupt was delivered at none of them."""

    PARTLY = "partly"
    """It does nothing wrong at those points where it was delivered; there are others, or some were left out."""

    SAMPLED = "sampled"
    """It does nothing wrong at any place of the line, in those turns of a loop in which it was delivered; there were others."""

    CLEAN = "clean"
    """It does nothing wrong, at any place of the line, each time that a test came there."""

    CURE = "cure"
    """There is no place on the line, but a defect that is met on other lines is to be cured here, such as at an ``except``."""

    REACHED = "reached"
    """A test reached the line, and nothing was left out: Python does not look for interrupts there."""

    UNREACHED = "unreached"
    """No test reached it; it is shown as any other line."""


@dataclass(slots=True, repr=False)
class Line:
    """What is known of a line.

    Parameters:
        reached: a test reached it, as the first line of a statement.
        interrupted: an interrupt was delivered in that statement.
        points: the number of points on it.
        audited: the number of those where an interrupt was delivered.
        exposure: for how long in a run an interrupt on it leads into a defect that fails; of several tests, the longest; ``None`` if it does
            not, or that was not measured.
        reasons: why points were not audited.
        left_out: why hits were left out before points were chosen.
        defects: numbers of the defects that have a point on it.
        cures: numbers of the defects that are to be cured on it, and have no point on it.
        windows: numbers of the defects in whose window it lies.
        mark: what an interrupt does.
    """

    reached: bool = False
    interrupted: bool = False
    points: int = 0
    audited: int = 0
    exposure: Exposure | None = None
    reasons: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, None] = field(default_factory=dict)
    defects: list[int] = field(default_factory=list)
    cures: list[int] = field(default_factory=list)
    windows: list[int] = field(default_factory=list)
    mark: Mark = Mark.UNREACHED

    @property
    def heat(self) -> int:
        """The exposure as a degree from 0 to 5: below 0.1 microseconds, 1, 10, 100, and above."""
        time = self.exposure.total if self.exposure is not None else 0.0
        return min(_HOTTEST, max(1, round(log10(time) + 2.5))) if time > 0 else 0


@dataclass(slots=True, repr=False)
class File:
    """What is known of a file.

    Parameters:
        path, file: as shown in reports, and absolute.
        lines: line number -> what is known of the line.
        exposure: for how long in a run an interrupt in this file leads into a defect that fails; of several tests, the longest.
        first_lines: number of each defect that fails and has a point in it -> the first line with one.
        is_test: it is a file of the tests.
    """

    path: str
    file: str = ""
    lines: dict[int, Line] = field(default_factory=dict)
    exposure: Exposure | None = None
    first_lines: dict[int, int] = field(default_factory=dict)
    is_test: bool = False

    def line(self, number: int) -> Line:
        """Return what is known of a line, from now on."""
        return self.lines.setdefault(number, Line())

    @property
    def reached(self) -> int:
        """The number of lines that tests reached."""
        return sum(line.reached for line in self.lines.values())

    @property
    def interrupted(self) -> int:
        """The number of these lines at which an interrupt was delivered."""
        return sum(line.interrupted for line in self.lines.values())

    @property
    def left(self) -> int:
        """The number of the other ones that were not audited, although they may have such a place."""
        return sum(self._is_left(line) for line in self.lines.values())

    @property
    def placeless(self) -> int:
        """The number of the other ones where Python does not look for interrupts."""
        return self.reached - self.interrupted - self.left

    @staticmethod
    def _is_left(line: Line) -> bool:
        return line.reached and not line.interrupted and bool(line.reasons or line.left_out)

    @property
    def points(self) -> int:
        """The number of points."""
        return sum(line.points for line in self.lines.values())

    @property
    def audited(self) -> int:
        """The number of points where an interrupt was delivered."""
        return sum(line.audited for line in self.lines.values())


def files_of(audits: Sequence[Audit], defects: Sequence[SharedDefect], ways: Sequence[Way]) -> dict[str, File]:
    """Return the files of a session by their paths, those of the tests last.

    Parameters:
        audits: those of the session.
        defects: the defects, numbered by their position from 1.
        ways: the way of each of them.
    """
    found: dict[str, File] = {}

    def at(path: str) -> File:
        return found.setdefault(path, File(path))

    for path, reached in united(audit.lines_reached for audit in audits).items():
        for number in reached:
            at(path).line(number).reached = True
    for path, interrupted in united(audit.lines_interrupted for audit in audits).items():
        for number in interrupted:
            at(path).line(number).interrupted = True
    for audit in audits:
        for path in audit.own:
            if path in found:
                found[path].is_test = True
        _count(audit, at)
    _add(defects, ways, at, {*found})
    for line in (line for file in found.values() for line in file.lines.values()):
        line.mark = _mark(line, defects)
    return dict(sorted(found.items(), key=lambda each: (each[1].is_test, each[0])))


def _add(
    defects: Sequence[SharedDefect], ways: Sequence[Way], at: Callable[[str], File], known: Collection[str]
) -> None:
    """Add the defects to the lines that they are met on, to those of their windows, and to the lines at which to cure them."""
    for number, (defect, way) in enumerate(zip(defects, ways, strict=True), 1):
        for path, line in dict.fromkeys((point.path, point.line) for point in defect.points):
            file = at(path)
            file.line(line).defects.append(number)
            if defect.fails:
                file.first_lines[number] = min(line, file.first_lines.get(number, line))
        for window in way.windows:
            for inside in range(window.first, min(window.last, window.first + _LONGEST) + 1):
                at(window.path).line(inside).windows.append(number)
    for number, way in enumerate(ways, 1):
        cure = way.cure_at
        # A file that no test reached, such as one out of scope, gets no page of its own for this.
        if cure.path in known and number not in at(cure.path).line(cure.line).defects:
            at(cure.path).line(cure.line).cures.append(number)


def _count(audit: Audit, at: Callable[[str], File]) -> None:
    """Add the points of an audit, and for how long they are open."""
    of_lines: dict[tuple[str, int], Exposure] = {}
    of_files: dict[str, Exposure] = {}
    # Not those of defects that the baseline has: they are accepted, and the time of what is new would be lost among theirs.
    failing = {point.id for defect in audit.failures for point in defect.points}
    for point, result in zip(audit.points, audit.results, strict=True):
        file = at(point.path)
        file.file = file.file or point.file
        line = file.line(point.line)
        line.points += 1
        line.audited += not result.reason
        if result.reason:
            line.reasons[result.reason] += 1
        if point.id in audit.exposures and point.id in failing:
            time, key = audit.exposures[point.id], (point.path, point.line)
            of_lines[key] = of_lines[key] + time if key in of_lines else time
            of_files[point.path] = of_files[point.path] + time if point.path in of_files else time
    run = audit.duration * 1e6
    for (path, number), time in of_lines.items():
        line = at(path).line(number)
        line.exposure = _longer(line.exposure, time.within(run))
    for path, time in of_files.items():
        at(path).exposure = _longer(at(path).exposure, time.within(run))
    for reason, of_lines_left in _left_out(audit):
        for path, numbers in of_lines_left.items():
            for number in lines_of(numbers):
                at(path).line(number).left_out[reason] = None
    reached = audit.lines_reached
    for place in audit.ignores:
        path, _, digits = place.rpartition(":")
        if digits.isdecimal() and path in reached:
            at(path).line(int(digits)).reasons[Reason(NotAudited.IGNORED)] += 1


def _longer(one: Exposure | None, other: Exposure) -> Exposure:
    return other if one is None or other.total > one.total else one


def _left_out(audit: Audit) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield reasons and, for each file, the lines where something was left out for them."""
    yield from audit.left_out_at.items()
    if audit.reached_first:
        yield FIRST_ONLY, audit.reached_first


def _mark(line: Line, defects: Sequence[SharedDefect]) -> Mark:
    met = [defects[number - 1] for number in line.defects]
    if met:
        return (
            Mark.DEFECT
            if any(each.fails for each in met)
            else Mark.KNOWN
            if any(each.known for each in met)
            else Mark.LISTED
        )
    missing = max(map(_gap, line.left_out), default=Gap.NONE)
    if line.audited == line.points > 0 and missing is not Gap.MISSING:
        return Mark.CLEAN if missing is Gap.NONE else Mark.SAMPLED
    if line.audited:
        return Mark.PARTLY
    if line.reasons or line.left_out:
        return Mark.UNAUDITED
    return Mark.CURE if line.cures else Mark.REACHED if line.reached else Mark.UNREACHED


def _gap(reason: str) -> Gap:
    """Return how much of a line is missing: a comment that excludes a part of it keeps its sign of a clean line from saying all of it."""
    return max(gap(reason), Gap.MISSING if reason_of(reason).code in _ON_PURPOSE else Gap.NONE)
