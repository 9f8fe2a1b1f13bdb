"""The audit of one test, with what follows from its results."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.reasons import NotAudited, reason_of
from pytest_maskcheck.results.defects import grouped
from pytest_maskcheck.results.encoding import decoded, encoded, is_legible
from pytest_maskcheck.results.lines import lines_of, united
from pytest_maskcheck.results.values import (
    Edit,
    Exposure,
    HeldBackRun,
    Point,
    PointResult,
    Story,
)  # in annotations that are read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_maskcheck.results.values import Defect

_LEFT_TO_OTHERS = {NotAudited.UNTOUCHED, NotAudited.DEPTH}

_NOT_FOR_AUDIT = {NotAudited.SKIPPED, NotAudited.XFAILED}

_NOT_BEGUN = {
    *_NOT_FOR_AUDIT,
    NotAudited.CTRL_C,
    NotAudited.FAILED,
    NotAudited.NOT_COLLECTED,
    NotAudited.NOT_RUN,
    NotAudited.SESSION_BROKE,
    NotAudited.STOPPED,
    NotAudited.WORKER_DIED,
}

SCHEMA = 11
"""Version of the JSON form; it grows by one when a reader of the old form would be misled."""


@dataclass(frozen=True, slots=True)
class Audit:
    """The audit of one test.

    Parameters:
        test: the test's node id.
        engine: what watched the interpreter.
        isolation: in which process the runs were made, and why.
        strategy: how points were reached, and why.
        mode: ``checkpoint``, ``line`` or ``raise``.
        interpreter: such as ``CPython 3.13.0``.
        options: the settings of its session that were options of the command line: a run that shows a defect again needs them, too.
        points: every point that was to be audited.
        results: one for each of them, in order.
        left_out: reason -> how many hits of reached places were not audited for it.
        left_out_at: reason -> file -> the lines (``3-7,9``) of these hits, for the reasons that lines can be given: not for what other tests
            have audited, what is outside of the test or out of scope, nor for second interrupts.
        notes: what else a reader should know (what was allowed, kinds that are blind here).
        ignores: place of each ``# maskcheck: ignore`` in a reached file (``path:line``) -> whether it ignored a point.
        allows: each entry of ``allow``, from all layers -> whether it was needed; empty if the audit ended early.
        left_anyway: what the uninterrupted test leaves behind too (``kind:key``): no finding.
        refused: why the test was not audited at all, or ``""``.
        seconds: how long the audit took.
        shard: which part of the points this audit had, such as ``1/3``; ``""``: all of them.
        plan: for a shard, a digest of the ids of all points before they were dealt out.
        reached_first: file -> the lines (``3-7,9``) that only the first run in a process reaches, and that were not audited.
        no_first_use: why first use was not audited, or ``""``.
        own: the files of the test itself, as shown in reports.
        reached: file as shown in reports -> the statements in scope that the uninterrupted test reached, by their first lines
            (``3-7,9``).
        unaudited: installed packages out of scope that the test's module imports.
        unmeasured: module named by ``include`` without a line that can be audited -> why not.
        repeated: id of each point left out because it was audited without a finding in other tests -> one of these tests.
        found: id of each point left out because another test of the session has a defect there -> that test.
        breakdown: why the audit itself failed, on one line, or ``""``; see also the results.
        error: the traceback of that failure, for a bug report.
        earlier: an earlier session made the audit, and nothing that decides it has changed since.
        sources: ``path:line`` -> the text of the line, for the lines that findings are about; if its function has several such lines, the
            second one is followed by ``(2)``, and so on.
        known: digests of the fingerprints that the baseline has.
        story: what the run did from the interrupt on, if a single point was wanted.
        exposures: id of a point with a finding -> its exposure; points with two interrupts, or of a first run, have none.
        duration: seconds that an uninterrupted run of the body takes, from the same measurement; 0.0 if there was none.
        held_back: the runs that tried windows; see :mod:`.windows`.
        cleanup_lines: file -> the statements in scope (``3-7,9``) that ran only from an interrupt on, and not in the uninterrupted test;
            ``None`` if that was not recorded.
        digests: file -> the digest of its content at the time of the audit, for the files that the test reached; ``""`` if it could not be
            read, was written while the session ran, or if the shards of the test saw different contents.
        edits: digest of a fingerprint -> the edit that cures the defect, as far as the command ``cure`` has saved one.
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
    left_anyway: tuple[str, ...] = ()
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
    repeated: dict[str, str] = field(default_factory=dict)
    found: dict[str, str] = field(default_factory=dict)
    breakdown: str = ""
    error: str = ""
    earlier: bool = False
    sources: dict[str, str] = field(default_factory=dict)
    known: tuple[str, ...] = ()
    story: Story | None = None
    exposures: dict[str, Exposure] = field(default_factory=dict)
    duration: float = 0.0
    held_back: tuple[HeldBackRun, ...] = ()
    cleanup_lines: dict[str, str] | None = None
    edits: dict[str, Edit] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    left_out_at: dict[str, dict[str, str]] = field(default_factory=dict)
    interpreter: str = ""
    options: tuple[str, ...] = ()

    @property
    def command(self) -> tuple[str, ...]:
        """The words of the command that audits one point again, up to the id of the point and the test."""
        return ("pytest", *self.options, "--maskcheck-point")

    @property
    def broken(self) -> str:
        """Why the audit itself failed, as a whole or at a point, on one line; ``""`` if it did not."""
        return self.breakdown or next((each.reason for each in self.results if each.error), "")

    @property
    def errors(self) -> tuple[str, ...]:
        """The tracebacks of errors in the audit itself, each once."""
        return tuple(dict.fromkeys(filter(None, (self.error, *(each.error for each in self.results)))))

    @property
    def audited(self) -> int:
        """The number of points where the interrupt was delivered."""
        return sum(1 for result in self.results if not result.reason)

    @property
    def undecided(self) -> int:
        """The number of points without a verdict."""
        return len(self.results) - self.audited

    @property
    def lines_reached(self) -> dict[str, list[int]]:
        """File -> the first lines of the statements in scope that the uninterrupted test reached, its first run included."""
        firsts: dict[str, list[int]] = {}
        for point in self.points:
            if point.first_use:
                firsts.setdefault(point.path, []).append(point.line)
        known = ({path: lines_of(text) for path, text in each.items()} for each in (self.reached, self.reached_first))
        return {path: sorted(lines) for path, lines in united((*known, firsts)).items()}

    @property
    def lines_interrupted(self) -> dict[str, set[int]]:
        """File -> the lines of :attr:`lines_reached` at which an interrupt was delivered."""
        delivered = {result.point for result in self.results if not result.reason}
        interrupted: dict[str, set[int]] = {}
        for point, line in self.reached_lines_of(point for point in self.points if point.id in delivered):
            interrupted.setdefault(point.path, set()).add(line)
        return interrupted

    def reached_lines_of(self, points: Iterable[Point]) -> Iterator[tuple[Point, int]]:
        """Yield each of these points with the line of :attr:`lines_reached` that it belongs to, if there is one."""
        reached = self.lines_reached
        for point in points:
            lines = reached.get(point.path, [])
            position = bisect_right(lines, point.line)
            # The entry of a function is on the line of its ``def``, which is another statement and ran at import. If a run
            # reaches the point only after a first interrupt, the last reached line before it may belong to another statement.
            exact = point.kind == "entry" or point.first is not None
            if position and not (exact and lines[position - 1] != point.line):
                yield point, lines[position - 1]

    @property
    def is_elsewhere(self) -> bool:
        """Whether other shards have points of this test, or all of it."""
        if self.refused:
            return reason_of(self.refused).code is NotAudited.WHOLE_ELSEWHERE
        others = (number for reason, number in self.left_out.items() if reason_of(reason).code is NotAudited.ELSEWHERE)
        return bool(self.shard) and any(others)

    @property
    def is_repeated(self) -> bool:
        """Whether there was nothing to audit only because other tests have audited all there was."""
        return not self.points and bool(self.repeated or self.found)

    @property
    def is_unwanted(self) -> bool:
        """Whether the test was not to be audited: it reaches nothing that changed, others stand for it, or it is not meant to pass."""
        return bool(self.refused) and reason_of(self.refused).code in {*_LEFT_TO_OTHERS, *_NOT_FOR_AUDIT}

    @property
    def is_not_for_audit(self) -> bool:
        """Whether the test was skipped, or failed as its author expects: pytest counts neither against the session."""
        return bool(self.refused) and reason_of(self.refused).code in _NOT_FOR_AUDIT

    @property
    def is_unbegun(self) -> bool:
        """Whether the audit was not begun, as the test did not run or did not pass; another session may have one."""
        return bool(self.refused) and reason_of(self.refused).code in _NOT_BEGUN

    @property
    def is_lacking(self) -> bool:
        """Whether the test was audited at no point, neither here nor in another shard or session, nor at its places in other tests."""
        return not (self.audited or self.is_elsewhere or self.is_repeated or self.earlier)

    @property
    def is_untouched(self) -> bool:
        """Whether the test reaches nothing that changed since a commit, and so was not to be audited."""
        return bool(self.refused) and reason_of(self.refused).code is NotAudited.UNTOUCHED

    @property
    def not_audited(self) -> dict[str, int]:
        """Reason -> the number of points or hits that were not audited for it."""
        reasons = dict(self.left_out)
        for result in self.results:
            if result.reason:
                reasons[result.reason] = reasons.get(result.reason, 0) + 1
        return reasons

    @property
    def defects(self) -> tuple[Defect, ...]:
        """The findings, equal ones grouped; see :func:`.defects.grouped`."""
        return grouped(
            self.points, self.results, self.sources, self.known, exposures=self.exposures, duration=self.duration
        )

    @property
    def failures(self) -> tuple[Defect, ...]:
        """The defects that make the test fail."""
        return tuple(defect for defect in self.defects if defect.fails)

    def legible(self) -> Audit:
        """Return the audit as its plain data would give it back: texts that cannot be encoded are written with backslashes."""
        return self if is_legible(self) else Audit.from_json(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return plain data: dicts, lists, strings that can be encoded, numbers."""
        return {"schema": SCHEMA, **encoded(self)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Audit:
        """Return the audit that :meth:`to_json` described.

        Raises:
            ValueError: the data has another schema version.
        """
        if data.get("schema") != SCHEMA:
            message = f"this is maskcheck result schema {data.get('schema')}; this version reads schema {SCHEMA}"
            raise ValueError(message)
        return decoded(cls, data)
