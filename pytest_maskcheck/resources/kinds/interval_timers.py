"""Interval timers of the process: armed or not, and how often they fire."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import cast

from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.process_state import ProcessState
from pytest_maskcheck.resources.stopped_timers import HAS_TIMERS, NAMES, NUMBERS
from pytest_maskcheck.system.unpatched import signal

_IDLE = (0.0, 0.0)

Timers = tuple[tuple[float, float], ...]


class IntervalTimers(ProcessState[Timers]):
    """The three timers of ``setitimer``; ``signal.alarm`` arms the first. That the time left differs does not count."""

    name = "itimer"
    available = HAS_TIMERS
    repeatable = False  # the time left differs at each reading

    def read(self) -> Timers:
        return tuple(map(signal.getitimer, NUMBERS))

    def differences(self, before: Timers, now: Timers) -> Iterator[Leftover]:
        for name, number, old, new in zip(NAMES, NUMBERS, before, now, strict=True):
            if (old == _IDLE) != (new == _IDLE):
                detail = f"{name} is armed" if old == _IDLE else f"{name} was armed before and no longer is"
            elif old[1] != new[1]:
                detail = f"{name} repeats every {new[1]:g} s (before: {old[1]:g} s)"
            else:
                continue
            yield self.altered(name, detail, number, old)

    def put_back(self, of: Hashable, value: object) -> None:
        left, interval = cast("tuple[float, float]", value)
        signal.setitimer(cast("int", of), left, interval)

    @contextmanager
    def canary(self) -> Iterator[None]:
        old = signal.getitimer(signal.ITIMER_PROF)
        # Armed if it is idle, for a time that does not expire meanwhile; else disarmed.
        signal.setitimer(signal.ITIMER_PROF, *((10_000, 0) if old == _IDLE else (0, 0)))
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, *old)
