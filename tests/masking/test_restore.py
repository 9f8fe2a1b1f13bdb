"""``restore``: re-establish the state outside a mask within its body."""

from __future__ import annotations

import signal
import threading
from signal import SIGUSR1, SIGUSR2, raise_signal
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.masking import is_masked, mask, pending_signals
from tests.masking.conftest import ALL, Stop, checkpoint

if TYPE_CHECKING:
    from tests.masking.conftest import Handlers

BOTH = pytest.mark.parametrize("signals", [(SIGUSR1,), (SIGUSR1, SIGUSR2)], ids=["one signal", "two signals"])


@BOTH
def test_what_waited_comes_within(handlers: Handlers, signals: tuple[int, ...]):
    """A deferred signal is delivered at the first checkpoint within ``restore()``, and one that arrives there at once."""
    events: list[str] = []
    handlers.also = lambda: events.append("handler")
    with mask(*signals) as restore:
        raise_signal(SIGUSR1)
        guard = restore()
        events += ("before",)
        with guard:
            events += ("begun",)
            checkpoint()
            events += ("within",)
            raise_signal(SIGUSR1)
            assert handlers.calls == [SIGUSR1] * 2
        assert handlers.calls == [SIGUSR1] * 2
    assert events == ["before", "begun", "handler", "within", "handler"]


@BOTH
def test_a_handler_that_raises_does_so_where_the_body_can_catch_it(handlers: Handlers, signals: tuple[int, ...]):
    """The handler of a pending signal raises within the body of ``restore()``, where it can be caught; then signals are masked again."""
    handlers.raising = {SIGUSR1: Stop(1)}
    caught = []
    with mask(*signals) as restore:
        raise_signal(SIGUSR1)
        with restore():
            try:
                checkpoint()
            except Stop as error:
                caught.append(error)
        assert all(map(is_masked, signals))
        raise_signal(SIGUSR1)
        assert handlers.calls == [SIGUSR1]
        handlers.raising = {}
    assert caught
    assert handlers.calls == [SIGUSR1] * 2


@BOTH
def test_masked_again_even_if_the_body_raised(handlers: Handlers, signals: tuple[int, ...]):
    """Signals are masked again after a body of ``restore()`` that raised, and its error propagates."""
    handlers.raising = {SIGUSR1: Stop(1)}
    with mask(*signals) as restore:
        for error in (ValueError, Stop):
            with pytest.raises(error), restore():
                if error is Stop:
                    raise_signal(SIGUSR1)
                raise ValueError
            assert all(map(is_masked, signals))
    assert handlers.calls == [SIGUSR1]


def test_all_at_one_instant(handlers: Handlers):
    """Handlers of pending signals see all signals of the mask unmasked."""
    seen = []
    handlers.also = lambda: seen.append({is_masked(signum) for signum in ALL})
    with mask(*ALL) as restore:
        for signum in ALL:
            raise_signal(signum)
        with restore():
            pass
        assert sorted(handlers.calls) == sorted(ALL)
    assert seen == [{False}] * 5


def test_it_returns_to_the_enclosing_state(handlers: Handlers):
    """The inner ``restore()`` keeps the outer mask in force; the outer ``restore()`` lifts both masks."""
    with mask(SIGUSR1) as outer, mask(SIGUSR1, SIGUSR2) as inner:
        raise_signal(SIGUSR1)
        raise_signal(SIGUSR2)
        with inner():
            assert is_masked(SIGUSR1)
            assert not is_masked(SIGUSR2)
            assert handlers.calls == [SIGUSR2]
        assert is_masked(SIGUSR2)
        with outer():
            assert not is_masked(SIGUSR1)
            assert not is_masked(SIGUSR2)
            assert handlers.calls == [SIGUSR2, SIGUSR1]
            raise_signal(SIGUSR1)
            raise_signal(SIGUSR2)
            assert handlers.calls == [SIGUSR2, SIGUSR1] * 1 + [SIGUSR1, SIGUSR2]
        assert is_masked(SIGUSR1)
        assert is_masked(SIGUSR2)
    assert signal.getsignal(SIGUSR1) is signal.getsignal(SIGUSR2) is handlers


def test_a_nested_mask_that_holds_nothing_restores_nothing(handlers: Handlers):
    """``restore()`` of a nested mask that holds nothing more than the outer one leaves the signal masked."""
    with mask(SIGUSR1), mask(SIGUSR1) as inner:
        raise_signal(SIGUSR1)
        with inner():
            assert is_masked(SIGUSR1)
            assert pending_signals() == (SIGUSR1,)
        assert handlers.calls == []
    assert handlers.calls == [SIGUSR1]


def test_masks_within_restored_bodies(handlers: Handlers):
    """Masks and restored bodies can be nested in each other, and each level ends with the state it began with."""
    with mask(SIGUSR1) as first, first(), mask(SIGUSR1, SIGUSR2) as second:
        assert is_masked(SIGUSR1)
        raise_signal(SIGUSR1)
        with second(), mask(SIGUSR1) as third:
            assert handlers.calls == [SIGUSR1]
            assert is_masked(SIGUSR1)
            assert not is_masked(SIGUSR2)
            with third():
                assert not is_masked(SIGUSR1)
            assert is_masked(SIGUSR1)
            with first():
                assert not is_masked(SIGUSR1)
            assert is_masked(SIGUSR1)
        assert is_masked(SIGUSR1)
        assert is_masked(SIGUSR2)
    assert signal.getsignal(SIGUSR1) is handlers


def test_within_itself(handlers: Handlers):
    """``restore()`` within ``restore()`` has no further effect; a guard in force refuses to be entered again."""
    with mask(SIGUSR1, SIGUSR2) as restore:
        guard = restore()
        with guard:
            with restore():
                raise_signal(SIGUSR1)
                assert handlers.calls == [SIGUSR1]
            with pytest.raises(RuntimeError, match="in force already"), guard:
                pass
        assert is_masked(SIGUSR1)


def test_it_can_be_used_again(handlers: Handlers):
    """``restore()`` can be used several times in one mask; each use delivers what arrived since the last."""
    with mask(SIGUSR1, SIGUSR2) as restore:
        for count in range(1, 4):
            raise_signal(SIGUSR1)
            with restore():
                pass
            assert handlers.calls == [SIGUSR1] * count


def test_outside_its_mask():
    """``restore()`` of a mask that was left is an error, and changes nothing."""
    with mask(SIGUSR1) as restore:
        pass
    with pytest.raises(RuntimeError, match="not in force"), restore():
        pytest.fail("the body began")
    with mask(SIGUSR1), pytest.raises(RuntimeError, match="not in force"), restore():
        pytest.fail("the body began")


def test_a_mask_left_inside_its_own_restore(handlers: Handlers):
    """Leaving a mask inside its own ``restore()`` is an error, and nothing stays masked."""
    one = mask(SIGUSR1, SIGUSR2)
    one.start()
    with pytest.raises(RuntimeError, match=r"was left inside its own restore\(\)"), one.restore():
        one.stop()
    assert signal.getsignal(SIGUSR1) is signal.getsignal(SIGUSR2) is handlers


@BOTH
def test_a_handler_that_the_body_installs(handlers: Handlers, signals: tuple[int, ...]):
    """A handler installed within ``restore()`` is masked after it, and is in force after the mask."""
    calls = []

    def mine(signum: int, frame: object) -> None:
        calls.append(signum)

    with mask(*signals) as restore:
        with restore():
            assert signal.signal(SIGUSR1, mine) is handlers
        assert is_masked(SIGUSR1)
        raise_signal(SIGUSR1)
        assert calls == []
    assert signal.signal(SIGUSR1, handlers) is mine
    assert calls == [SIGUSR1]


@BOTH
def test_a_body_that_puts_back_what_was_saved_within_the_mask(handlers: Handlers, signals: tuple[int, ...]):
    """A handler saved within the mask and reinstalled within ``restore()`` is the one that was in force outside."""
    with mask(*signals) as restore:
        saved = signal.signal(SIGUSR1, lambda signum, frame: None)
        with restore():
            signal.signal(SIGUSR1, saved)
            raise_signal(SIGUSR1)
            assert handlers.calls == [SIGUSR1]
        assert is_masked(SIGUSR1)
    assert signal.getsignal(SIGUSR1) is handlers


@BOTH
def test_a_handler_saved_within_the_mask_and_put_back_there_later(handlers: Handlers, signals: tuple[int, ...]):
    """A handler saved within the mask and reinstalled after ``restore()`` is the one that was in force outside."""
    with mask(*signals) as restore:
        saved = signal.signal(SIGUSR1, lambda signum, frame: None)
        with restore():
            pass
        signal.signal(SIGUSR1, saved)
    assert signal.getsignal(SIGUSR1) is handlers


def test_ignored_outside(handlers: Handlers):
    """Within ``restore()`` a signal that is ignored outside is ignored."""
    signal.signal(SIGUSR1, signal.SIG_IGN)
    with mask(SIGUSR1, SIGUSR2) as restore:
        with restore():
            raise_signal(SIGUSR1)
            assert signal.getsignal(SIGUSR1) == signal.SIG_IGN
        assert is_masked(SIGUSR1)
    assert signal.getsignal(SIGUSR1) == signal.SIG_IGN
    assert handlers.calls == []


def test_force_after_counts_on(handlers: Handlers):
    """Arrivals within ``restore()`` do not count for ``force_after``, but those before and after it do."""
    with mask(SIGUSR1, force_after=3) as restore:
        raise_signal(SIGUSR1)
        with restore():
            checkpoint()
            raise_signal(SIGUSR1)
        assert handlers.calls == [SIGUSR1] * 2
        raise_signal(SIGUSR1)
        assert handlers.calls == [SIGUSR1] * 2
        raise_signal(SIGUSR1)
        assert handlers.calls == [SIGUSR1] * 3
    assert handlers.calls == [SIGUSR1] * 3


def test_in_another_thread_nothing_happens(handlers: Handlers):
    """``restore()`` of the main thread's mask, entered in another thread, leaves the mask as it is."""
    seen = []
    with mask(SIGUSR1) as restore:

        def run() -> None:
            with restore():
                seen.append(is_masked(SIGUSR1))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        assert is_masked(SIGUSR1)
    assert seen == [True]
