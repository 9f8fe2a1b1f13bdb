"""Merges several reports into one: those of the shards of a session, or of sessions with different tests."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from pytest_maskcheck.reports.parts import Parts
from pytest_maskcheck.reports.reading import ReportError
from pytest_maskcheck.reports.unaudited import ends_session

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_maskcheck.reports.reading import Report
    from pytest_maskcheck.results import Audit

_NAMED = 10
"""How many missing shards a message names; the others are counted."""


def merge(reports: Sequence[Report]) -> list[Audit]:
    """Return the audits of several reports; the audits of one test by different shards are merged.

    Raises:
        ReportError: a shard is missing or present twice, shards had different sources or interpreters or planned different points, or a test
            is present twice.
    """
    shards, number = _shards([report for report in reports if report.shard])
    _check_alike(shards.values())
    tests = dict.fromkeys(audit.test for report in shards.values() for audit in report.audits)
    merged = []
    for test in tests:
        parts = {k: audit for k, report in shards.items() for audit in report.audits if audit.test == test}
        merged.append(Parts(parts, number).whole())
    merged += [audit for report in reports if not report.shard for audit in report.audits]
    _check_tests(reports)
    return _begun(merged)


def shortfall(reports: Sequence[Report]) -> str:
    """Return why the sessions together came no further as a whole: the reason of one that ended early, if there is one, or ``""``.

    That a session had nothing to audit is of no account if another one had something.
    """
    reasons = [report.shortfall for report in reports if report.shortfall]
    early = [reason for reason in reasons if ends_session(reason)]
    some = any(report.audits for report in reports)
    return next(iter(early if early or some else reasons), "")


def _begun(audits: Iterable[Audit]) -> list[Audit]:
    """Return the audits without those that were not begun in one session, while another one has the test."""
    found: dict[str, Audit] = {}
    for audit in audits:
        if audit.test not in found or found[audit.test].is_unbegun:
            found[audit.test] = audit
    return [*found.values()]


def _shards(reports: Sequence[Report]) -> tuple[dict[int, Report], int]:
    """Return the reports of all shards by number, in order, and how many shards there are."""
    found: dict[int, Report] = {}
    number = 0
    for report in reports:
        k, of = map(int, report.shard.split("/"))
        if number and of != number:
            message = (
                f"{reports[0].path} is shard {reports[0].shard} and {report.path} is shard {report.shard}; "
                "merge the shards of one session first, and the results of that afterwards"
            )
            raise ReportError(message)
        if k in found:
            message = (
                f"shard {report.shard} is there twice, as {found[k].path} and {report.path}; leave one of them out"
            )
            raise ReportError(message)
        number = of
        found[k] = report
    if missing := number - len(found):
        first = islice((f"{k}/{number}" for k in range(1, number + 1) if k not in found), _NAMED)
        more = f" and {missing - _NAMED} more" if missing > _NAMED else ""
        message = (
            f"the report of {'shard' if missing == 1 else 'shards'} {', '.join(first)}{more} is missing; "
            f"name the reports of all {number} shards"
        )
        raise ReportError(message)
    return dict(sorted(found.items())), number


def _check_alike(shards: Iterable[Report]) -> None:
    """Raise an error if shards of one session did not audit the same code on the same interpreter."""
    seen: dict[str, tuple[str, Report]] = {}

    def check(what: str, value: str, report: Report) -> None:
        known, other = seen.setdefault(what, (value, report))
        if known != value:
            message = f"{what} was not the same for {other.path} and {report.path}; run all shards with the same code and interpreter"
            raise ReportError(message)

    for report in shards:
        for audit in report.audits:
            if minor := audit.interpreter.rpartition(".")[0]:
                check("the interpreter", minor, report)
            for path, digest in audit.digests.items():
                if digest:
                    check(path, digest, report)


def _check_tests(reports: Iterable[Report]) -> None:
    """Raise an error if a test is twice in one report, or in two reports that are not both of shards."""
    seen: dict[str, Report] = {}
    for report in reports:
        for audit in report.audits:
            if audit.is_unbegun:
                continue
            other = seen.get(audit.test)
            if other is report or (other is not None and not (other.shard and report.shard)):
                where = report.path if other is report else f"{other.path} and {report.path}"
                message = f"{audit.test} is there twice, in {where}; merge reports of different tests, or of shards"
                raise ReportError(message)
            seen[audit.test] = report
