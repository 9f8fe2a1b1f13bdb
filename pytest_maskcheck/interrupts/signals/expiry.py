"""What becomes of an interval timer whose signal comes: the kernel disarms it, or arms it again with its interval.

The signal of a timer comes when that expires. A delivery in its place must leave the timer as the kernel would, or the audit would
report an armed timer against code that rightly does nothing about an alarm that has come.

Rules:

1. A timer is expired when the handler is about to run. What arms it may be the very call at whose end the interrupt arrives, and
   on 3.11 the signal is sent before that call. A signal that the kernel gets (a mask holds it back, or C code listens to signals) expires
   the timer when it is sent.
2. Where no timer is armed there is nothing to do: another process sent the signal.
3. A timer that was armed before the body of the test, and counts down since, is a fixture's or that of whoever runs the tests. It stays as it is.

What does not work: on 3.11, a call that arms a timer while a mask holds the signal back leaves it armed.
"""

from __future__ import annotations

from pytest_maskcheck.system.unpatched import signal, time

_TIMERS = {
    int(getattr(signal, name)): int(getattr(signal, timer))
    for name, timer in (("SIGALRM", "ITIMER_REAL"), ("SIGVTALRM", "ITIMER_VIRTUAL"), ("SIGPROF", "ITIMER_PROF"))
    if hasattr(signal, timer)
}
"""Signal -> the timer that sends it."""

_IDLE = (0.0, 0.0)

_TOLERANCE = 0.05
"""Seconds by which a timer that counts down may seem to be ahead or behind."""


class _Begun:
    """How the timers were when the body of the test began."""

    timers: dict[int, tuple[float, float]]
    since = 0.0


_begun = _Begun()
_begun.timers = {}


def begin() -> None:
    """Note which timers are armed; the body of the test begins."""
    _begun.timers = {timer: state for timer in _TIMERS.values() if (state := signal.getitimer(timer)) != _IDLE}
    if _begun.timers:
        _begun.since = time.perf_counter()


def expires(signum: int) -> bool:
    """Return whether this is the signal of a timer."""
    return signum in _TIMERS


def expire(signum: int) -> None:
    """Leave the timer that sends a signal as the kernel does when it expires."""
    if signum not in _TIMERS:
        return
    timer = _TIMERS[signum]
    state = signal.getitimer(timer)
    if state != _IDLE and not _is_former(timer, *state):
        _, interval = state
        signal.setitimer(timer, interval, interval)


def _is_former(timer: int, left: float, interval: float) -> bool:
    """Return whether a timer was armed before the body began, and not since: it has counted down by the time that went by.

    Two of the three count processor time, which is less.
    """
    if timer not in _begun.timers:
        return False
    before, every = _begun.timers[timer]
    if every or interval:
        return every == interval  # it fires again and again: how much is left means nothing
    passed = time.perf_counter() - _begun.since
    least = passed if timer == signal.ITIMER_REAL else 0.0
    return least - _TOLERANCE <= before - left <= passed + _TOLERANCE
