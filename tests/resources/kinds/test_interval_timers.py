"""Interval timers."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources.kinds.interval_timers import HAS_TIMERS, IntervalTimers
from pytest_maskcheck.resources.stopped_timers import standing

if TYPE_CHECKING:
    from tests.conftest import AuditSource
    from tests.resources.conftest import Watch

pytestmark = pytest.mark.skipif(not HAS_TIMERS, reason="no setitimer")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    old = signal.getitimer(signal.ITIMER_REAL)
    signal.setitimer(signal.ITIMER_REAL, 0)
    yield
    signal.setitimer(signal.ITIMER_REAL, *old)


def test_an_armed_timer_is_altered_state(watch: Watch) -> None:
    """A timer armed by ``alarm`` or ``setitimer`` is altered state; repair disarms it."""
    kind = IntervalTimers()
    compare = watch(kind)
    signal.alarm(1000)
    (leftover,) = compare()
    assert (leftover.kind, leftover.key, leftover.altered) == ("itimer", "ITIMER_REAL", True)
    assert leftover.detail == "ITIMER_REAL is armed"
    assert compare() == [leftover]
    assert kind.repair(leftover) is True
    assert compare() == []
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_timer_that_runs_on_is_no_difference(watch: Watch) -> None:
    """A timer that keeps running is not reported, although its remaining time differs."""
    signal.setitimer(signal.ITIMER_REAL, 1000, 50)
    compare = watch(IntervalTimers())
    signal.setitimer(signal.ITIMER_REAL, 900, 50)
    assert compare() == []


def test_a_disarmed_timer_is_armed_again(watch: Watch) -> None:
    """A timer that was disarmed, or whose interval changed, is altered state; repair arms it as before."""
    kind = IntervalTimers()
    signal.setitimer(signal.ITIMER_REAL, 1000, 50)
    compare = watch(kind)
    signal.setitimer(signal.ITIMER_REAL, 1000, 7)
    assert [leftover.detail for leftover in compare()] == ["ITIMER_REAL repeats every 7 s (before: 50 s)"]
    signal.setitimer(signal.ITIMER_REAL, 0)
    (leftover,) = compare()
    assert leftover.detail == "ITIMER_REAL was armed before and no longer is"
    assert kind.repair(leftover) is True
    assert compare() == []
    assert signal.getitimer(signal.ITIMER_REAL)[0] == pytest.approx(1000, abs=60)


def test_a_timer_stands_still_while_the_audit_looks() -> None:
    """A timer is stopped while the audit works, and is armed again with its interval and the time it had left."""
    signal.setitimer(signal.ITIMER_REAL, 0.005, 50)
    with standing:
        time.sleep(0.01)
        left, interval = signal.getitimer(signal.ITIMER_REAL)
        assert left > 1000
        assert interval == pytest.approx(50)
    left, interval = signal.getitimer(signal.ITIMER_REAL)
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert 0 < left <= 0.005
    assert interval == pytest.approx(50)


def test_what_is_done_to_a_timer_meanwhile_holds() -> None:
    """A stopped timer that a finalizer disarms or sets meanwhile is not reset to its former state."""
    for now in (0.0, 1000.0):
        signal.setitimer(signal.ITIMER_REAL, 500)
        with standing:
            signal.setitimer(signal.ITIMER_REAL, now)
        assert signal.getitimer(signal.ITIMER_REAL)[0] == pytest.approx(now, abs=60)


def test_a_timer_that_was_left_does_not_go_off_before_it_is_disarmed() -> None:
    """A timer with little time left that a run has left gets more, so that there is time to disarm it; other timers get none."""
    for names, least in ((["ITIMER_REAL"], 0.5), (["ITIMER_PROF"], 0.0)):
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with standing:
            standing.postpone(names)
        left, _ = signal.getitimer(signal.ITIMER_REAL)
        assert least < left <= least + 0.5
        with standing:
            standing.disarm(names)
        assert (signal.getitimer(signal.ITIMER_REAL)[0] == 0) is bool(least)
        signal.setitimer(signal.ITIMER_REAL, 0)
    signal.setitimer(signal.ITIMER_REAL, 500)
    with standing:
        standing.postpone(["ITIMER_REAL"])
    assert signal.getitimer(signal.ITIMER_REAL)[0] == pytest.approx(500, abs=60)


LATE = """
import contextlib, pytest, signal, time

class LateError(Exception):
    pass

def late(*_):
    raise LateError

@pytest.fixture(autouse=True)
def handler():
    before = signal.signal(signal.SIGALRM, late)
    yield
    signal.signal(signal.SIGALRM, before)

@pytest.mark.interrupt_safe
def test_lost():
    with contextlib.suppress(LateError):
        signal.setitimer(signal.ITIMER_REAL, 0.03)
        time.sleep(10)

@pytest.mark.interrupt_safe
def test_undone():
    try:
        with contextlib.suppress(LateError):
            signal.setitimer(signal.ITIMER_REAL, 0.03)
            time.sleep(10)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
"""


def test_an_alarm_that_is_about_to_come(audit: AuditSource) -> None:
    """An alarm left armed is reported, and its handler raises nothing within the audit; a disarmed one is not reported."""
    audits = audit(LATE)
    lost, undone = audits.audits
    audits.result.stdout.no_fnmatch_line("*maskcheck itself failed*")
    assert [(defect.verdict, defect.kind) for defect in lost.defects if defect.fails] == [("altered", "itimer")]
    assert not any(defect.fails for defect in undone.defects)
