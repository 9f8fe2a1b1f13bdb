"""The time that a session may spend on audits, shared out among its tests."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.system.unpatched import time

_MARGIN = 0.001
"""Seconds by which an interrupted run may outlast an uninterrupted one: the interrupt, and reporting its result."""

_OTHER_RUNS = 5
"""Runs of a test that an audit makes around the interrupts: to prepare, to warm a process up, and a full one at the end."""

_RECORDED = 4
"""A recorded run takes this many times as long as another run."""


@dataclass(frozen=True, slots=True)
class Share:
    """The part of the budget for one test.

    Parameters:
        deadline: when the audit has to end, in seconds of ``time.perf_counter``.
        budget: seconds for the session, for the report.
        turn: number of tests before this one. Tests are often alike, so each audits a different part of its points if not all fit in.
    """

    deadline: float
    budget: float
    turn: int = 0

    @property
    def reason(self) -> Reason:
        """Why points are not audited when the time is up."""
        return Reason(NotAudited.BUDGET, seconds=self.budget)

    def left(self) -> float:
        """Return the seconds that are left; they are negative when the time is up."""
        return self.deadline - time.perf_counter()

    def over(self, seconds: float = 0.0) -> bool:
        """Return whether the time is up, or no more than so many seconds are left."""
        return self.left() <= seconds

    def has_room(self, seconds: float) -> bool:
        """Return whether there is time for any audit of a test whose ordinary run takes so many seconds."""
        return self.left() > _OTHER_RUNS * seconds

    def room(self, seconds: float) -> int:
        """Return the number of runs of so many seconds each that there is time for."""
        cost = seconds + _MARGIN
        return max(0, int((self.left() - 2 * cost) / cost))

    def at_least(self, seconds: float) -> Share:
        """Return a share that does not end before so many seconds from now."""
        return replace(self, deadline=max(self.deadline, time.perf_counter() + seconds))

    def half(self) -> Share:
        """Return the first half of what is left."""
        return replace(self, deadline=self.deadline - max(self.left(), 0) / 2)

    def room_for_recordings(self, seconds: float) -> int:
        """Return the number of recorded runs that there is time for, if other runs take so many seconds."""
        return self.room(_RECORDED * seconds)


class Budget:
    """The time that is left for audits in this process.

    Only audits count, not the ordinary runs of tests. An audit takes time before its first point, and that time is lost if none is
    left for points. A fair share may be too small: less than the cheapest audit has taken, or less than the runs around the points
    take. Then not every test is audited. The audited tests get that much time each, and are spread evenly over all tests.

    Parameters:
        seconds: the time for all audits.

    Attributes:
        left: the seconds that are left.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.left = seconds
        self._tests = 0
        self._cheapest = 0.0
        self._turn = -1
        self._due = (
            0.5  # parts of audits, left over by tests that got none, for later tests; one half rounds to the nearest
        )

    def expect(self, tests: int, processes: int = 1) -> None:
        """Expect so many tests to be audited by so many processes, each with the same budget and its part of the tests."""
        self._tests = math.ceil(tests / processes)

    @property
    def others(self) -> int:
        """How many tests are expected after the one that has begun."""
        return max(0, self._tests)

    def begins(self) -> None:
        """Count a test that begins and is to be audited."""
        self._tests -= 1
        self._turn += 1

    def share(self, *, more: bool, seconds: float = 0.0, part: float | None = None) -> Share:
        """Return the share of the test that has begun; it is empty if this test gets no audit.

        Parameters:
            more: other tests follow, even if none was expected.
            seconds: how long the ordinary run of this one took.
            part: this test's part of what is left, according to a survey of the suite; ``None``: there was none.
        """
        if part is not None:
            return Share(time.perf_counter() + part * self.left, self.seconds, self._turn)
        others = max(self._tests, 1 if more else 0)
        fair = self.left / (1 + others)
        around = (_OTHER_RUNS + 1) * seconds
        needed = max(self._cheapest, around)
        if around > self.left:
            fair = 0.0
        elif fair < needed:
            self._due += fair / needed
            fair = needed if self._due >= 1 else 0.0
            self._due %= 1
        return Share(time.perf_counter() + fair, self.seconds, self._turn)

    def spend(self, seconds: float, *, audited: bool = False) -> None:
        """Subtract the time that an audit took.

        Parameters:
            seconds: the time it took.
            audited: at least one point was audited.
        """
        self.left = max(0.0, self.left - seconds)
        if audited:
            self._cheapest = min(seconds, self._cheapest or seconds)
