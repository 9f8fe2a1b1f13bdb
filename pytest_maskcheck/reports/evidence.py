"""What a session has shown about a defect that it did not meet: that it is gone, or nothing.

1. A defect is gone if its function is no longer in its file, or its line no longer in the function: nothing can meet the entry again.
2. Else it is gone only if the session was complete, looked for such defects, interrupted that line, and left no point of the function
   undecided. That other tests reach the function without meeting the defect shows nothing: perhaps the test that would is skipped today.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_maskcheck.reasons import NotAudited, Note, reason_of
from pytest_maskcheck.reports.definitions import lines_of_function, lines_that_lead_to, lines_with, may_define
from pytest_maskcheck.results import Category

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from pytest_maskcheck.reasons import Code, Reason
    from pytest_maskcheck.results import Audit, Fingerprint
    from pytest_maskcheck.results.briefs import Brief

_NEVER_AUDITED = {NotAudited.DOCTEST, NotAudited.NOT_A_FUNCTION, NotAudited.RUNTEST_IS_PROPERTY}
"""Reasons that no session audits a test for, so that no entry comes from it."""

_CUT_SHORT = {
    NotAudited.AUDITOR_ENDED,
    NotAudited.BROKE,
    NotAudited.ELSEWHERE,
    NotAudited.ENDED_EARLY,
    NotAudited.HINDERED,
    NotAudited.SHARD_MISSING,
    NotAudited.UNTOUCHED,
    NotAudited.WORKER_DIED,
}
"""Reasons for which an audit has points left of which the session knows nothing."""

_SAMPLED = {NotAudited.BUDGET, NotAudited.DEPTH, NotAudited.MAX_POINTS}
"""Reasons for which an audit took a sample: it shows nothing of the lines that the test reached."""

Lines = dict[str, set[int]]
"""File -> some of its lines."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What a session was not to look for.

    Parameters:
        tests: tests were left out before they ran.
        kinds: kinds that were switched off.
        allowed: findings that were allowed, as globs of ``kind:key``.
    """

    tests: bool = False
    kinds: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()

    def __contains__(self, fingerprint: Fingerprint) -> bool:
        name = _finding(fingerprint)
        return fingerprint.kind in self.kinds or any(fnmatchcase(name, glob) for glob in self.allowed)


class Evidence:
    """The audits of a session, as evidence that defects are gone.

    Parameters:
        audits: those made.
        briefs: those of earlier sessions that still hold.
        left_out: what the session was not to look for.
        wanted: how many tests were to be audited.
        file_of: returns the file that reports show as a path, or ``""`` if there is none.
    """

    def __init__(
        self,
        audits: Sequence[Audit],
        briefs: Sequence[Brief],
        left_out: LeftOut,
        wanted: int,
        file_of: Callable[[str], str],
    ) -> None:
        self._audits = audits
        self._briefs = briefs
        self._left_out = left_out
        self._wanted = wanted
        self._file_of = file_of

    def shows_gone(self, fingerprint: Fingerprint) -> bool:
        """Return whether a defect that was not met is gone."""
        path, text = fingerprint.path, fingerprint.text
        file = self._file_of(path)
        if not file or not may_define(file, fingerprint.function):
            return True
        function = lines_of_function(file, fingerprint.function)
        own = lines_with(file, fingerprint.function, text) if text else function
        if function and not own:
            return True
        if not self._is_complete or fingerprint in self._left_out or self._misses(fingerprint):
            return False
        reached, decided, undecided = self._lines
        leading = {line for each in own for line in lines_that_lead_to(file, each)} if text else own
        # A line without a checkpoint, such as a plain assignment, has no point to interrupt: that it was reached has to do.
        met = (decided.get(path, set()) | reached.get(path, set())) & leading
        return bool(met and decided.get(path, set()) & function) and not undecided.get(path, set()) & function

    @cached_property
    def _is_complete(self) -> bool:
        """Whether each test that was to be audited has been, to its end."""
        tests = {audit.test for audit in self._audits} | {brief.audit.test for brief in self._briefs}
        audits = (*self._audits, *(brief.audit for brief in self._briefs))
        return not self._left_out.tests and len(tests) >= self._wanted and all(map(_is_whole, audits))

    def _misses(self, fingerprint: Fingerprint) -> bool:
        """Return whether the defect would not have been seen, or was dropped as one of clean-up code: entries do not have that category."""
        return fingerprint.kind in self._blind or f"{Category.CLEANUP}:{_finding(fingerprint)}" in self._dropped

    @cached_property
    def _notes(self) -> list[Reason]:
        audits = (*self._audits, *(brief.audit for brief in self._briefs))
        return [reason_of(note) for audit in audits for note in audit.notes]

    @cached_property
    def _blind(self) -> set[str]:
        """The kinds that did not see everything."""
        kinds = {str(note.values["kind"]) for note in self._notes if note.code is Note.BLIND}
        return kinds | {str(note.values["resource"]) for note in self._notes if note.code is Note.RESOURCE_FAILED}

    @cached_property
    def _dropped(self) -> set[str]:
        """The findings that were allowed."""
        what = (str(note.values["what"]) for note in self._notes if note.code is Note.ALLOWED)
        return {each.partition(" (")[0] for each in what}

    @cached_property
    def _lines(self) -> tuple[Lines, Lines, Lines]:
        """The lines that were reached, those that were interrupted, and those with a point whose result is not known."""
        reached, decided, undecided = Lines(), Lines(), Lines()
        points = {point.id: point for audit in self._audits for point in audit.points}
        for audit in self._audits:
            for point, result in zip(audit.points, audit.results, strict=True):
                (undecided if result.reason else decided).setdefault(point.path, set()).add(point.line)
            for name in audit.found:  # left out, as another test has a defect there: this one may have another
                if name in points:
                    undecided.setdefault(points[name].path, set()).add(points[name].line)
            _add(
                *(
                    (undecided, audit.lines_reached)
                    if _has_reason(audit, _SAMPLED)
                    else (reached, _unless_ignored(audit))
                )
            )
        for brief in self._briefs:
            _add(decided, brief.lines_interrupted)
            is_partial = brief.undecided or _has_reason(brief.audit, _SAMPLED)
            _add(*((undecided, brief.audit.lines_reached) if is_partial else (reached, _unless_ignored(brief.audit))))
        return reached, decided, undecided


def _finding(fingerprint: Fingerprint) -> str:
    return f"{fingerprint.kind}:{fingerprint.key}"


def _is_whole(audit: Audit) -> bool:
    """Return whether the audit of a test was made to its end; that of a test that is never audited counts as well."""
    if audit.refused:
        return reason_of(audit.refused).code in _NEVER_AUDITED
    return not (audit.broken or audit.shard or audit.story or _has_reason(audit, _CUT_SHORT))


def _has_reason(audit: Audit, reasons: Collection[Code]) -> bool:
    """Return whether something was not audited for one of these reasons."""
    return any(reason_of(reason).code in reasons for reason in (audit.refused, *audit.not_audited))


def _unless_ignored(audit: Audit) -> Mapping[str, Iterable[int]]:
    """Return the lines that a test reached, by file, except for files in which a comment left some of them out."""
    ignored = {place.rpartition(":")[0] for place, used in audit.ignores.items() if used}
    return {path: lines for path, lines in audit.lines_reached.items() if path not in ignored}


def _add(lines: Lines, more: Mapping[str, Iterable[int]]) -> None:
    for path, numbers in more.items():
        lines.setdefault(path, set()).update(numbers)
