"""Expires an interval timer when its signal is delivered, as the kernel does: disarms it, or arms it again with its interval.

A timer's signal normally comes because the timer has expired. A delivery that takes its place must leave the timer as the kernel would.
Otherwise the audit would report an armed timer against code that rightly does nothing about an alarm that has already come.

Rules:

1. A timer is expired when the handler is about to run, not earlier: the call at whose end the interrupt arrives may be the one that
   arms it, and on 3.11 the signal is sent before that call. A signal that goes through the kernel (because a mask holds it back, or C
   code listens to signals) expires the timer when it is sent.
2. If no timer is armed, there is nothing to do: the signal stands for one from another process.
3. A timer that was armed before the body of the test, and has been counting down since, belongs to a fixture or to whoever runs the
   tests. It is left alone.

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
"""Seconds by which a timer that counts down may appear to be ahead or behind."""


class _Begun:
    """The state of the timers when the body of the test began."""

    timers: dict[int, tuple[float, float]]
    since = 0.0


_begun = _Begun()
_begun.timers = {}


def begin() -> None:
    """Record which timers are armed as the body of the test begins."""
    _begun.timers = {timer: state for timer in _TIMERS.values() if (state := signal.getitimer(timer)) != _IDLE}
    if _begun.timers:
        _begun.since = time.perf_counter()


def expires(signum: int) -> bool:
    """Return whether this is the signal of a timer."""
    return signum in _TIMERS


def expire(signum: int) -> None:
    """Put the timer that sends this signal into the state in which the kernel leaves it when it expires."""
    if signum not in _TIMERS:
        return
    timer = _TIMERS[signum]
    state = signal.getitimer(timer)
    if state != _IDLE and not _is_former(timer, *state):
        _, interval = state
        signal.setitimer(timer, interval, interval)


def _is_former(timer: int, left: float, interval: float) -> bool:
    """Return whether a timer was armed before the body began, and not since: it has counted down by the elapsed time.

    Two of the three timers count processor time, which is less than elapsed time.
    """
    if timer not in _begun.timers:
        return False
    before, every = _begun.timers[timer]
    if every or interval:
        return every == interval  # a periodic timer: the time left until it fires next shows nothing
    passed = time.perf_counter() - _begun.since
    least = passed if timer == signal.ITIMER_REAL else 0.0
    return least - _TOLERANCE <= before - left <= passed + _TOLERANCE
