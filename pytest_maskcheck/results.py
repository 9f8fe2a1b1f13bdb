"""What an audit found: frozen data that knows how to become JSON, and nothing else."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sized
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from functools import cache
from operator import attrgetter
from typing import Any

SCHEMA = 6
"""Version of the JSON form; it grows by one when a reader of the old form would be misled."""


SECOND = "second interrupt: "
"""What reasons begin with for which a second interrupt, rather than a first one, was left out."""

NO_SECOND = "no second interrupt after it: "
"""What reasons begin with for which a first interrupt was not followed by a second one."""


def elsewhere(shard: str) -> str:
    """Return the reason why the points of other shards than ``shard`` are left out."""
    return f"in another shard (--maskcheck-shard {shard})"


def used_in_any(uses: Iterable[Mapping[str, bool]]) -> dict[str, bool]:
    """Return for each name whether it was used in any of several audits."""
    used: dict[str, bool] = {}
    for each in uses:
        used |= {name: used.get(name, False) or use for name, use in each.items()}
    return used


def count(items: Sized | int, word: str) -> str:
    """Return a number with its noun in the right form."""
    number = items if isinstance(items, int) else len(items)
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def spans(lines: Iterable[int]) -> str:
    """Return numbers of lines in short, such as ``3-7,9``."""
    runs: list[list[int]] = []
    for line in sorted(set(lines)):
        if runs and runs[-1][-1] == line - 1:
            runs[-1][1:] = [line]
        else:
            runs.append([line])
    return ",".join("-".join(map(str, run)) for run in runs)


def lines_of(text: str) -> list[int]:
    """Return the numbers that :func:`spans` wrote, in order."""
    runs = (run.partition("-") for run in text.split(",") if run)
    return [line for first, _, last in runs for line in range(int(first), int(last or first) + 1)]


def united(reached: Iterable[Mapping[str, Iterable[int]]]) -> dict[str, set[int]]:
    """Return the lines of each file that are among those of any of several audits."""
    union: dict[str, set[int]] = {}
    for each in reached:
        for path, lines in each.items():
            union.setdefault(path, set()).update(lines)
    return union


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


@dataclass(frozen=True, slots=True)
class Audit:
    """The audit of one test.

    Parameters:
        test: the test's node id.
        engine, isolation, strategy: how it was done, with the reason.
        mode: ``checkpoint``, ``line`` or ``raise``.
        points: every point that was to be audited.
        results: one for each of them, in order.
        left_out: reason -> how many hits of reached places were not audited for it.
        notes: what else a reader should know (what was allowed, detectors that are blind here).
        ignores: where a ``# maskcheck: ignore`` stands in a file reached (``path:line``) -> whether it ignored a point.
        allows: what is allowed, from all layers -> whether it was found; empty if the audit ended early.
        baseline: what the uninterrupted test leaves behind too (``kind:key``), and so is no finding.
        refused: why the test was not audited at all, or ``""``.
        seconds: how long the audit took.
        shard: which part of the points was dealt to this audit, such as ``1/3``; ``""``: all of them.
        plan: of a shard, a digest of the ids of all points before they were dealt out.
        reached_first: file -> lines (``3-7,9``) that only the first run in a process reaches, and that were not audited.
        no_first_use: why it is not known what only the first run reaches, or ``""``.
        own: the files of the test itself, as shown in reports.
        reached: file as shown in reports -> the statements in scope that the uninterrupted test reached, by their first lines
            (``3-7,9``).
        unaudited: installed packages out of scope that the test's module imports.
        unmeasured: modules that ``include`` names and of which no line can be audited -> why not.
        breakdown: why the audit itself failed, on one line, or ``""``; see also the results.
        error: the traceback of that, for a bug report.
    """

    test: str
    engine: str = ""
    isolation: str = ""
    strategy: str = ""
    mode: str = ""
    points: tuple[Point, ...] = ()
    results: tuple[PointResult, ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    ignores: dict[str, bool] = field(default_factory=dict)
    allows: dict[str, bool] = field(default_factory=dict)
    baseline: tuple[str, ...] = ()
    refused: str = ""
    seconds: float = 0.0
    shard: str = ""
    plan: str = ""
    reached_first: dict[str, str] = field(default_factory=dict)
    no_first_use: str = ""
    own: tuple[str, ...] = ()
    reached: dict[str, str] = field(default_factory=dict)
    unaudited: tuple[str, ...] = ()
    unmeasured: dict[str, str] = field(default_factory=dict)
    breakdown: str = ""
    error: str = ""

    @property
    def broken(self) -> str:
        """Why the audit itself failed, as a whole or at a point, on one line, or ``""``."""
        return self.breakdown or next((each.reason for each in self.results if each.error), "")

    @property
    def errors(self) -> tuple[str, ...]:
        """The tracebacks of what failed in the audit itself, each once."""
        return tuple(dict.fromkeys(filter(None, (self.error, *(each.error for each in self.results)))))

    @property
    def audited(self) -> int:
        """How many points had their interrupt delivered."""
        return sum(1 for result in self.results if not result.reason)

    @property
    def undecided(self) -> int:
        """How many points have no verdict."""
        return len(self.results) - self.audited

    @property
    def lines_reached(self) -> dict[str, list[int]]:
        """File -> the statements in scope that the uninterrupted test reached, by their first lines, in its first run, too."""
        firsts: dict[str, list[int]] = {}
        for point in self.points:
            if point.first_use:
                firsts.setdefault(point.path, []).append(point.line)
        known = ({path: lines_of(text) for path, text in each.items()} for each in (self.reached, self.reached_first))
        return {path: sorted(lines) for path, lines in united((*known, firsts)).items()}

    @property
    def lines_interrupted(self) -> dict[str, set[int]]:
        """File -> those of :attr:`lines_reached` at which an interrupt was delivered."""
        reached = self.lines_reached
        delivered = {result.point for result in self.results if not result.reason}
        interrupted: dict[str, set[int]] = {}
        for point in self.points:
            lines = reached.get(point.path, [])
            position = bisect_right(lines, point.line)
            # The entry of a function is on the line of its ``def``, which is another statement and ran at import. Where a
            # run gets to only after a first interrupt, the statement before need not be that of the point.
            exact = point.kind == "entry" or point.first is not None
            if point.id in delivered and position and not (exact and lines[position - 1] != point.line):
                interrupted.setdefault(point.path, set()).add(lines[position - 1])
        return interrupted

    @property
    def is_elsewhere(self) -> bool:
        """Other shards have points of this test."""
        return bool(self.shard and self.left_out.get(elsewhere(self.shard)))

    @property
    def not_audited(self) -> dict[str, int]:
        """Reason -> how many points or hits were not audited for it."""
        reasons = dict(self.left_out)
        for result in self.results:
            if result.reason:
                reasons[result.reason] = reasons.get(result.reason, 0) + 1
        return reasons

    @property
    def defects(self) -> tuple[Defect, ...]:
        """The findings, equal ones made one, in the order in which their points come."""
        points = {point.id: point for point in self.points}
        groups: dict[tuple[object, ...], list[tuple[Finding, PointResult]]] = {}
        for result in self.results:
            for finding in result.findings:
                groups.setdefault(self._group(finding), []).append((finding, result))
        return tuple(_defect(group, points) for group in groups.values())

    def _group(self, finding: Finding) -> tuple[object, ...]:
        """Return what findings of one defect have in common; those of unknown origin belong to the only known one."""
        if finding.origin is not None:
            return (*finding.identity, finding.category, finding.origin.place)
        places = {
            other.origin.place
            for result in self.results
            for other in result.findings
            if other.origin is not None and other.identity == finding.identity
        }
        return (*finding.identity, finding.category, places.pop() if len(places) == 1 else None)

    @property
    def failures(self) -> tuple[Defect, ...]:
        """The defects that make the test fail."""
        return tuple(defect for defect in self.defects if defect.fails)

    def to_json(self) -> dict[str, Any]:
        """Return plain data: dicts, lists, strings that can be encoded, numbers."""
        return {"schema": SCHEMA, **_plain(asdict(self))}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Audit:
        """Return the audit that :meth:`to_json` described.

        Raises:
            ValueError: the data has another schema version.
        """
        if data.get("schema") != SCHEMA:
            message = f"this is maskcheck result schema {data.get('schema')}; this version reads schema {SCHEMA}"
            raise ValueError(message)
        fields = {name: value for name, value in data.items() if name != "schema"}
        fields["points"] = tuple(_point(point) for point in fields["points"])
        fields["results"] = tuple(
            PointResult(
                **{
                    **result,
                    "findings": tuple(_finding(finding) for finding in result["findings"]),
                    "traceback": _frames(result["traceback"]),
                }
            )
            for result in fields["results"]
        )
        fields["notes"] = tuple(fields["notes"])
        fields |= {name: tuple(fields[name]) for name in ("baseline", "own", "unaudited")}
        return cls(**fields)


def _range(lines: list[int]) -> str:
    first, last = min(lines), max(lines)
    return str(first) if first == last else f"{first}-{last}"


def _defect(group: list[tuple[Finding, PointResult]], points: dict[str, Point]) -> Defect:
    finding = next((each for each in group if each[0].origin is not None), group[0])[0]
    return Defect(
        verdict=finding.verdict,
        kind=finding.kind,
        key=finding.key,
        detail=finding.detail,
        fails=any(each.fails for each, _ in group),
        points=tuple(points[name] for name in dict.fromkeys(each.point for _, each in group)),
        traceback=group[0][1].traceback,
        origin=finding.origin,
        category=finding.category,
        package=finding.package,
    )


def _finding(data: dict[str, Any]) -> Finding:
    origin = data["origin"] and Origin(
        **{
            **data["origin"],
            "stack": _frames(data["origin"]["stack"]),
            "place": Frame(**data["origin"]["place"]),
            "waiting": _frames(data["origin"]["waiting"]),
        }
    )
    named = {"verdict": Verdict(data["verdict"]), "category": Category(data["category"]), "origin": origin}
    return Finding(**{**data, **named})


def _point(data: dict[str, Any]) -> Point:
    first = _point(data["first"]) if data["first"] else None
    return Point(**{**data, "context": _frames(data["context"]), "first": first})


def _frames(frames: list[dict[str, Any]]) -> tuple[Frame, ...]:
    return tuple(Frame(**frame) for frame in frames)


def _plain(value: Any) -> Any:
    """Return ``value`` with tuples as lists and enum members as strings, as JSON would give it back."""
    if isinstance(value, dict):
        return {_plain(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return legible(str(value)) if isinstance(value, str) else value


def legible(text: str) -> str:
    """Return a text that can be encoded; what cannot, such as names of files that are no UTF-8, with backslashes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape" if _is_name(text) else "backslashreplace").decode(
            "utf-8", "backslashreplace"
        )
    return text


def _is_name(text: str) -> bool:
    """Tell whether the text may be what ``os.fsdecode`` made of bytes."""
    return all(not 0xD800 <= ord(character) <= 0xDFFF or 0xDC80 <= ord(character) <= 0xDCFF for character in text)
