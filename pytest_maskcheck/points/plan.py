"""The points to audit, the aim of each, and the hits that were left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_maskcheck.interrupts import Hit
    from pytest_maskcheck.reasons import Reason
    from pytest_maskcheck.results import Point


@dataclass(frozen=True, slots=True)
class Aim:
    """The aim of a point: where to interrupt, and with which signal.

    Parameters:
        first: the hit, counted from the beginning of the run.
        signum: the signal.
        second: the hit where the signal is sent a second time, counted from the first interrupt on; ``None`` if it is sent only once.
    """

    first: Hit
    signum: int
    second: Hit | None = None

    @property
    def hits(self) -> tuple[Hit, ...]:
        """The one or two hits to interrupt at, in order."""
        return (self.first,) if self.second is None else (self.first, self.second)


@dataclass(slots=True, repr=False)
class Plan:
    """The points to audit.

    Attributes:
        points: the points, in the order the test reaches them.
        aims: the aim of each, by id.
        left_out: how many hits were left out, by reason.
        keys: id of a point -> its key among the tests of the session; see :mod:`.repeats`. Points of the test's own code have none.
        lasting: id of a point -> its key that lasts when code elsewhere in its file is edited.
        repeated: id of a point left out because it was audited without a finding in other tests -> one of these tests.
        leaning: lasting key of a point left out because it was audited without a finding in other tests -> those tests, as many as it takes.
        found: id of a point left out because another test has a defect there -> that test.
    """

    points: list[Point] = field(default_factory=list)
    aims: dict[str, Aim] = field(default_factory=dict)
    left_out: dict[Reason, int] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    lasting: dict[str, str] = field(default_factory=dict)
    repeated: dict[str, str] = field(default_factory=dict)
    leaning: dict[str, tuple[str, ...]] = field(default_factory=dict)
    found: dict[str, str] = field(default_factory=dict)

    def leave_out(self, reason: Reason, count: int = 1) -> None:
        """Count hits that are not audited."""
        if count:
            self.left_out[reason] = self.left_out.get(reason, 0) + count

    def add(self, point: Point, aim: Aim) -> None:
        """Add a point."""
        self.points.append(point)
        self.aims[point.id] = aim
