"""What the summary of a session needs of an audit that found nothing: its totals, without points and results.

Decoding whole audits takes most of the time of a session in which nothing is audited anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pytest_maskcheck.results.audit import Audit
from pytest_maskcheck.results.lines import lines_of, spans


@dataclass(frozen=True, slots=True)
class Brief:
    """An audit from an earlier session without its points.

    Parameters:
        audit: the audit without points and results; what was not audited at points is among what was left out.
        points: the number of points where the interrupt was delivered.
        undecided: the number of points without a verdict.
        interrupted: file -> the lines at which it was (``3-7,9``).
    """

    audit: Audit
    points: int
    undecided: int
    interrupted: dict[str, str]

    @property
    def lines_interrupted(self) -> dict[str, list[int]]:
        """File -> the lines at which an interrupt was delivered."""
        return {path: lines_of(text) for path, text in self.interrupted.items()}

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        counts = {"points": self.points, "undecided": self.undecided, "interrupted": self.interrupted}
        return {"audit": self.audit.to_json(), **counts}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Brief:
        """Return the brief that :meth:`to_json` described."""
        return cls(Audit.from_json(data["audit"]), data["points"], data["undecided"], data["interrupted"])


def brief(audit: Audit) -> Brief:
    """Return the brief of an audit without findings."""
    rest = replace(
        audit,
        points=(),
        results=(),
        left_out=audit.not_audited,
        left_out_at={},
        digests={},
        repeated={} if audit.points else audit.repeated,
        reached={path: spans(lines) for path, lines in audit.lines_reached.items()},
        reached_first=audit.reached_first,
        earlier=True,
    )
    interrupted = {path: spans(lines) for path, lines in audit.lines_interrupted.items()}
    return Brief(rest, audit.audited, audit.undecided, interrupted)
