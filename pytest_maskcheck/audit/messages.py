"""The messages that an audit sends while it goes on, mostly from another process, and the object that collects them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pytest_maskcheck.audit.exposures import Exposed
from pytest_maskcheck.audit.preparation import Refused
from pytest_maskcheck.points.plan import Plan
from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.results import Audit, Exposure, HeldBackRun, PointResult, Story
from pytest_maskcheck.results.lines import spans
from pytest_maskcheck.system.breakdown import Breakdown


@dataclass(frozen=True, slots=True)
class CanaryResults:
    """Message: name of a kind -> why it did not see its canary, or ``""``."""

    kinds: dict[str, str]


@dataclass(frozen=True, slots=True)
class IgnoresUsed:
    """Message: ``path:line`` of an ignore comment -> whether it ignored a point."""

    places: dict[str, bool]


@dataclass(frozen=True, slots=True)
class LinesReached:
    """Message: file -> the statements that the uninterrupted test reached; see :attr:`.Audit.reached`."""

    lines: dict[str, str]


@dataclass(frozen=True, slots=True)
class CleanupRan:
    """Message: file -> the statements that ran only from an interrupt on; see :attr:`.Audit.cleanup_lines`."""

    lines: dict[str, str]


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """Message: what the uninterrupted test leaves behind, as ``kind:key``."""

    leftovers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StrategyChosen:
    """Message: how points are reached, and why; see :meth:`.Strategy.text`."""

    text: Reason


@dataclass(frozen=True, slots=True)
class AllowsUsed:
    """Message: an entry of the allow-list -> whether it allowed anything."""

    used: dict[str, bool]


@dataclass(frozen=True, slots=True)
class ShardDealt:
    """Message: a digest of the plan before its points were dealt out to shards."""

    plan: str


@dataclass(frozen=True, slots=True)
class Unsettled:
    """Message: ids of points whose interrupts left modules in another state than an uninterrupted run, or may have."""

    points: frozenset[str]


@dataclass(frozen=True, slots=True)
class WindowsTried:
    """Message: the runs that tried windows."""

    runs: tuple[HeldBackRun, ...]


@dataclass(frozen=True, slots=True)
class WarmKeys:
    """Message: the places that a later run in a process reaches; see :func:`.first_use.keys_of`."""

    keys: frozenset[int]


@dataclass(frozen=True, slots=True)
class FirstUseReached:
    """Message: the lines that only the first run in a process reaches, and that were not audited.

    Parameters:
        lines: file -> its lines (``3-7,9``).
        reason: why the lines are unknown, or ``""``.
    """

    lines: dict[str, str]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Touched:
    """Message: the first run in a process reaches what changed, although later ones do not; so the test is audited after all."""


@dataclass(frozen=True, slots=True)
class Retold:
    """Message: what the run of the one point wanted did from the interrupt on."""

    story: Story


@dataclass(frozen=True, slots=True)
class PairsSought:
    """Message: the search for points with a second interrupt goes on.

    Parameters:
        firsts: the number of points after which a second interrupt is sought; 0: the search is over.
    """

    firsts: int


@dataclass(slots=True, repr=False)
class Collected:
    """Collects the messages of an audit."""

    plan: Plan = field(default_factory=Plan)
    results: dict[str, PointResult] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    ignores: dict[str, bool] = field(default_factory=dict)
    allows: dict[str, bool] = field(default_factory=dict)
    left_anyway: tuple[str, ...] = ()
    reached: dict[str, str] = field(default_factory=dict)
    seeing: dict[str, str] = field(default_factory=dict)
    strategy: str = ""
    following: int = 0
    dealt: str = ""
    refused: str = ""
    error: str = ""
    warm: frozenset[int] = frozenset()
    unsettled: frozenset[str] | None = None
    held_back: tuple[HeldBackRun, ...] = ()
    reached_first: dict[str, str] = field(default_factory=dict)
    no_first_use: str = ""
    story: Story | None = None
    exposures: dict[str, Exposure] = field(default_factory=dict)
    duration: float = 0.0
    cleanup_lines: dict[str, str] | None = None

    def take(self, message: object) -> None:  # noqa: PLR0912  (a branch for each message)
        """Take one message."""
        match message:
            case Plan():
                self.plan.points += message.points
                for reason, count in message.left_out.items():
                    self.plan.leave_out(reason, count, message.left_out_at.get(reason, ()))
                self.plan.keys |= message.keys
                self.plan.lasting |= message.lasting
                self.plan.repeated |= message.repeated
                self.plan.leaning |= message.leaning
                self.plan.found |= message.found
            case PointResult():
                self.results[message.point] = message
            case Refused():
                self.refused = message.reason
            case Touched():
                self.refused = ""
            case Breakdown():
                self.refused, self.error = message.reason, message.traceback
            case IgnoresUsed():
                self.ignores = message.places
            case LinesReached():
                self.reached = message.lines
            case CleanupRan():
                self.cleanup_lines = message.lines
            case AllowsUsed():
                self.allows = message.used
            case LeftBehind():
                self.left_anyway = message.leftovers
            case StrategyChosen():
                self.strategy = message.text
            case CanaryResults():
                self.seeing = message.kinds
            case ShardDealt():
                self.dealt = message.plan
            case Exposed():
                self.exposures, self.duration = message.points, message.seconds
            case Unsettled():
                self.unsettled = message.points
            case WindowsTried():
                self.held_back = message.runs
            case WarmKeys():
                self.warm = message.keys
            case FirstUseReached():
                self.reached_first, self.no_first_use = message.lines, message.reason
            case Retold():
                self.story = message.story
            case PairsSought():
                self.following = message.firsts
            case str():
                self.notes.append(message)

    @property
    def is_untouched(self) -> bool:
        """Whether the test was refused because it reaches nothing that changed."""
        return isinstance(self.refused, Reason) and self.refused.code is NotAudited.UNTOUCHED

    def complete(self) -> tuple[PointResult, ...]:
        """Return a result for every point; a point that no result was sent for counts as not audited."""
        early = Reason(NotAudited.ENDED_EARLY)
        self.plan.leave_out(Reason(NotAudited.NO_SECOND, why=early), self.following)
        return tuple(
            self.results.get(point.id) or PointResult(point.id, reason=self.refused or early)
            for point in self.plan.points
        )

    def audit(self, outline: Audit, seconds: float) -> Audit:
        """Return the audit that the messages add up to.

        Parameters:
            outline: what is known without them.
            seconds: how long it took.
        """
        return replace(
            outline,
            strategy=self.strategy,
            points=tuple(self.plan.points),
            results=self.complete(),
            left_out=dict[str, int](self.plan.left_out.items()),
            left_out_at={reason: _by_file(places) for reason, places in self.plan.left_out_at.items()},
            notes=tuple(self.notes),
            ignores=self.ignores,
            allows=self.allows,
            left_anyway=self.left_anyway,
            refused=self.refused if not self.results else "",
            seconds=seconds,
            plan=self.dealt,
            reached_first=self.reached_first,
            no_first_use=self.no_first_use,
            exposures=self.exposures,
            duration=self.duration,
            reached=self.reached,
            repeated=self.plan.repeated,
            found=self.plan.found,
            breakdown=self.refused if self.error else "",
            error=self.error,
            story=self.story,
            held_back=self.held_back,
            cleanup_lines=self.cleanup_lines,
        )


def _by_file(places: Iterable[tuple[str, int]]) -> dict[str, str]:
    """Return file -> its lines, as an audit has them."""
    lines: dict[str, list[int]] = {}
    for path, line in places:
        lines.setdefault(path, []).append(line)
    return {path: spans(numbers) for path, numbers in sorted(lines.items())}
