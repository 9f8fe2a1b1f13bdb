"""What the uninterrupted test does, and which points come before its first effect outside the process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import Counter

    from pytest_maskcheck.interrupts import Trigger
    from pytest_maskcheck.runs.fork_hazards import ForkHazards


@dataclass(slots=True, repr=False)
class Rehearsal:
    """The points before the first effect outside the process.

    Attributes:
        ahead: interrupts are sent before the call at whose end they arrive. So an effect may come from the call of the latest
            point, whose interrupt would then arrive after it.
        reached: positions of the points that came before the effect.
        effect: the effect in words, or ``""``.
        fixture: the effect came outside the body of the test.
        inside: while the body runs, finds effects that show only when they are looked for.
    """

    ahead: bool = False
    reached: set[int] = field(default_factory=set)
    effect: str = ""
    fixture: bool = False
    inside: ForkHazards | None = None
    _latest: set[int] = field(default_factory=set)  # positions of the points of the latest trigger
    _trigger: Trigger | None = None

    def hear(self, effect: str) -> None:
        """Record an effect; only the first one counts."""
        if not self.effect:
            self.effect, self.fixture = effect, self.inside is None
            if self.ahead:
                self.reached -= self._latest

    def reach(self, position: int, trigger: Trigger) -> None:
        """Record that a point was reached."""
        if self.inside is not None and not self.effect and (reason := self.inside.reason()):
            self.hear(reason)
        if not self.effect:
            self.reached.add(position)
            self._latest = {*self._latest, position} if trigger is self._trigger else {position}
            self._trigger = trigger


@dataclass(frozen=True, slots=True)
class Uninterrupted:
    """What the uninterrupted test does.

    Parameters:
        left: kind and key of what each of two runs leaves behind -> how many of them.
        seconds: duration of a run.
        rehearsal: what it does outside the process.
    """

    left: tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]
    seconds: float
    rehearsal: Rehearsal
