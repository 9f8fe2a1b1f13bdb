"""The outcome of the audit of one item."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_maskcheck.results import Audit
from pytest_maskcheck.system.breakdown import breakdown_of


@dataclass(slots=True, repr=False)
class Outcome:
    """The outcome of an audit.

    Attributes:
        audit: the results.
        seeing: kind whose canary was tried in this session -> why it did not see it, or ``""``.
        exception: the exception that came out of the test at a failing point, if it was kept for a debugger.
        keys: id of a point -> its key among the tests of the session.
        unsettled: ids of points whose interrupts left modules in another state; ``None``: that is not known.
        lasting: id of a point -> its key in later sessions.
        leaning: such a key of a point that was left out because other tests audited it without a finding -> these tests.
    """

    audit: Audit
    seeing: dict[str, str]
    exception: BaseException | None = None
    keys: dict[str, str] = field(default_factory=dict)
    unsettled: frozenset[str] | None = None
    lasting: dict[str, str] = field(default_factory=dict)
    leaning: dict[str, tuple[str, ...]] = field(default_factory=dict)


def broken(test: str, error: Exception) -> Audit:
    """Return the audit of a test that an error of maskcheck ended before it had any result."""
    breakdown = breakdown_of(error)
    reason = breakdown.reason if breakdown.traceback else ""
    return Audit(test, refused=breakdown.reason, breakdown=reason, error=breakdown.traceback)
