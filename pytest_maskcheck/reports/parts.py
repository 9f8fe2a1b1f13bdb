"""Merges the audits of one test by different shards into one.

1. Points were dealt out to the shards in turn, so the number of a shard determines the positions of its points in the whole plan. Every
   shard counted what was left out of the whole plan. Only the shard with the first interrupt of a pair counted the pairs after it.
2. A test that was dealt out as a whole has its audit in one shard, and the others name that shard and the dealing.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING

from pytest_maskcheck.reasons import NotAudited, Note, Reason, reason_of
from pytest_maskcheck.reports.reading import ReportError
from pytest_maskcheck.reports.unused import used_in_any
from pytest_maskcheck.results import Audit
from pytest_maskcheck.results.lines import lines_of, spans, united

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pytest_maskcheck.results import Point


_COUNTED_ONCE = {NotAudited.SECOND, NotAudited.NO_SECOND}
"""Only one shard counts these, the one with the first interrupt, so their numbers are added. All shards count the others alike."""


class Parts:
    """The audits of one test by different shards.

    Parameters:
        parts: number of the shard -> its audit.
        number: how many shards there are.
    """

    def __init__(self, parts: dict[int, Audit], number: int) -> None:
        self._all = parts
        self._parts = {k: audit for k, audit in parts.items() if not audit.refused}
        self._number = number

    def whole(self) -> Audit:
        """Return the audit of all points."""
        first, *_ = self._all.values()
        if dealings := {reason for audit in self._all.values() if (reason := _dealing(audit))}:
            return self._only_part(dealings)
        if not self._parts:
            return replace(first, shard="", plan="", seconds=self._seconds())
        first, *_ = audits = list(self._parts.values())
        results = {result.point: result for audit in audits for result in audit.results}
        total = self._total()
        points = self._points(total)
        return Audit(
            test=first.test,
            engine=self._common(lambda audit: audit.engine),
            isolation=self._common(lambda audit: audit.isolation),
            strategy=self._common(lambda audit: audit.strategy),
            mode=first.mode,
            options=first.options,
            interpreter=self._common(lambda audit: audit.interpreter),
            points=points,
            results=tuple(results[point.id] for point in points),
            left_out=(left_out := self._left_out(total)),
            left_out_at=self._left_out_at(left_out),
            notes=self._notes(),
            ignores=used_in_any(audit.ignores for audit in audits),
            allows=used_in_any(audit.allows for audit in audits),
            left_anyway=tuple(sorted({leftover for audit in audits for leftover in audit.left_anyway})),
            seconds=self._seconds(),
            own=first.own,
            reached={path: spans(lines) for path, lines in united(audit.lines_reached for audit in audits).items()},
            unaudited=first.unaudited,
            unmeasured=first.unmeasured,
            reached_first=self._reached_first(),
            no_first_use=self._common(lambda audit: audit.no_first_use),
            sources={place: text for audit in audits for place, text in audit.sources.items()},
            known=tuple(sorted({digest for audit in audits for digest in audit.known})),
            exposures={name: each for audit in audits for name, each in audit.exposures.items()},
            cleanup_lines=self._cleanup_lines(),
            digests=self._digests(),
            edits={digest: edit for audit in audits for digest, edit in audit.edits.items()},
            duration=max(audit.duration for audit in audits),
            breakdown=next((audit.breakdown for audit in self._all.values() if audit.breakdown), ""),
            error=next((audit.error for audit in self._all.values() if audit.breakdown), ""),
        )

    def _only_part(self, dealings: set[Reason]) -> Audit:
        """Return the audit of a test that belongs to one shard as a whole.

        Raises:
            ReportError: the shards disagree on which one that is.
        """
        (test,) = {audit.test for audit in self._all.values()}
        reason, *more = dealings
        # In other shards the test was to run, too, if only to pass.
        owners = {
            f"{k}/{self._number}": audit for k, audit in self._all.items() if not (_dealing(audit) or audit.is_unbegun)
        }
        if more or (owners and [*owners] != [reason.values["shard"]]) or any(audit.plan for audit in owners.values()):
            message = (
                f"the shards do not agree on which of them audits {test}: run all of them with the same tests and "
                "the same file of results (--maskcheck-cache)"
            )
            raise ReportError(message)
        if not owners:
            owner = self._all.get(int(reason.values["shard"].partition("/")[0]))
            why = owner.refused if owner and owner.is_unbegun else Reason(NotAudited.SHARD_WITHOUT_TEST)
            missing = Reason(NotAudited.SHARD_MISSING, shard=reason.values["shard"], why=why)
            return replace(next(iter(self._all.values())), shard="", refused=missing, seconds=self._seconds())
        return replace(*owners.values(), shard="", seconds=self._seconds())

    def _reached_first(self) -> dict[str, str]:
        reached = (
            {path: lines_of(text) for path, text in audit.reached_first.items()} for audit in self._parts.values()
        )
        return {path: spans(lines) for path, lines in united(reached).items()}

    def _cleanup_lines(self) -> dict[str, str] | None:
        """Return those of all shards, if each of them has recorded them."""
        recorded = [audit.cleanup_lines for audit in self._parts.values() if audit.cleanup_lines is not None]
        if len(recorded) < len(self._parts):
            return None
        lines = united({path: lines_of(text) for path, text in each.items()} for each in recorded)
        return {path: spans(numbers) for path, numbers in lines.items()}

    def _digests(self) -> dict[str, str]:
        """Return the digests of files; ``""`` for a file of which one shard knows no digest."""
        found: dict[str, str] = {}
        for audit in self._parts.values():
            for path, digest in audit.digests.items():
                found[path] = digest if found.get(path, digest) == digest else ""
        return found

    def _seconds(self) -> float:
        return sum(audit.seconds for audit in self._all.values())

    def _common(self, read: Callable[[Audit], str]) -> str:
        """Return the text that all shards have in common, or else the text of each of them."""
        texts = {f"{k}/{self._number}": read(audit) for k, audit in self._parts.items()}
        if len(set(texts.values())) == 1:
            return next(iter(texts.values()))
        return Reason(Note.BY_SHARD, texts="; ".join(f"shard {shard}: {text}" for shard, text in texts.items()))

    def _total(self) -> int:
        """Return the number of points with one interrupt.

        Raises:
            ReportError: the shards disagree.
        """
        totals = set()
        fits = len({(audit.plan, audit.mode) for audit in self._parts.values()}) == 1
        for k, audit in self._parts.items():
            own = len(_singles(audit))
            total = own + sum(number for reason, number in audit.left_out.items() if _is_elsewhere(reason))
            totals.add(total)
            fits = fits and own == self._dealt(k, total)
        if not fits or len(totals) > 1:
            (test,) = {audit.test for audit in self._parts.values()}
            message = (
                f"the shards planned different points for {test}: run all of them with the same code, settings and "
                "interpreter, and leave out a test that takes another way each time"
            )
            raise ReportError(message)
        return totals.pop()

    def _dealt(self, k: int, total: int) -> int:
        return len(range(k - 1, total, self._number))

    def _points(self, total: int) -> tuple[Point, ...]:
        """Return the points in the order of one plan: those with one interrupt, those with two, those of the first run."""
        singles = {k: _singles(audit) for k, audit in self._parts.items()}
        order = [
            singles[position % self._number + 1][position // self._number]
            for position in range(total)
            if position % self._number + 1 in singles
        ]
        pairs: dict[str, list[Point]] = {}
        for audit in self._parts.values():
            for point in audit.points:
                if point.first:
                    pairs.setdefault(point.first.id, []).append(point)
        if lost := pairs.keys() - {point.id for point in order}:
            message = f"{min(lost)} was followed by a second interrupt, and is among the points of no shard: a report is damaged"
            raise ReportError(message)
        firsts = zip_longest(*([point for point in audit.points if point.first_use] for audit in self._parts.values()))
        return (
            *order,
            *(pair for point in order for pair in pairs.get(point.id, ())),
            *(point for several in firsts for point in several if point is not None),
        )

    def _left_out(self, total: int) -> dict[str, int]:
        left: dict[str, int] = {}
        for audit in self._parts.values():
            for reason, number in audit.left_out.items():
                if reason_of(reason).code in _COUNTED_ONCE:
                    left[reason] = left.get(reason, 0) + number
                elif not _is_elsewhere(reason):
                    left[reason] = max(left.get(reason, 0), number)
        for k in range(1, self._number + 1):
            if k not in self._parts and (number := self._dealt(k, total)):
                why = self._all[k].refused if k in self._all else Reason(NotAudited.SHARD_WITHOUT_TEST)
                left[Reason(NotAudited.SHARD_MISSING, shard=f"{k}/{self._number}", why=why)] = number
        return left

    def _left_out_at(self, left_out: Collection[str]) -> dict[str, dict[str, str]]:
        """Return the lines of what was left out; of a shard that was not audited, those that all others have seen in other shards."""
        found: dict[str, list[dict[str, list[int]]]] = {}
        for audit in self._parts.values():
            for reason, of_files in audit.left_out_at.items():
                if not _is_elsewhere(reason):
                    found.setdefault(reason, []).append(_numbers(of_files))
        elsewhere = [
            {(path, line) for path, lines in _numbers(of_files).items() for line in lines}
            for audit in self._parts.values()
            for reason, of_files in audit.left_out_at.items()
            if _is_elsewhere(reason)
        ]
        missing: dict[str, list[int]] = {}
        for path, line in set.intersection(*elsewhere) if elsewhere else ():
            missing.setdefault(path, []).append(line)
        for reason in left_out:
            if missing and reason_of(reason).code is NotAudited.SHARD_MISSING:
                found[reason] = [missing]
        return {
            reason: {path: spans(lines) for path, lines in sorted(united(each).items())}
            for reason, each in found.items()
        }

    def _notes(self) -> tuple[str, ...]:
        """Return each different note once; notes on the same allowed finding become one, with the sum of their numbers."""
        notes: dict[tuple[str, str], int] = {}
        for audit in self._parts.values():
            for note in map(reason_of, audit.notes):
                is_allowed = note.code is Note.ALLOWED
                key, number = (("", note.values["what"]), note.values["number"]) if is_allowed else ((note, ""), 0)
                notes[key] = notes.get(key, 0) + number
        return tuple(note or Reason(Note.ALLOWED, number=number, what=what) for (note, what), number in notes.items())


def _dealing(audit: Audit) -> Reason | None:
    """Return why a test is in another shard as a whole; ``None`` if it is not."""
    reason = reason_of(audit.refused)
    return reason if reason.code is NotAudited.WHOLE_ELSEWHERE else None


def _numbers(of_files: dict[str, str]) -> dict[str, list[int]]:
    return {path: lines_of(text) for path, text in of_files.items()}


def _is_elsewhere(reason: str) -> bool:
    return reason_of(reason).code is NotAudited.ELSEWHERE


def _singles(audit: Audit) -> list[Point]:
    return [point for point in audit.points if point.first is None and not point.first_use]
