"""Interval timers that stand still while the audit works.

The time that the audit takes is none of the test's, so its timers do not run meanwhile: see :data:`standing`. A timer that
expired while the audit compares would be gone at the next comparison, as if reference counting had released it. Its handler would
also run, and maybe raise, amid the audit's own code.

What does not work: a signal that arrives between the last instruction of the test and the moment at which its timer is stopped.
"""

from __future__ import annotations

from collections.abc import Collection

from pytest_maskcheck.system.unpatched import signal

HAS_TIMERS = hasattr(signal, "getitimer")
NAMES = ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF") if HAS_TIMERS else ()
NUMBERS = tuple(int(getattr(signal, name)) for name in NAMES)

_FAR = 1e8
"""Seconds, three years, by which a stopped timer is put off. It stays armed, so that code that disarms it meanwhile has done so."""

_SOON = 1.0
"""Seconds within which a timer that a run has left would expire before the next run is over."""


class _Standing:
    """See :data:`standing`. A class, as ``contextlib`` may be in scope."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left: dict[int, float] = {}

    def __enter__(self) -> None:
        for number in NUMBERS:
            left, interval = signal.getitimer(number)
            # A second entry finds timers that are put off already, and leaves them alone.
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
            # A timer that somebody disarmed or set meanwhile is no longer far away, and stays as it is.
            if now > _FAR / 2:
                signal.setitimer(number, left, interval)

    def disarm(self, names: Collection[str]) -> None:
        """Disarm those of these timers that would go off soon: their handlers would run in the midst of the audit."""
        for name, number in zip(NAMES, NUMBERS, strict=True):
            if name in names and self._left.get(number, _FAR) < _SOON:
                del self._left[number]
                signal.setitimer(number, 0)


standing = _Standing()
"""Within ``with standing:`` interval timers are armed as they were, but do not go on."""
