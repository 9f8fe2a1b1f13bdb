"""What the clocks of both engines share: laps, counting, and the overhead of an event.

Rules:

1. The overhead is measured before and after each run, as it changes by half with the load of the machine: loops of known code run once
   watched and once not. A call, a function entry and a jump differ in it, which gives the interval.
2. The first lap does not count. CPython prepares each code object when it runs for the first time since events changed, and that takes
   longer than most gaps.
"""

from __future__ import annotations

import resource
from types import FunctionType
from typing import TYPE_CHECKING, cast

from pytest_maskcheck.interrupts.arming import arming
from pytest_maskcheck.interrupts.signals.waits import Waits
from pytest_maskcheck.interrupts.strike import Strike
from pytest_maskcheck.interrupts.timing import Lap, Moment
from pytest_maskcheck.system.unpatched import threading, time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_maskcheck.interrupts.places import Trigger

_ROUNDS = 60
"""How often each loop repeats what it measures."""

_ITEMS = (0,) * _ROUNDS

_COLD = 1.5
"""An event in code that runs once has at most so many times the overhead of one in a loop (see ``tests/experiments/exposure``)."""


def _nothing() -> None:
    """Do nothing."""


def calls(items: Sequence[int]) -> None:
    """Call a function in C for each item."""
    for each in items:
        abs(each)


def entries(items: Sequence[int], function: Callable[[], None]) -> None:
    """Call a Python function for each item."""
    for _ in items:
        function()


def jumps(items: Sequence[int]) -> None:
    """Jump back for each item."""
    for _ in items:
        pass


_LOOPS: tuple[Callable[..., None], ...] = (calls, entries, jumps, _nothing)


def _twin(function: Callable[..., None]) -> FunctionType:
    """Return an equal function with code of its own."""
    return FunctionType(cast("FunctionType", function).__code__.replace(), {"abs": abs})


class Clock:
    """Times runs; a subclass watches them.

    Parameters:
        triggers: what to note the moments of.

    Attributes:
        laps: the runs so far.
        waits: counts events; a new one for each run.
        events: how many events this run has had.
        lost: nanoseconds spent in functions of ours in this run.
        reached: the moments of the triggers that have come.
    """

    def __init__(self, triggers: Sequence[Trigger]) -> None:
        self.laps: list[Lap] = []
        self.now = time.perf_counter_ns  # not a name of this module: freezegun would replace it
        self.main = threading.get_ident()  # where gevent has patched, ``main_thread().ident`` is gevent's
        self.events = self.lost = 0
        self.reached: list[Moment | None] = []
        self.calls, self.entries, self.jumps, self.nothing = (_twin(each) for each in _LOOPS)
        self._unwatched = tuple(_twin(each) for each in _LOOPS)
        self._triggers = triggers
        self._waits = False
        self.waits = Waits(())

    def watching(self) -> None:
        """Begin to watch, if that has ended since the last run."""

    def resting(self) -> None:
        """Cease to watch, if that is done at once."""

    def reset(self, triggers: Sequence[Trigger]) -> None:
        """Begin a run anew, in which these triggers are awaited."""
        self.waits = Waits(triggers)
        self.reached = [None] * len(triggers)
        self.events = self.lost = 0

    def note(self, positions: Sequence[int], moment: int) -> None:
        """Note that triggers came at a moment, in nanoseconds of the clock of the system."""
        for position in positions:
            self.reached[position] = Moment(moment - self.lost, self.events, *self._rest(moment))

    def _rest(self, moment: int) -> tuple[int, int]:
        """Return how long this thread has not run until a moment, from some moment on, and how often it gave up the processor."""
        if not self._waits:
            return 0, 0
        return moment - time.thread_time_ns(), resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw

    @arming
    def lap(self, *, waits: bool = False) -> Iterator[Strike]:
        """See :class:`pytest_maskcheck.interrupts.timing.Clock`."""
        overheads = self._overheads()
        self.reset(self._triggers)
        self._waits = waits and hasattr(resource, "RUSAGE_THREAD")
        self.watching()
        moment = self.now()
        begin = Moment(moment, 0, *self._rest(moment))
        try:
            yield Strike()
        finally:
            moment = self.now()
            end = Moment(moment - self.lost, self.events, *self._rest(moment))
            self.resting()
            self._waits = False
        reached = tuple(self.reached)
        overheads += self._overheads()
        self.laps.append(Lap(begin, end, reached, (min(overheads), _COLD * max(overheads))))

    def _overheads(self) -> list[float]:
        """Measure the overhead of an event, in nanoseconds: with calls, with entries, and with jumps."""
        calls, entries, jumps, nothing = self._unwatched
        return [
            self._overhead(lambda: self.calls(_ITEMS), lambda: calls(_ITEMS)),
            self._overhead(lambda: self.entries(_ITEMS, self.nothing), lambda: entries(_ITEMS, nothing)),
            self._overhead(lambda: self.jumps(_ITEMS), lambda: jumps(_ITEMS)),
        ]

    def _overhead(self, watched: Callable[[], None], unwatched: Callable[[], None]) -> float:
        times = []
        for _ in range(3):
            begin = self.now()
            unwatched()
            usual = self.now() - begin
            self.reset(())
            self.watching()
            begin = self.now()
            watched()
            taken = self.now() - begin - self.lost
            self.resting()
            times.append((taken - usual) / max(1, self.events))
        return sorted(times)[1]
