"""The time that a session may spend on audits, shared out among its tests."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pytest_maskcheck.unpatched import time

_MARGIN = 0.001
"""Seconds that an interrupted run may take longer than an uninterrupted one: the interrupt, and telling its result."""

_OTHER_RUNS = 5
"""Runs of a test that an audit makes before the first interrupt, or around it: a process warms up first, and looks once more last."""

_RECORDED = 4
"""So many times as long as others takes a run in which every place is looked at."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one test may take of the budget.

    Parameters:
        deadline: when it has to end, in seconds of ``time.perf_counter``.
        budget: seconds for the session, for the report.
    """

    deadline: float
    budget: float

    @property
    def reason(self) -> str:
        """Why something is not audited."""
        return f"beyond the time budget of {self.budget:g} s"

    def left(self) -> float:
        """Return the seconds that are left, below 0 when the time is up."""
        return self.deadline - time.perf_counter()

    def over(self) -> bool:
        """Tell whether the time is up."""
        return self.left() <= 0

    def has_room(self, seconds: float) -> bool:
        """Tell whether a test can be audited at all whose ordinary run takes so long."""
        return self.left() > _OTHER_RUNS * seconds

    def room(self, seconds: float) -> int:
        """Return for how many runs of so many seconds there is time."""
        cost = seconds + _MARGIN
        return max(0, int((self.left() - 2 * cost) / cost))

    def half(self) -> Share:
        """Return the first half of what is left."""
        return Share(self.deadline - max(self.left(), 0) / 2, self.budget)

    def room_for_recordings(self, seconds: float) -> int:
        """Return for how many recorded runs there is time; others take so many seconds."""
        return self.room(_RECORDED * seconds)


class Budget:
    """The time that is left for audits in this process, and for how many tests.

    Only audits count, not the ordinary runs of tests.

    Parameters:
        seconds: the time for all.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._left = seconds
        self._tests = 0

    def expect(self, tests: int, processes: int = 1) -> None:
        """Learn how many tests are to be audited by so many processes, each with the same budget and some of the tests."""
        self._tests = math.ceil(tests / processes)

    def begins(self) -> None:
        """Learn that a test begins that is to be audited."""
        self._tests -= 1

    def share(self, *, more: bool) -> Share:
        """Return what the test that has begun may take.

        Parameters:
            more: other tests follow.
        """
        others = max(self._tests, 1 if more else 0)
        return Share(time.perf_counter() + self._left / (1 + others), self.seconds)

    def spend(self, seconds: float) -> None:
        """Take off what an audit took."""
        self._left = max(0.0, self._left - seconds)
