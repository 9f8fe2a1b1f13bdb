"""Makes one report of several: of the shards of a session, or of sessions with different tests.

The points of a shard were dealt out in turn, so that their places in the whole plan are known from its number. What holds for
the whole plan was counted by every shard, what holds for pairs of interrupts by the shard that followed the first of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.reports import checked, files
from pytest_maskcheck.reports.jsonfile import TOOL
from pytest_maskcheck.results import (
    NO_SECOND,
    SCHEMA,
    SECOND,
    Audit,
    count,
    elsewhere,
    lines_of,
    spans,
    united,
    used_in_any,
)
from pytest_maskcheck.system.plain import brief, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pytest_maskcheck.results import Point

_ALLOWED = re.compile(r"allowed at ([0-9]{1,12}) points?: (.*)", re.DOTALL)
"""The note of an audit on what was allowed, and at how many of its points."""


_NAMED = 10
"""Missing shards that a message names; the rest is counted."""


class MergeError(ValueError):
    """The reports do not fit together; the message says why, and what helps."""


@dataclass(frozen=True, slots=True)
class Report:
    """One JSON report.

    Parameters:
        path: where it is.
        shard: which part of a session it is, such as ``1/3``; ``""``: all of it.
        audits: what is in it.
    """

    path: str
    shard: str
    audits: tuple[Audit, ...]


def read(path: str) -> Report:
    """Return the report in a file.

    Raises:
        MergeError: there is none that this version reads.
    """
    try:
        text = files.read(path).decode("utf-8-sig")  # an editor may have put a mark of byte order in front
        data = checked.parse(text)
    except OSError as error:
        message = f"the report cannot be read: {error}; name a file that --maskcheck-report=json:PATH wrote"
        raise MergeError(message) from None
    except (checked.DamagedError, UnicodeDecodeError) as error:
        why = error if isinstance(error, checked.DamagedError) else "it is no text in UTF-8"
        message = (
            f"{path} is no report of {TOOL} ({brief(str(why))}); name a file that --maskcheck-report=json:PATH wrote"
        )
        raise MergeError(message) from None
    if not isinstance(data, dict) or data.get("tool") != TOOL:
        message = f"{path} is no report of {TOOL}; name a file that --maskcheck-report=json:PATH wrote"
        raise MergeError(message)
    schema = data.get("schema")
    if type(schema) is not int or schema != SCHEMA:
        message = (
            f"{path} has the result schema {quoted(schema)}, and this version reads schema {SCHEMA}; "
            f"make and merge all reports with one version of {TOOL}"
        )
        raise MergeError(message)
    try:
        return _report(path, data)
    except checked.DamagedError as error:
        message = f"{path} is a damaged report: {brief(str(error))}; write it anew with --maskcheck-report=json:PATH"
        raise MergeError(message) from None


def _report(path: str, data: dict[str, Any]) -> Report:
    if missing := [name for name in ("shard", "audits") if name not in data]:
        raise checked.DamagedError(f"it has no {missing[0]}")
    shard = checked.check_shard(data["shard"])
    if not isinstance(data["audits"], list):
        raise checked.DamagedError(f"audits is {quoted(data['audits'])}, and must be a list")
    for position, audit in enumerate(data["audits"]):
        checked.check_audit(audit, shard, f"audits[{position}]")
    return Report(path, shard, tuple(map(Audit.from_json, data["audits"])))


def merge(reports: Sequence[Report]) -> list[Audit]:
    """Return the audits of several reports, those of the shards of one test made one.

    Raises:
        MergeError: a shard is missing or there twice, shards planned different points, or a test is there twice.
    """
    shards, number = _shards([report for report in reports if report.shard])
    tests = dict.fromkeys(audit.test for report in shards.values() for audit in report.audits)
    merged = []
    for test in tests:
        parts = {k: audit for k, report in shards.items() for audit in report.audits if audit.test == test}
        merged.append(_Parts(parts, number).whole())
    merged += [audit for report in reports if not report.shard for audit in report.audits]
    _check_tests(reports)
    return merged


def _shards(reports: Sequence[Report]) -> tuple[dict[int, Report], int]:
    """Return the reports of all shards by their number, in order, and how many there are."""
    found: dict[int, Report] = {}
    number = 0
    for report in reports:
        k, of = map(int, report.shard.split("/"))
        if number and of != number:
            message = (
                f"{reports[0].path} is shard {reports[0].shard} and {report.path} is shard {report.shard}; "
                "merge the shards of one session first, and the results of that afterwards"
            )
            raise MergeError(message)
        if k in found:
            message = (
                f"shard {report.shard} is there twice, as {found[k].path} and {report.path}; leave one of them out"
            )
            raise MergeError(message)
        number = of
        found[k] = report
    if missing := number - len(found):
        first = islice((f"{k}/{number}" for k in range(1, number + 1) if k not in found), _NAMED)
        more = f" and {missing - _NAMED} more" if missing > _NAMED else ""
        message = (
            f"the report of {'shard' if missing == 1 else 'shards'} {', '.join(first)}{more} is missing; "
            f"name the reports of all {number} shards"
        )
        raise MergeError(message)
    return dict(sorted(found.items())), number


def _check_tests(reports: Iterable[Report]) -> None:
    """Make sure that no test is in two reports, or two times in one, unless as parts."""
    seen: dict[str, Report] = {}
    for report in reports:
        for audit in report.audits:
            other = seen.get(audit.test)
            if other is report or (other is not None and not (other.shard and report.shard)):
                where = report.path if other is report else f"{other.path} and {report.path}"
                message = f"{audit.test} is there twice, in {where}; merge reports of different tests, or of shards"
                raise MergeError(message)
            seen[audit.test] = report


class _Parts:
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
        """Return the audit that they make up."""
        first, *_ = self._all.values()
        if not self._parts:
            return replace(first, shard="", plan="", seconds=self._seconds())
        first, *_ = audits = list(self._parts.values())
        results = {result.point: result for audit in audits for result in audit.results}
        total = self._total()
        points = self._points(total)
        return Audit(
            test=first.test,
            engine=self._told(lambda audit: audit.engine),
            isolation=self._told(lambda audit: audit.isolation),
            strategy=self._told(lambda audit: audit.strategy),
            mode=first.mode,
            points=points,
            results=tuple(results[point.id] for point in points),
            left_out=self._left_out(total),
            notes=self._notes(),
            ignores=used_in_any(audit.ignores for audit in audits),
            allows=used_in_any(audit.allows for audit in audits),
            baseline=tuple(sorted({leftover for audit in audits for leftover in audit.baseline})),
            seconds=self._seconds(),
            own=first.own,
            reached={path: spans(lines) for path, lines in united(audit.lines_reached for audit in audits).items()},
            unaudited=first.unaudited,
            unmeasured=first.unmeasured,
            reached_first=self._reached_first(),
            no_first_use=self._told(lambda audit: audit.no_first_use),
            breakdown=next((audit.breakdown for audit in self._all.values() if audit.breakdown), ""),
            error=next((audit.error for audit in self._all.values() if audit.breakdown), ""),
        )

    def _reached_first(self) -> dict[str, str]:
        reached = (
            {path: lines_of(text) for path, text in audit.reached_first.items()} for audit in self._parts.values()
        )
        return {path: spans(lines) for path, lines in united(reached).items()}

    def _seconds(self) -> float:
        return sum(audit.seconds for audit in self._all.values())

    def _told(self, word: Callable[[Audit], str]) -> str:
        """Return what the shards say alike, or what each of them says."""
        words = {f"{k}/{self._number}": word(audit) for k, audit in self._parts.items()}
        if len(set(words.values())) == 1:
            return next(iter(words.values()))
        return "; ".join(f"shard {shard}: {text}" for shard, text in words.items())

    def _total(self) -> int:
        """Return how many points there are with one interrupt.

        Raises:
            MergeError: the shards disagree.
        """
        totals = set()
        fits = len({(audit.plan, audit.mode) for audit in self._parts.values()}) == 1
        for k, audit in self._parts.items():
            own = len(_singles(audit))
            total = own + audit.left_out.get(elsewhere(audit.shard), 0)
            totals.add(total)
            fits = fits and own == self._dealt(k, total)
        if not fits or len(totals) > 1:
            (test,) = {audit.test for audit in self._parts.values()}
            message = (
                f"the shards planned different points for {test}: run all of them with the same code, settings and "
                "interpreter, and leave out a test that takes another way each time"
            )
            raise MergeError(message)
        return totals.pop()

    def _dealt(self, k: int, total: int) -> int:
        return len(range(k - 1, total, self._number))

    def _points(self, total: int) -> tuple[Point, ...]:
        """Return the points as they would have been planned together: those with one interrupt, with two, of the first run."""
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
            raise MergeError(message)
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
                if reason.startswith((SECOND, NO_SECOND)):
                    left[reason] = left.get(reason, 0) + number
                elif reason != elsewhere(audit.shard):
                    left[reason] = max(left.get(reason, 0), number)
        for k in range(1, self._number + 1):
            if k not in self._parts and (number := self._dealt(k, total)):
                refused = self._all[k].refused if k in self._all else "the test did not run there, or did not pass"
                left[f"shard {k}/{self._number} was not audited: {refused}"] = number
        return left

    def _notes(self) -> tuple[str, ...]:
        """Return the notes, equal ones once, and the numbers of points of those that have some together."""
        notes: dict[str, int] = {}
        for audit in self._parts.values():
            for note in audit.notes:
                match = _ALLOWED.fullmatch(note)
                text, number = (match[2], int(match[1])) if match else (note, 0)
                notes[text] = notes.get(text, 0) + number
        return tuple(
            f"allowed at {count(number, 'point')}: {note}" if number else note for note, number in notes.items()
        )


def _singles(audit: Audit) -> list[Point]:
    return [point for point in audit.points if point.first is None and not point.first_use]
