"""Interval timers of the process: armed or not, and how often they fire.

The time that the audit takes is none of the test's, so its timers do not go on meanwhile: :data:`standing`. A timer that expired during a look
would be gone at the next one, as if counting references had released it, and its handler would run, and maybe raise, in the midst of ours.

What does not work: a signal that comes between the last instruction of the test and the moment at which its timer is stopped.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from contextlib import contextmanager
from typing import cast

from pytest_maskcheck.resources.base import Leftover
from pytest_maskcheck.resources.state import State
from pytest_maskcheck.system.unpatched import signal

HAS_TIMERS = hasattr(signal, "getitimer")
_NAMES = ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF") if HAS_TIMERS else ()
_NUMBERS = tuple(int(getattr(signal, name)) for name in _NAMES)
_IDLE = (0.0, 0.0)

_FAR = 1e8
"""Seconds, three years, by which a timer that stands still is put off: it stays armed, and whoever disarms it meanwhile has done so."""

_SOON = 1.0
"""Seconds within which a timer that a run has left goes off before the next run is over."""

Timers = tuple[tuple[float, float], ...]


class IntervalTimers(State[Timers]):
    """The three timers of ``setitimer``; ``signal.alarm`` arms the first. The time left is no difference."""

    name = "itimer"
    repeatable = False

    def read(self) -> Timers:
        return tuple(map(signal.getitimer, _NUMBERS))

    def differences(self, before: Timers, now: Timers) -> Iterator[Leftover]:
        for name, number, old, new in zip(_NAMES, _NUMBERS, before, now, strict=True):
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
        # Out of reach, and unlike any timer that is running.
        signal.setitimer(signal.ITIMER_PROF, *((10_000, 0) if old == _IDLE else (0, 0)))
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, *old)


class _Standing:
    """See :data:`standing`. A class, as ``contextlib`` may be in scope."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left: dict[int, float] = {}

    def __enter__(self) -> None:
        for number in _NUMBERS:
            left, interval = signal.getitimer(number)
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
            if now > _FAR / 2:
                signal.setitimer(number, left, interval)

    def disarm(self, names: Collection[str]) -> None:
        """Disarm those of these timers that would go off soon: their handlers would run in the midst of the audit."""
        for name, number in zip(_NAMES, _NUMBERS, strict=True):
            if name in names and self._left.get(number, _FAR) < _SOON:
                del self._left[number]
                signal.setitimer(number, 0)


standing = _Standing()
"""Within ``with standing:`` interval timers are armed as they were, but do not go on."""
