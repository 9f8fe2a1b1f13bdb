"""Interval timers."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources.timers import HAS_TIMERS, IntervalTimers

if TYPE_CHECKING:
    from tests.resources.conftest import Watch

pytestmark = pytest.mark.skipif(not HAS_TIMERS, reason="no setitimer")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    old = signal.getitimer(signal.ITIMER_REAL)
    signal.setitimer(signal.ITIMER_REAL, 0)
    yield
    signal.setitimer(signal.ITIMER_REAL, *old)


def test_an_armed_timer_is_altered_state(watch: Watch) -> None:
    """Whether armed by ``alarm`` or by ``setitimer``; repair disarms it."""
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
    """The time left may differ."""
    signal.setitimer(signal.ITIMER_REAL, 1000, 50)
    compare = watch(IntervalTimers())
    signal.setitimer(signal.ITIMER_REAL, 900, 50)
    assert compare() == []


def test_a_disarmed_timer_is_armed_again(watch: Watch) -> None:
    """A timer that was armed before and is not now, or repeats at another pace, is put back."""
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
