"""Stop interval timers while the audit works.

The audit's own time is not the test's, so the test's timers must not run meanwhile; see :data:`standing`. If a timer expired while
the audit compares, it would be gone at the next comparison, as if reference counting had released it. Its handler would also run,
and might raise, amid the audit's own code.

What does not work: a signal that arrives after the last instruction of the test and before its timer is stopped.
"""

from __future__ import annotations

from collections.abc import Collection

from pytest_maskcheck.system.unpatched import signal

HAS_TIMERS = hasattr(signal, "getitimer")
NAMES = ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF") if HAS_TIMERS else ()
NUMBERS = tuple(int(getattr(signal, name)) for name in NAMES)

_FAR = 1e8
"""Seconds, three years, that a stopped timer is set to. It stays armed, so that it can be seen whether code disarms it meanwhile."""

_SOON = 1.0
"""A timer that a run has left with fewer seconds than this may expire before the next run is over."""


class _Standing:
    """See :data:`standing`. A class and no generator, as ``contextlib`` may be in scope."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left: dict[int, float] = {}

    def __enter__(self) -> None:
        for number in NUMBERS:
            left, interval = signal.getitimer(number)
            # A nested entry finds timers that are far off already, and leaves them alone.
            if not 0 < left < _FAR / 2:
                continue
            left, _ = signal.setitimer(number, _FAR, interval)
            if left:
                self._left[number] = left
            else:  # it has just expired
                signal.setitimer(number, 0)

    def __exit__(self, *_: object) -> None:
        while self._left:
            number, left = self._left.popitem()
            now, interval = signal.getitimer(number)
            # A timer that was disarmed or set anew meanwhile is no longer far off, and stays as it is.
            if now > _FAR / 2:
                signal.setitimer(number, left, interval)

    def postpone(self, names: Collection[str]) -> None:
        """Give those timers, of these names, that would expire soon more time, so that they can be disarmed before they do."""
        for number in self._soon(names):
            self._left[number] = _SOON

    def disarm(self, names: Collection[str]) -> None:
        """Disarm those timers, of these names, that would expire soon: their handlers would run in the middle of the audit."""
        for number in self._soon(names):
            del self._left[number]
            signal.setitimer(number, 0)

    def _soon(self, names: Collection[str]) -> list[int]:
        """Return those timers, of these names, that would expire soon."""
        timers = zip(NAMES, NUMBERS, strict=True)
        return [number for name, number in timers if name in names and self._left.get(number, _FAR) < _SOON]


standing = _Standing()
"""Within ``with standing:`` interval timers stay armed, but do not count down."""
