"""What was not audited, as data for reports: each reason once, and how far the session as a whole came.

Each test that was to be audited is among the audits of a session, if only with the reason why it has none. What no test can tell, as
where the session ended before any was collected, is its *shortfall*. Every format reads both here, so that none of them looks whole
where the session was not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from pytest_maskcheck.reasons import NotAudited, count, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_maskcheck.reasons import Code
    from pytest_maskcheck.results import Audit

_MEANT = {
    NotAudited.DEPTH,
    NotAudited.SKIPPED,
    NotAudited.UNTOUCHED,
    NotAudited.WHOLE_ELSEWHERE,
    NotAudited.XFAILED,
}
"""Reasons why a test need not be audited here."""

_EARLY = {
    NotAudited.CTRL_C,
    NotAudited.ENDED_EARLY,
    NotAudited.NOT_COLLECTED,
    NotAudited.NOT_RUN,
    NotAudited.SESSION_BROKE,
    NotAudited.STOPPED,
}
"""Reasons for which a session did not come to its end."""

NOWHERE = "it reached no point in scope"
"""Why a test was audited at no point, if nothing else is known."""

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


@dataclass(slots=True, repr=False)
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
        what = "module" if self.code is NotAudited.NOT_COLLECTED else "test"
        parts = [count(self.refused, what)] * (self.refused > 0) + [count(self.points, "point")] * (self.points > 0)
        return " and ".join(parts)


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a session came.

    Parameters:
        text: what it lacks, as a sentence without its capital and its stop; ``""``: nothing but points that the audits name.
        why: the reason, or the first of several.
        is_nothing: no test was audited.
        is_early: the session did not come to its end.
        is_meant: it lacks nothing that was to be audited here.
    """

    text: str
    why: str
    is_nothing: bool
    is_early: bool
    is_meant: bool

    @property
    def is_error(self) -> bool:
        """Whether nobody may take the session for a whole one."""
        return self.is_early or (self.is_nothing and not self.is_meant)


def extent(audits: Sequence[Audit], shortfall: str = "") -> Extent:
    """Return how far the session with these audits came; ``shortfall`` is why it came no further as a whole, or ``""``."""
    reasons = [shortfall] * bool(shortfall) + [*dict.fromkeys(reason for each in audits for reason in _reasons(each))]
    early = [reason for reason in reasons if ends_session(reason)]
    tests = [audit for audit in audits if not _is_module(audit)]
    lacking = [audit for audit in tests if audit.is_lacking and not audit.is_unwanted]
    is_nothing = not any(audit.audited or audit.earlier for audit in audits)
    why = next(iter(early), "") or next((first_reason(audit) for audit in lacking), "") or next(iter(reasons), "")
    whole = not (lacking or early or shortfall)
    part = f"{len(lacking)} of {count(tests, 'test')} not audited"
    others = "" if {why}.issuperset(map(first_reason, lacking)) else ", and other reasons"
    if early:
        text = f"ended early: {f'{part}: ' if lacking else ''}{why}{others}"
        text = f"nothing was audited, {text}" if is_nothing else text
    elif is_nothing:
        text = f"nothing was audited: {why or 'no test was to be audited, or none passed'}"
    else:
        text = f"{part}: {why}{others}" if lacking else ""
    return Extent(text, why, is_nothing, bool(early), whole and not all(audit.is_not_for_audit for audit in audits))


def _is_module(audit: Audit) -> bool:
    return bool(audit.refused) and reason_of(audit.refused).code is NotAudited.NOT_COLLECTED


def _reasons(audit: Audit) -> tuple[str, ...]:
    return (audit.refused,) if audit.refused else (*audit.not_audited,)


def first_reason(audit: Audit) -> str:
    """Return why a test was audited at no point."""
    return next(iter(_reasons(audit)), NOWHERE)


def ends_session(reason: str) -> bool:
    """Return whether a session did not come to its end for this reason."""
    found = reason_of(reason)
    if found.code is NotAudited.SHARD_MISSING:
        found = reason_of(found.values["why"])
    return found.code in _EARLY


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
