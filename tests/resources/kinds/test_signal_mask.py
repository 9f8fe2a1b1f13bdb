"""The signal mask."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources.kinds.signal_mask import HAS_SIGMASK, SignalMask

if TYPE_CHECKING:
    from tests.resources.conftest import Watch

pytestmark = pytest.mark.skipif(not HAS_SIGMASK, reason="no pthread_sigmask")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    old = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, old)


def test_a_blocked_signal_is_altered_state(watch: Watch) -> None:
    """Each newly blocked signal is a leftover of its own."""
    compare = watch(SignalMask())
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    found = compare()
    assert [(leftover.key, leftover.altered) for leftover in found] == [("SIGINT", True), ("SIGTERM", True)]
    assert found[0].detail == "SIGINT is blocked now"
    assert compare() == found


def test_an_unblocked_signal_is_altered_state(watch: Watch) -> None:
    """A signal that is no longer blocked is altered state; repair blocks it again."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    kind = SignalMask()
    compare = watch(kind)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    (leftover,) = compare()
    assert leftover.detail == "SIGUSR1 is no longer blocked"
    assert kind.repair(leftover) is True
    assert compare() == []


def test_a_mask_put_back_is_no_difference(watch: Watch) -> None:
    """A restored mask is not reported."""
    compare = watch(SignalMask())
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    signal.pthread_sigmask(signal.SIG_SETMASK, old)
    assert compare() == []


def test_repair_takes_out_the_pending_signal(watch: Watch) -> None:
    """Repair discards an interrupt that the run left pending, so that it is not delivered within the audit."""
    kind = SignalMask()
    compare = watch(kind)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    signal.raise_signal(signal.SIGINT)
    (leftover,) = compare()
    assert kind.repair(leftover) is True
    assert compare() == []
    assert signal.SIGINT not in signal.sigpending()


def test_somebody_elses_signal_is_delivered(watch: Watch) -> None:
    """Repair delivers a pending signal that another process sent, such as the user's own Ctrl-C."""
    kind, arrived = SignalMask(), []
    old = signal.signal(signal.SIGUSR1, lambda number, _: arrived.append(number))
    try:
        compare = watch(kind)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        shell = os.posix_spawnp("sh", ["sh", "-c", f"kill -USR1 {os.getpid()}"], os.environ)
        os.waitpid(shell, 0)
        (leftover,) = compare()
        assert kind.repair(leftover) is True
        assert arrived == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, old)
