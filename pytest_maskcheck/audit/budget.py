"""The time that a session may spend on audits, shared out among its tests."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from pytest_maskcheck.system.unpatched import time

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
        turn: how many tests had theirs before: what fits in is another part of the points each time, as tests are often alike.
    """

    deadline: float
    budget: float
    turn: int = 0

    @property
    def reason(self) -> str:
        """Why something is not audited."""
        return f"beyond the time budget of {self.budget:g} s"

    def left(self) -> float:
        """Return the seconds that are left, below 0 when the time is up."""
        return self.deadline - time.perf_counter()

    def over(self, seconds: float = 0.0) -> bool:
        """Tell whether the time is up, or there is none left for what takes so many seconds."""
        return self.left() <= seconds

    def has_room(self, seconds: float) -> bool:
        """Tell whether a test can be audited at all whose ordinary run takes so long."""
        return self.left() > _OTHER_RUNS * seconds

    def room(self, seconds: float) -> int:
        """Return for how many runs of so many seconds there is time."""
        cost = seconds + _MARGIN
        return max(0, int((self.left() - 2 * cost) / cost))

    def at_least(self, seconds: float) -> Share:
        """Return a share that does not end before so many seconds from now."""
        return replace(self, deadline=max(self.deadline, time.perf_counter() + seconds))

    def half(self) -> Share:
        """Return the first half of what is left."""
        return replace(self, deadline=self.deadline - max(self.left(), 0) / 2)

    def room_for_recordings(self, seconds: float) -> int:
        """Return for how many recorded runs there is time; others take so many seconds."""
        return self.room(_RECORDED * seconds)


class Budget:
    """The time that is left for audits in this process, and for how many tests.

    Only audits count, not the ordinary runs of tests. An audit takes time before its first point, which is lost if there is
    none left for points. Where a fair share is less than the cheapest audit has taken, or than the runs around the points take,
    not every test is audited: those that are get that much and are spread evenly over the tests.

    Parameters:
        seconds: the time for all.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._left = seconds
        self._tests = 0
        self._cheapest = 0.0
        self._turn = -1
        self._due = 0.5  # what tests without an audit have left for the next ones, in audits; rounded to whole ones

    def expect(self, tests: int, processes: int = 1) -> None:
        """Learn how many tests are to be audited by so many processes, each with the same budget and some of the tests."""
        self._tests = math.ceil(tests / processes)

    def begins(self) -> None:
        """Learn that a test begins that is to be audited."""
        self._tests -= 1
        self._turn += 1

    def share(self, *, more: bool, seconds: float = 0.0) -> Share:
        """Return what the test that has begun may take; nothing, if it is not the turn of this one.

        Parameters:
            more: other tests follow.
            seconds: how long the ordinary run of this one took.
        """
        others = max(self._tests, 1 if more else 0)
        fair = self._left / (1 + others)
        around = (_OTHER_RUNS + 1) * seconds
        needed = max(self._cheapest, around)
        if around > self._left:
            fair = 0.0
        elif fair < needed:
            self._due += fair / needed
            fair = needed if self._due >= 1 else 0.0
            self._due %= 1
        return Share(time.perf_counter() + fair, self.seconds, self._turn)

    def spend(self, seconds: float, *, audited: bool = False) -> None:
        """Take off what a test took.

        Parameters:
            seconds: so much.
            audited: a point of it was audited.
        """
        self._left = max(0.0, self._left - seconds)
        if audited:
            self._cheapest = min(seconds, self._cheapest or seconds)
