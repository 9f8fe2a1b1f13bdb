"""The values of results: places, findings, what came of one point, and defects. Frozen, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cache
from operator import attrgetter
from typing import Any


class Packed:
    """A dataclass that is pickled as a row of values: thousands of them go from process to process."""

    __slots__ = ()

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """Return the class and the values of its fields, in order."""
        kind: Any = type(self)
        return kind, _values_of(kind)(self)


@cache
def _values_of(kind: Any) -> Callable[[object], tuple[object, ...]]:
    return attrgetter(*(each.name for each in fields(kind)))  # each has two fields or more


class Verdict(StrEnum):
    """What is wrong after an interrupt."""

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
    """Whose a finding is."""

    OWN = "own"
    """The code in scope can be written so that it does not have it."""

    CLEANUP = "cleanup"
    """The interrupt came in the very call that would have released it, before it had: only a mask around that call helps."""

    INSIDE = "inside"
    """It was acquired by code out of scope and lost before that returned: a defect of that code."""


@dataclass(frozen=True, slots=True)
class Frame(Packed):
    """One line of a traceback or of a calling context; ``path`` as shown in reports, ``file`` absolute."""

    path: str
    line: int
    function: str
    file: str


@dataclass(frozen=True, slots=True)
class Point(Packed):
    """A place, in one calling context, at one hit, where an interrupt was delivered or should have been.

    Of two interrupts in one run it is the second that is described here; ``first`` describes the other.

    Parameters:
        id: stable name such as ``src/pkg/store.py:12:call#1``; of two interrupts, both names with ``>`` between them.
        path: file as shown in reports; relative to the root directory where it lies below it.
        file: the absolute path.
        line: line number, from 1.
        kind: ``entry``, ``resume``, ``call``, ``jump`` or ``line``; ``into`` and ``back`` for the first and the last checkpoint of
            code out of scope that the line calls.
        hit: 1 when the main thread comes by for the first time in a run, or after the first interrupt.
        function: qualified name of the function.
        context: call sites in scope that led there, innermost first.
        defect: the known CPython defect that an interrupt meets there, or ``""``.
        signal: the name of the signal.
        first: where the first of two interrupts is delivered, ``None`` if this is the only one.
        first_use: only the first run in a process reaches it.
        cleanup: it is in a call that clean-up code makes: in ``finally`` or ``except``, or the ``__exit__`` of a ``with`` block.
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

    @property
    def title(self) -> str:
        """The id for people to read."""
        return self.id.replace(">", " \N{RIGHTWARDS ARROW} ")

    @property
    def traceback(self) -> tuple[Frame, ...]:
        """The way from the test to the point, within scope."""
        return (*reversed(self.context), Frame(self.path, self.line, self.function, self.file))


@dataclass(frozen=True, slots=True)
class Origin(Packed):
    """Where something that was left behind came from, and what follows from it.

    Parameters:
        stack: the calls that created, acquired or changed it, outermost first.
        place: the innermost of them in scope.
        held_by: how it can still be reached, such as ``pkg.pool.POOL._idle[0]``; ``""`` if nothing is known.
        waiting: for a lock, the places where the test acquires it: who gets there next waits for ever.
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
        kind: the kind of what was left behind, or what the verdict is about.
        key: which one, alike in every run.
        detail: in words, as it was this time.
        fails: it makes the test fail; else it is only listed.
        origin: where it came from; ``None`` if that is not known.
        category: whose it is.
        package: of what is lost inside of code out of scope, the package or module.
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
        """What makes findings at several points one defect."""
        return (self.verdict, self.kind, self.key)


@dataclass(frozen=True, slots=True)
class PointResult(Packed):
    """What one interrupt did.

    Parameters:
        point: id of the point.
        findings: what was wrong afterwards, confirmed in a clean process.
        reason: why the point counts as not audited; ``""`` if the interrupt was delivered there.
        varies: the interrupt was delivered, and what it led to was different each time.
        note: what a reader should know, such as that a mask held the interrupt back.
        exception: what came out of the test, as one line; ``""`` if nothing did.
        traceback: from the test to where the interrupt surfaced, harness frames left out.
        error: of a point at which the audit itself failed, the traceback for a bug report.
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
class Defect:
    """Equal findings over one or several points, of one origin."""

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

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """Path and lines of its points, function by function, such as ``("store.py", "12-18")``; of two interrupts, of the last."""
        functions: dict[tuple[str, str], list[int]] = {}
        for point in self.points:
            functions.setdefault((point.path, point.function), []).append(point.line)
        return tuple(dict.fromkeys((path, _range(lines)) for (path, _), lines in functions.items()))


def _range(lines: list[int]) -> str:
    first, last = min(lines), max(lines)
    return str(first) if first == last else f"{first}-{last}"
