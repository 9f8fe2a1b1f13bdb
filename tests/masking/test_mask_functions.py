"""What is around ``mask``: its arguments, ``start`` and ``stop``, the decorator, and the functions that ask for pending signals."""

from __future__ import annotations

import signal
import sys
import weakref
from signal import SIGINT, SIGRTMIN, SIGTERM, SIGUSR1, SIGUSR2, raise_signal
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck import masking
from pytest_maskcheck.masking import deliver_pending, is_masked, mask, pending_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from tests.masking.conftest import Handlers, Program

from tests.masking.conftest import ALL, Stop, chain, in_thread

# --- force_after ---


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_force_after_lets_the_nth_arrival_through(handlers: Handlers, limit: int):
    """With ``force_after=n``, the n-th arrival and each later one is delivered at once, and not again at the end."""
    with mask(SIGUSR1, SIGUSR2, force_after=limit):
        for _ in range(limit - 1):
            raise_signal(SIGUSR1)
            raise_signal(SIGUSR2)
        assert handlers.calls == []
        raise_signal(SIGUSR1)
        assert handlers.calls == [SIGUSR1]
        raise_signal(SIGUSR1)
        assert handlers.calls == [SIGUSR1, SIGUSR1]
    assert handlers.calls == [SIGUSR1, SIGUSR1] + [SIGUSR2] * (limit > 1)


def test_force_after_raises_within_the_body():
    """With ``force_after=2``, the second Ctrl-C ends a body that never returns, with a single KeyboardInterrupt."""
    rounds = 0
    with pytest.raises(KeyboardInterrupt) as caught, mask(SIGINT, force_after=2):
        while True:
            rounds += 1
            raise_signal(SIGINT)
    assert rounds == 2
    assert caught.value.__context__ is None


def test_the_count_is_that_of_the_outermost_mask(handlers: Handlers):
    """An inner ``force_after`` does not weaken an outer mask that has none."""
    with mask(SIGUSR1):
        with mask(SIGUSR1, force_after=1):
            raise_signal(SIGUSR1)
        assert handlers.calls == []
    assert handlers.calls == [SIGUSR1]


@pytest.mark.parametrize("limit", [0, -1])
def test_force_after_below_one_is_refused(limit: int):
    """A ``force_after`` below 1 is refused."""
    with pytest.raises(ValueError, match="it must be 1 or more"):
        mask(SIGINT, force_after=limit)


# --- start(), stop(), decorator ---


def test_start_and_stop(handlers: Handlers):
    """A signal waits between ``start()`` and ``stop()``, also if another mask is inside or around."""
    one = mask(SIGUSR1)
    with mask(SIGUSR2):
        one.start()
        raise_signal(SIGUSR1)
        with mask(SIGUSR1):
            pass
        assert handlers.calls == []
        one.stop()
        assert handlers.calls == [SIGUSR1]


def test_unbalanced(handlers: Handlers):
    """``stop()`` without ``start()``, a second ``stop()`` and a second ``__exit__()`` are errors, within another mask or not."""
    one = mask(SIGUSR1)
    with pytest.raises(RuntimeError, match="not in force"):
        one.stop()
    for around in ((SIGUSR2,), (SIGUSR2, SIGUSR1)):
        with mask(*around):
            one.start()
            one.stop()
            with pytest.raises(RuntimeError, match="not in force"):
                one.stop()
    with one:
        pass
    with pytest.raises(RuntimeError, match="not in force"):
        one.__exit__(None, None, None)
    assert signal.getsignal(SIGUSR1) is handlers


def test_stop_raises_what_a_handler_raises(handlers: Handlers):
    """If a handler raises from ``stop()`` in a ``finally`` clause, the error of the body is its context."""
    handlers.raising = {SIGUSR1: Stop(1)}
    body = ValueError("of the body")
    one = mask(SIGUSR1)
    with pytest.raises(Stop) as caught:
        one.start()
        try:
            raise_signal(SIGUSR1)
            raise body
        finally:
            one.stop()
    assert chain(caught.value) == [handlers.raising[SIGUSR1], body]


def test_a_decorated_function_is_masked(handlers: Handlers):
    """Each call of a decorated function is masked, also a recursive one; its name, arguments and result are kept."""

    @mask(SIGUSR1, SIGUSR2)
    def function(number: int, *, again: bool = True) -> int:
        """A docstring."""
        raise_signal(SIGUSR1)
        assert SIGUSR1 not in handlers.calls
        return function(number + 1, again=False) if again else number

    assert (function.__name__, function.__doc__) == ("function", "A docstring.")
    assert function(5) == 6
    assert handlers.calls == [SIGUSR1]
    handlers.calls.clear()
    assert function(5, again=False) == 5
    assert handlers.calls == [SIGUSR1]


def test_a_decorated_function_takes_force_after(handlers: Handlers):
    """``force_after`` of a decorator counts anew in each call."""

    @mask(SIGUSR1, force_after=2)
    def function() -> int:
        raise_signal(SIGUSR1)
        seen = len(handlers.calls)
        raise_signal(SIGUSR1)
        return len(handlers.calls) - seen

    assert [function(), function()] == [1, 1]
    assert handlers.calls == [SIGUSR1] * 2


def test_what_runs_piecemeal_cannot_be_decorated():
    """Generator functions, coroutine functions and both at once are refused when decorated."""

    def generator() -> Iterator[None]:
        yield

    async def coroutine() -> None:
        pass

    async def both() -> Generator[None, None, None]:  # type: ignore[misc]
        yield

    for function in (generator, coroutine, both):
        with pytest.raises(TypeError, match="runs piecemeal"):
            mask(SIGINT)(function)


def test_methods_can_be_decorated(handlers: Handlers):
    """A decorated method is bound to its instance and is masked."""

    class Thing:
        @mask(SIGUSR1)
        def method(self) -> tuple[object, bool]:
            return self, is_masked(SIGUSR1)

    thing = Thing()
    assert thing.method() == (thing, True)


def test_a_mask_that_was_never_left(program: Program):
    """A mask that is entered and forgotten stays in force, and the interpreter ends without an error message."""
    result = program("""
        import gc
        from pytest_maskcheck.masking import *
        from signal import *
        mask(SIGINT).__enter__()
        mask(SIGTERM).start()
        gc.collect()
        raise_signal(SIGINT)
        raise_signal(SIGTERM)
        print(pending_signals())
    """)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"({int(SIGINT)}, {int(SIGTERM)})\n", "")


def test_masks_are_collected():
    """A mask that was left, or never entered, is freed by reference counting."""
    used, unused = mask(SIGUSR1), mask(SIGUSR1)
    with used:
        pass
    kept = [weakref.ref(used), weakref.ref(unused)]
    del used, unused
    assert [reference() for reference in kept] == [None, None]


# --- Queries ---


def test_is_masked(handlers: Handlers):
    """``is_masked()`` reflects masks, nesting and restoring, for each signal by itself; its default is SIGINT."""
    assert not is_masked()
    with mask(SIGUSR1) as restore:
        assert is_masked(SIGUSR1)
        assert not is_masked(SIGUSR2)
        assert not is_masked()
        with mask(SIGINT, SIGUSR1):
            assert is_masked()
        with restore():
            assert not is_masked(SIGUSR1)
        signal.signal(SIGUSR1, handlers)
        assert not is_masked(SIGUSR1)
    assert not is_masked(SIGUSR1)


def test_pending_signals(handlers: Handlers):
    """``pending_signals()`` returns the deferred signals of all masks, each once, in order of arrival."""
    with mask(SIGUSR1, SIGUSR2):
        assert pending_signals() == ()
        raise_signal(SIGUSR2)
        with mask(SIGRTMIN):
            for signum in (SIGRTMIN, SIGUSR1, SIGUSR2):
                raise_signal(signum)
            assert pending_signals() == (SIGUSR2, SIGRTMIN, SIGUSR1)
        assert pending_signals() == (SIGUSR2, SIGUSR1)
    assert pending_signals() == ()


def test_deliver_pending(handlers: Handlers):
    """``deliver_pending()`` calls the handlers in order of arrival; masks stay in force, and nothing is delivered again."""
    deliver_pending()
    with mask(*ALL):
        deliver_pending()
        for signum in ALL[::-1]:
            raise_signal(signum)
        deliver_pending()
        assert handlers.calls == [*ALL[::-1]]
        assert pending_signals() == ()
        assert all(map(is_masked, ALL))
        raise_signal(SIGUSR1)
        assert handlers.calls == [*ALL[::-1]]
    assert handlers.calls == [*ALL[::-1], SIGUSR1]


def test_deliver_pending_calls_all_even_if_they_raise(handlers: Handlers):
    """``deliver_pending()`` calls all handlers, then raises their exceptions as a chain; masks stay in force."""
    handlers.raising = {signum: Stop(int(signum)) for signum in (SIGUSR1, SIGTERM)}
    with mask(*ALL):
        for signum in (SIGUSR1, SIGUSR2, SIGTERM, SIGINT):
            raise_signal(signum)
        with pytest.raises(Stop) as caught:
            deliver_pending()
        assert handlers.calls == [SIGUSR1, SIGUSR2, SIGTERM, SIGINT]
        assert chain(caught.value) == [handlers.raising[SIGTERM], handlers.raising[SIGUSR1]]
        assert all(map(is_masked, ALL))
    assert len(handlers.calls) == 4


def test_deliver_pending_through_several_masks(handlers: Handlers):
    """``deliver_pending()`` calls the handler outside all masks once, with the frame where the signal arrived."""
    frames = []
    before = signal.signal(SIGUSR1, lambda signum, frame: frames.append(frame))
    with mask(SIGUSR1), mask(SIGUSR1, SIGUSR2), mask(SIGUSR2):
        raise_signal(SIGUSR1)
        deliver_pending()
        assert frames == [sys._getframe()]
    signal.signal(SIGUSR1, before)
    assert len(frames) == 1


def test_deliver_pending_in_another_thread_does_nothing(handlers: Handlers):
    """``deliver_pending()`` does nothing in another thread, since handlers run in the main thread."""
    with mask(SIGUSR1):
        raise_signal(SIGUSR1)
        assert in_thread(deliver_pending) is None
        assert handlers.calls == []
        assert pending_signals() == (SIGUSR1,)
    assert handlers.calls == [SIGUSR1]


def test_handlers_that_arrive_while_pending_ones_are_delivered(handlers: Handlers):
    """A signal that arrives while pending ones are delivered is deferred until the end of the mask."""
    handlers.also = lambda: raise_signal(SIGUSR2) if handlers.calls == [SIGUSR1] else None
    with mask(*ALL):
        raise_signal(SIGUSR1)
        deliver_pending()
        assert handlers.calls == [SIGUSR1]
        assert pending_signals() == (SIGUSR2,)
    assert handlers.calls == [SIGUSR1, SIGUSR2]


@pytest.mark.parametrize("function", [masking._deliver, masking._deliver_outside])
def test_arrivals_while_the_queue_is_looked_at(handlers: Handlers, function: Callable[[object], None]):
    """A signal that is deferred while the queue is being read does not disturb the reading, and stays pending."""

    class Signals:
        """An empty set of signals; as its membership is tested, another signal arrives."""

        def __contains__(self, signum: object) -> bool:
            raise_signal(SIGUSR2)
            return False

    with mask(*ALL):
        raise_signal(SIGUSR1)
        function(Signals())
        assert pending_signals() == (SIGUSR1, SIGUSR2)
        assert handlers.calls == []
    assert handlers.calls == [SIGUSR1, SIGUSR2]
