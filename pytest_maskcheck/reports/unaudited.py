"""What was not audited, as data for reports: each reason once, with the number of its points and tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
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


_ACCOUNTED = {
    NotAudited.EXCLUDED,
    NotAudited.IGNORED,
    NotAudited.PAUSED,
    NotAudited.HARNESS,
    NotAudited.OUT_OF_SCOPE,
    NotAudited.REPEATED,
    NotAudited.FOUND,
    NotAudited.FIRST_HAS_FINDING,
    NotAudited.FIRST_UNSEEN,
    NotAudited.TRACING_ENDS,
}
"""Reasons that leave no gap: the source says that it is not to be audited, it is no code of the test, or it has a verdict elsewhere."""


class Gap(IntEnum):
    """How much of the code that was to be audited is not, because hits were left out."""

    NONE = 0
    """Nothing: the reason is one of the source, or the places have a verdict."""

    SAMPLED = 1
    """Each place of each line was interrupted, but not each time that the test came by: the further turns of loops."""

    MISSING = 2
    """Places or whole lines were not interrupted."""


def gap(reason: str) -> Gap:
    """Return how much is missing because hits were left out for a reason. A reason that is not known here leaves a gap."""
    known = reason_of(reason)
    if known.code in {NotAudited.SECOND, NotAudited.NO_SECOND}:
        return gap(known.values["why"]) if "why" in known.values else Gap.MISSING
    if known.code in _ACCOUNTED:
        return Gap.NONE
    # At the depth `lines`, further places of a line are left out; the others leave out further contexts and turns of places.
    if known.code is NotAudited.HITS or (known.code is NotAudited.DEPTH and known.values.get("depth") != "lines"):
        return Gap.SAMPLED
    return Gap.MISSING


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
