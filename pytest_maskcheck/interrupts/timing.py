"""The time that passes in an uninterrupted run before each of its places: while it lasts, an interrupt would wait for that place.

An engine watches the run (:meth:`.engine.Engine.time`) and notes when each trigger comes, on a *net clock*: it stands still while a function
of ours runs. What no clock of ours sees is the way into such a function and out of it. It takes some hundred nanoseconds at each event,
as long as many a gap, and is measured beside each run; how far it can be known decides how wide the stated intervals are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from types import CodeType

    from pytest_maskcheck.interrupts.strike import Strike

_TAIL = 10
"""Of the runs, sorted by what they measured, one in so many is left out at each end: something else may have disturbed it."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When something happened in a run.

    Parameters:
        time: nanoseconds of the net clock.
        events: how many events the engine had seen by then.
        idle: nanoseconds for which the thread had not run, from some moment on; 0 where that is not measured.
        waits: how often it had given up the processor of its own accord; 0 where that is not measured.
    """

    time: int
    events: int
    idle: int = 0
    waits: int = 0


@dataclass(frozen=True, slots=True)
class Lap:
    """One timed run.

    Parameters:
        begin, end: of the body.
        reached: when each trigger came; ``None`` if it did not.
        overhead: the least and the greatest time that the way into our functions and out of them may have taken, in nanoseconds per event.
    """

    begin: Moment
    end: Moment
    reached: tuple[Moment | None, ...]
    overhead: tuple[float, float]

    @property
    def seconds(self) -> float:
        """How long the body would have taken without being watched."""
        return max(0.0, sum(self.between(self.begin, self.end)) / 2 * 1e-9)

    def between(self, begin: Moment, end: Moment) -> tuple[float, float]:
        """Return the least and the greatest time, in nanoseconds, that passed between two moments."""
        time, events = end.time - begin.time, end.events - begin.events
        least, greatest = self.overhead
        return max(0.0, time - events * greatest), max(0.0, time - events * least)

    def waiting(self, begin: Moment, end: Moment) -> float:
        """Return the share of the time between two moments that the thread waited, such as for a lock or for data; 0 if it did not."""
        if end.waits == begin.waits:
            return 0.0  # where it did not run, others had the processor
        return min(1.0, max(0.0, (end.idle - begin.idle) / max(1, end.time - begin.time)))


class Clock(Protocol):
    """Times runs; what :meth:`.engine.Engine.time` returns."""

    laps: list[Lap]

    def lap(self, *, waits: bool = False) -> AbstractContextManager[Strike]:
        """Time the run in the body of the ``with`` statement.

        Parameters:
            waits: measure also when the thread waits. That takes time at each event, so that short gaps are measured less well.
        """
        ...


@dataclass(frozen=True, slots=True)
class Landing:
    """Where an interrupt lands.

    Parameters:
        code, offset: the innermost instruction in scope.
        near: the key of its calling context; see :func:`.places.near`.
        beyond: it lands in code out of scope that this instruction has called.
    """

    code: CodeType
    offset: int
    near: tuple[tuple[int, int], ...]
    beyond: bool


class Samples(Protocol):
    """Notes where interrupts land that come at random moments of runs; what :meth:`.mechanism.Mechanism.samples` returns.

    Attributes:
        landings: how many there were at each place; ``None``: where no code in scope runs.
        waiting: how many of them came while the thread waited.
    """

    landings: Counter[Landing | None]
    waiting: Counter[Landing | None]

    @property
    def is_possible(self) -> bool:
        """Whether samples can be taken in this process, as it is now."""
        ...

    def run(self) -> AbstractContextManager[Strike]:
        """Take samples of the run in the body of the ``with`` statement."""
        ...


def within(values: Sequence[float]) -> tuple[float, float]:
    """Return the least and the greatest of these values, except for those at the ends that something else may have disturbed."""
    ordered = sorted(values)
    beyond = len(ordered) // _TAIL
    return ordered[beyond], ordered[-1 - beyond]
