"""Samples of where signals land at random moments of a run."""

from __future__ import annotations

import signal
import time

import pytest

from pytest_maskcheck.interrupts import choose

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no setitimer")


def work(first: int, second: int) -> None:
    for _ in range(first):
        abs(1)
    for _ in range(second):
        abs(2)
    sum(range(20 * second))


def sampled():
    """Return samples of some runs: as many as bring so many samples, which are more runs where others have the processor."""
    samples = choose()[0].samples(lambda file: file == __file__, 2e-4)
    for run in range(100):
        if run >= 5 and samples.landings.total() >= 500:
            break
        with samples.run():
            work(20_000, 120_000)
    return samples


def test_they_land_where_the_time_goes() -> None:
    """The longer a loop, the more samples land at its lines, in its function, called from this one."""
    samples = sampled()
    begin = work.__code__.co_firstlineno
    lines = {1: 0, 2: 0, 3: 0, 4: 0, 5: 0}
    for landing, number in samples.landings.items():
        if landing is not None and landing.code is work.__code__:
            assert len(landing.near) <= 4
            line = next(line for first, end, line in landing.code.co_lines() if first <= landing.offset < end and line)
            lines[line - begin] = lines.get(line - begin, 0) + number
    loops = lines[1] + lines[2], lines[3] + lines[4]
    assert loops[0] > 5
    assert loops[1] > 2 * loops[0]
    assert lines[5] > loops[1], "a single call, which takes longer"


def test_nothing_is_left_of_them() -> None:
    """Afterwards the timer is off, and the signal has its default action."""
    sampled()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


@pytest.mark.parametrize("use", ["handler", "timer", "mask", "none"])
def test_where_others_use_the_timer_they_are_not_possible(use: str) -> None:
    """A handler of the signal, a timer that runs, or a mask of it belong to somebody else."""
    samples = choose()[0].samples(lambda _: True, 1.0)
    before = signal.getsignal(signal.SIGALRM)
    try:
        if use == "handler":
            signal.signal(signal.SIGALRM, lambda *_: None)
        elif use == "timer":
            signal.setitimer(signal.ITIMER_REAL, 1000)
        elif use == "mask":
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        assert samples.is_possible is (use == "none")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
        signal.signal(signal.SIGALRM, before)


def test_waiting_is_told_from_running() -> None:
    """Samples of a thread that sleeps count as waiting, and as many as would have come meanwhile; those of a busy one do not."""
    samples = choose()[0].samples(lambda file: file == __file__, 1e-3)
    for _ in range(3):
        with samples.run():
            wait()
            busy()
    found = {}
    for landing, number in samples.landings.items():
        if landing is not None:
            name = landing.code.co_name
            before = found.get(name, (0, 0))
            found[name] = (before[0] + number, before[1] + samples.waiting[landing])
    assert found["wait"][0] > 30
    assert found["wait"][1] > 0.8 * found["wait"][0]
    assert found["busy"][1] < 0.2 * found["busy"][0]


def wait() -> None:
    time.sleep(0.05)


def busy() -> None:
    for _ in range(100):
        sum(range(10_000))
