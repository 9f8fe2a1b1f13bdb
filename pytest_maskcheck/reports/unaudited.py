"""What was not audited, as data for reports: each reason once, with the number of its points and tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_maskcheck.reasons import NotAudited, count, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_maskcheck.reasons import Code
    from pytest_maskcheck.results import Audit

_MEANT = {NotAudited.DEPTH, NotAudited.UNTOUCHED, NotAudited.WHOLE_ELSEWHERE}
"""Reasons why a test need not be audited here."""

_ERRORS = {NotAudited.BROKE, NotAudited.HINDERED, NotAudited.AUDITOR_ENDED, NotAudited.WORKER_DIED}
"""Reasons that are an error in the audit itself."""


@dataclass(slots=True)
class Unaudited:
    """One reason why something was not audited.

    Attributes:
        code: which one.
        reason: the sentence.
        points: how many points or hits were left out for it.
        refused: how many tests were not audited at all for it.
        tests: all tests that have it, in the order of the session.
    """

    code: Code
    reason: str
    points: int = 0
    refused: int = 0
    tests: list[str] = field(default_factory=list)

    @property
    def is_error(self) -> bool:
        """Whether the audit itself failed."""
        return self.code in _ERRORS

    @property
    def is_meant(self) -> bool:
        """Whether these tests need not be audited here."""
        return self.code in _MEANT

    @property
    def number(self) -> str:
        """How much was left out, such as ``2 tests and 12 points``."""
        parts = [count(self.refused, "test")] * (self.refused > 0) + [count(self.points, "point")] * (self.points > 0)
        return " and ".join(parts)


def unaudited(audits: Iterable[Audit]) -> list[Unaudited]:
    """Return what several audits left out: whole tests first, then the reasons with most points."""
    rows: dict[str, Unaudited] = {}

    def row(reason: str, test: str) -> Unaudited:
        found = rows.setdefault(reason, Unaudited(reason_of(reason).code, str(reason)))
        if found.tests[-1:] != [test]:
            found.tests.append(test)
        return found

    for audit in audits:
        if why := audit.refused or audit.breakdown:
            row(why, audit.test).refused += 1
        for reason, number in audit.not_audited.items():
            row(reason, audit.test).points += number
    return sorted(rows.values(), key=lambda each: (-each.refused, -each.points, each.reason))
