"""What an audit says while it goes on, often from another process, and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_maskcheck.audit.auditor import Refused
from pytest_maskcheck.points import plan as points
from pytest_maskcheck.reasons import NO_SECOND
from pytest_maskcheck.results import PointResult
from pytest_maskcheck.system.breakdown import Breakdown


@dataclass(frozen=True, slots=True)
class CanaryResults:
    """Message: which kinds saw their canary; see :class:`Order`."""

    kinds: dict[str, str]


@dataclass(frozen=True, slots=True)
class IgnoresUsed:
    """Message: where an ignore comment stands, and whether it ignored a point."""

    places: dict[str, bool]


@dataclass(frozen=True, slots=True)
class LinesReached:
    """Message: file -> the statements that the uninterrupted test reached; see :class:`Audit`."""

    lines: dict[str, str]


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """Message: what the uninterrupted test leaves behind, as ``kind:key``."""

    leftovers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StrategyChosen:
    """Message: how runs are made, and why so."""

    text: str


@dataclass(frozen=True, slots=True)
class AllowsUsed:
    """Message: what is allowed, and whether it was found."""

    used: dict[str, bool]


@dataclass(frozen=True, slots=True)
class ShardDealt:
    """Message: a digest of the plan before its points were dealt out to shards."""

    plan: str


@dataclass(frozen=True, slots=True)
class WarmKeys:
    """Message: what runs reach that are not the first in their process; see :func:`.first_use.keys_of`."""

    keys: frozenset[int]


@dataclass(frozen=True, slots=True)
class FirstUseReached:
    """Message: lines that only the first run in a process reaches, and which were not audited.

    Parameters:
        lines: file -> its lines in short, as far as they are known.
        reason: why nothing is known of them, or ``""``.
    """

    lines: dict[str, str]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PairsSought:
    """Message: points with a second interrupt are being looked for after so many points, or, if 0, have been found."""

    firsts: int


@dataclass(slots=True, repr=False)
class Collected:
    """The messages of an audit, sorted."""

    plan: points.Plan = field(default_factory=points.Plan)
    results: dict[str, PointResult] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    ignores: dict[str, bool] = field(default_factory=dict)
    allows: dict[str, bool] = field(default_factory=dict)
    baseline: tuple[str, ...] = ()
    reached: dict[str, str] = field(default_factory=dict)
    seeing: dict[str, str] = field(default_factory=dict)
    strategy: str = ""
    following: int = 0
    dealt: str = ""
    refused: str = ""
    error: str = ""
    warm: frozenset[int] = frozenset()
    reached_first: dict[str, str] = field(default_factory=dict)
    no_first_use: str = ""

    def take(self, message: object) -> None:  # noqa: PLR0912  (a branch for each message)
        """Take one message of the audit."""
        match message:
            case points.Plan():
                self.plan.points += message.points
                for reason, count in message.left_out.items():
                    self.plan.leave_out(reason, count)
            case PointResult():
                self.results[message.point] = message
            case Refused():
                self.refused = str(message)
            case Breakdown():
                self.refused, self.error = message.reason, message.traceback
            case IgnoresUsed():
                self.ignores = message.places
            case LinesReached():
                self.reached = message.lines
            case AllowsUsed():
                self.allows = message.used
            case LeftBehind():
                self.baseline = message.leftovers
            case StrategyChosen():
                self.strategy = message.text
            case CanaryResults():
                self.seeing = message.kinds
            case ShardDealt():
                self.dealt = message.plan
            case WarmKeys():
                self.warm = message.keys
            case FirstUseReached():
                self.reached_first, self.no_first_use = message.lines, message.reason
            case PairsSought():
                self.following = message.firsts
            case str():
                self.notes.append(message)

    def complete(self) -> tuple[PointResult, ...]:
        """Return a result for every point; those without one were not audited."""
        self.plan.leave_out(f"{NO_SECOND}the audit ended early", self.following)
        return tuple(
            self.results.get(point.id) or PointResult(point.id, reason=self.refused or "the audit ended early")
            for point in self.plan.points
        )
