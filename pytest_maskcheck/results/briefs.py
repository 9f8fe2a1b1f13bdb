"""What the summary of a session needs of an audit that found nothing: its totals, without points and results.

Decoding whole audits takes most of the time of a session in which nothing is audited anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pytest_maskcheck.results.audit import Audit
from pytest_maskcheck.results.lines import spans


@dataclass(frozen=True, slots=True)
class Brief:
    """An audit from an earlier session without its points.

    Parameters:
        audit: the audit without points and results; what was not audited at points is among what was left out.
        points: the number of points where the interrupt was delivered.
    """

    audit: Audit
    points: int

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {"audit": self.audit.to_json(), "points": self.points}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Brief:
        """Return the brief that :meth:`to_json` described."""
        return cls(Audit.from_json(data["audit"]), data["points"])


def brief(audit: Audit) -> Brief:
    """Return the brief of an audit without findings."""
    rest = replace(
        audit,
        points=(),
        results=(),
        left_out=audit.not_audited,
        reached={path: spans(lines) for path, lines in audit.lines_reached.items()},
        reached_first=audit.reached_first,
        earlier=True,
    )
    return Brief(rest, audit.audited)
