"""The points to audit, the aim of each, and the hits that were left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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
        left_out_at: reason -> the places where hits were left out for it, by file and line; for the reasons that a line can be given.
    """

    points: list[Point] = field(default_factory=list)
    aims: dict[str, Aim] = field(default_factory=dict)
    left_out: dict[Reason, int] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    lasting: dict[str, str] = field(default_factory=dict)
    repeated: dict[str, str] = field(default_factory=dict)
    leaning: dict[str, tuple[str, ...]] = field(default_factory=dict)
    found: dict[str, str] = field(default_factory=dict)
    left_out_at: dict[Reason, set[tuple[str, int]]] = field(default_factory=dict)

    def leave_out(self, reason: Reason, count: int = 1, places: Iterable[tuple[str, int]] = ()) -> None:
        """Count hits that are not audited.

        Parameters:
            reason: why not.
            count: how many.
            places: their ``co_filename`` and line, if reports are to mark these lines.
        """
        if count:
            self.left_out[reason] = self.left_out.get(reason, 0) + count
            if found := {*places}:
                self.left_out_at.setdefault(reason, set()).update(found)

    def places_by(self, name: Callable[[str], str]) -> dict[Reason, set[tuple[str, int]]]:
        """Return the places where hits were left out, with the names of files that reports show."""
        short = {file: name(file) for places in self.left_out_at.values() for file, _ in places}
        return {reason: {(short[file], line) for file, line in at} for reason, at in self.left_out_at.items()}

    def add(self, point: Point, aim: Aim) -> None:
        """Add a point."""
        self.points.append(point)
        self.aims[point.id] = aim
