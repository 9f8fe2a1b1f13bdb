"""The values of results: frames, points, findings, the results of points, and defects. All of them are frozen data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cache
from hashlib import sha256
from math import log10
from operator import attrgetter
from typing import Any


class Packed:
    """A dataclass that is pickled as a tuple of values, to be small: thousands of them are sent from process to process."""

    __slots__ = ()

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """Return the class and the values of its fields, in order."""
        kind: Any = type(self)
        return kind, _values_of(kind)(self)


@cache
def _values_of(kind: Any) -> Callable[[object], tuple[object, ...]]:
    return attrgetter(*(each.name for each in fields(kind)))  # a tuple, as each class has two fields or more


class Verdict(StrEnum):
    """What is wrong after an interrupt. A new member needs a title and a cure in ``reports``, and a row in docs/usage.md."""

    LEAK = "leak"
    IMPLICIT = "implicit"
    ALTERED = "altered"
    SWALLOWED = "swallowed"
    REPLACED = "replaced"
    UNUSABLE = "unusable"
    INVARIANT = "invariant"
    HANG = "hang"
    CRASH = "crash"
    INTERPRETER = "interpreter"


class Category(StrEnum):
    """Which code is responsible for a finding."""

    OWN = "own"
    """Code in scope causes it, and can be written so that it does not."""

    CLEANUP = "cleanup"
    """The interrupt came within the call that would have released the thing: only a mask around that call helps."""

    INSIDE = "inside"
    """Code out of scope acquired the thing and lost it before it returned: a defect of that code."""


@dataclass(frozen=True, slots=True)
class Frame(Packed):
    """One line of a traceback or of a calling context; ``path`` as shown in reports, ``file`` absolute."""

    path: str
    line: int
    function: str
    file: str

    @property
    def package(self) -> str:
        """The top-level package or module, from the path of the file relative to the ``sys.path`` entry."""
        first, *rest = self.path.strip("<>").replace("frozen ", "").split("/")
        return first if rest else first.removesuffix(".py")


@dataclass(frozen=True, slots=True)
class Span(Packed):
    """The source of an instruction, which begins on the line of its point.

    Parameters:
        start, end: columns as CPython counts them, in bytes of UTF-8 from 0; ``end`` is the one behind the last.
        end_line: the line that ``end`` is on.
    """

    start: int
    end: int
    end_line: int


@dataclass(frozen=True, slots=True)
class Point(Packed):
    """A place, in one calling context, at one hit, where an interrupt was delivered or should have been.

    For two interrupts in one run, it describes the second; ``first`` describes the other.

    Parameters:
        id: stable name such as ``src/pkg/store.py:12:call#1``; of two interrupts, both names with ``>`` between them.
        path: file as shown in reports; relative to the root directory where it lies below it.
        file: the absolute path.
        line: line number, from 1.
        kind: ``entry``, ``resume``, ``call``, ``jump`` or ``line``; ``into`` and ``back`` for the first and the last checkpoint of
            code out of scope that the line calls.
        hit: 1 for the first time that the main thread reaches the place in a run, or after the first interrupt.
        function: qualified name of the function.
        context: call sites in scope that led there, innermost first.
        defect: the known CPython defect that an interrupt meets there, or ``""``.
        signal: the name of the signal.
        first: where the first of two interrupts is delivered, ``None`` if this is the only one.
        cleanup: it is in a call that clean-up code makes: in ``finally`` or ``except``, or the ``__exit__`` of a ``with`` block.
        first_use: only the first run in a process reaches it.
        span: the call at which it is; ``None`` if it is at no call, or that is not known.
    """

    id: str
    path: str
    file: str
    line: int
    kind: str
    hit: int
    function: str
    context: tuple[Frame, ...] = ()
    defect: str = ""
    signal: str = "SIGINT"
    first: Point | None = None
    cleanup: bool = False
    first_use: bool = False
    span: Span | None = None

    @property
    def title(self) -> str:
        """The id as shown to people; for two interrupts, both ids with an arrow between them."""
        return self.id.replace(">", " \N{RIGHTWARDS ARROW} ")

    @property
    def traceback(self) -> tuple[Frame, ...]:
        """The calls in scope that led from the test to the point, and the point itself."""
        return (*reversed(self.context), Frame(self.path, self.line, self.function, self.file))


@dataclass(frozen=True, slots=True)
class Origin(Packed):
    """Where a leftover came from, and what follows from it.

    Parameters:
        stack: the calls that created, acquired or changed it, outermost first.
        place: the innermost of them in scope.
        held_by: how it can still be reached, such as ``pkg.pool.POOL._idle[0]``; ``""`` if nothing is known.
        waiting: for a lock, the places where the test acquires it: there the next run waits for ever.
    """

    stack: tuple[Frame, ...]
    place: Frame
    held_by: str = ""
    waiting: tuple[Frame, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding(Packed):
    """One thing wrong after one interrupt.

    Parameters:
        verdict: what is wrong.
        kind: the kind of the leftover, or what the verdict is about.
        key: the name of the thing, the same in every run.
        detail: what was found this time, in words.
        fails: it makes the test fail; else it is only listed.
        origin: where it came from; ``None`` if that is not known.
        category: which code is responsible.
        package: the package or module out of scope that lost it, or ``""``.
    """

    verdict: Verdict
    kind: str
    key: str
    detail: str
    fails: bool = True
    origin: Origin | None = None
    category: Category = Category.OWN
    package: str = ""

    @property
    def identity(self) -> tuple[str, str, str]:
        """What findings of one defect have in common."""
        return (self.verdict, self.kind, self.key)


class StepKind(StrEnum):
    """What happened in one step from an interrupt on."""

    INTERRUPTED = "interrupted"
    """The interrupt arrived while this line was running."""

    RAN = "ran"
    """This line began."""

    LEFT = "left"
    """The interrupt left the function at this line."""


@dataclass(frozen=True, slots=True)
class Step(Packed):
    """One step of a run from the interrupt on."""

    kind: StepKind
    frame: Frame


@dataclass(frozen=True, slots=True)
class Story(Packed):
    """What a run did from its interrupt on, in the code in scope.

    Parameters:
        steps: in order; the first ones if there are many.
        more: the number of further steps.
    """

    steps: tuple[Step, ...]
    more: int = 0


@dataclass(frozen=True, slots=True)
class PointResult(Packed):
    """The result of one interrupt.

    Parameters:
        point: id of the point.
        findings: everything wrong afterwards; what fails is confirmed (:mod:`pytest_maskcheck.audit.confirmation`).
        reason: why the point counts as not audited; ``""`` if the interrupt was delivered there.
        note: what a reader should know, such as that a mask held the interrupt back.
        exception: what came out of the test, as one line; ``""`` if nothing did.
        traceback: from the test to where the interrupt surfaced, harness frames left out.
        varies: the interrupt was delivered, but its consequences were different each time.
        error: if the audit itself failed at this point, the traceback for a bug report.
    """

    point: str
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    note: str = ""
    exception: str = ""
    traceback: tuple[Frame, ...] = ()
    varies: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Exposure(Packed):
    """For how long in one run of a test an interrupt would arrive at a point, or at any of several points.

    Parameters:
        least, greatest: microseconds; what is known of it lies between the two.
        waiting: microseconds of it for which the thread waits in a call, such as for a lock or for data; an interrupt ends the wait.
    """

    least: float
    greatest: float
    waiting: float = 0.0

    def __add__(self, other: Exposure) -> Exposure:
        """Return the exposure of the points of both."""
        return Exposure(self.least + other.least, self.greatest + other.greatest, self.waiting + other.waiting)

    def within(self, run: float) -> Exposure:
        """Return what is known of it if the run takes so many microseconds: it is no longer than that."""
        return Exposure(*(min(each, run) for each in (self.least, self.greatest, self.waiting)))

    def rounded(self) -> Exposure:
        """Return it in whole nanoseconds."""
        return Exposure(*(round(each, 3) for each in (self.least, self.greatest, self.waiting)))

    @property
    def total(self) -> float:
        """Microseconds, as one number to sort by."""
        return (self.least + self.greatest) / 2

    @property
    def rank(self) -> int:
        """A number that is equal for exposures which hardly differ; the greater, the longer."""
        return round(2 * log10(max(self.total, 0.001)))


@dataclass(frozen=True, slots=True)
class HeldBackRun(Packed):
    """A run whose interrupt came at one point and was held back until another one, as by a mask.

    Parameters:
        begins: id of the point where it came.
        after: id of the point where it arrived; ``""``: after the test.
        clean: it arrived there, and nothing that makes a test fail was wrong afterwards.
        suspends: no run was made, as the function has an ``await`` or a ``yield`` on the way: a mask would hold back interrupts of the code
            that runs meanwhile.
    """

    begins: str
    after: str
    clean: bool
    suspends: bool = False


@dataclass(frozen=True, slots=True)
class Edit(Packed):
    """An edit of the project with which a defect is gone, as the command ``cure`` has shown.

    Parameters:
        title: what is done.
        diff: the unified diff of this edit alone. Defects further down in the same file were edited before it was tried.
        tests: the tests that meet the defect without the edit, and were audited without it afterwards.
    """

    title: str
    diff: str
    tests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Fingerprint:
    """What identifies a defect in other sessions: no line numbers, node ids or absolute paths, which change without it.

    Parameters:
        path: the file, as shown in reports.
        function: qualified name of the function.
        text: the text of the line where the thing came from; ``""`` if that is not known, and the function alone has to do.
        verdict, kind, key: those of the finding.
    """

    path: str
    function: str
    text: str
    verdict: str
    kind: str
    key: str

    @property
    def digest(self) -> str:
        """A short text for formats that want one, such as SARIF."""
        parts = (self.path, self.function, self.text, self.verdict, self.kind, self.key)
        return sha256("\0".join(parts).encode("utf-8", "backslashreplace")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Defect:
    """Equal findings with one origin, at one or several points.

    Parameters:
        fails: it makes the test fail.
        fingerprints: one if its origin is known, else one for each function that has a point of it.
        known: the baseline has it, and so it does not fail.
        exposure: that of its points as far as it was measured, ``None`` if at none.
    """

    verdict: Verdict
    kind: str
    key: str
    detail: str
    fails: bool
    points: tuple[Point, ...]
    traceback: tuple[Frame, ...]
    origin: Origin | None = None
    category: Category = Category.OWN
    package: str = ""
    fingerprints: tuple[Fingerprint, ...] = ()
    known: bool = False
    exposure: Exposure | None = None

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """Path and lines of its points, function by function, such as ``("store.py", "12-18")``; of pairs, of the second interrupt."""
        functions: dict[tuple[str, str], list[int]] = {}
        for point in self.points:
            functions.setdefault((point.path, point.function), []).append(point.line)
        return tuple(dict.fromkeys((path, _range(lines)) for (path, _), lines in functions.items()))


def _range(lines: list[int]) -> str:
    first, last = min(lines), max(lines)
    return str(first) if first == last else f"{first}-{last}"
