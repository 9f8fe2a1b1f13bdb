"""``mask`` in several threads, tasks and processes."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from signal import SIGUSR1, SIGUSR2, raise_signal
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck import masking
from pytest_maskcheck.masking import deliver_pending, is_masked, mask, pending_signals

if TYPE_CHECKING:
    from tests.masking.conftest import Handlers

from tests.masking.conftest import ALL, in_thread

# --- Threads, tasks, processes ---


def test_other_threads_do_nothing(handlers: Handlers):
    """A mask entered in another thread changes no handler and no counter, in any of its forms."""

    def body() -> None:
        with mask(*ALL) as restore:
            assert signal.getsignal(SIGUSR1) is handlers
            assert masking._stack == masking._nested == []
            with restore():
                assert signal.getsignal(SIGUSR1) is handlers
        other = mask(SIGUSR1)
        other.start()
        assert signal.getsignal(SIGUSR1) is handlers
        other.stop()
        deliver_pending()
        assert mask(SIGUSR1)(lambda: 5)() == 5

    assert in_thread(body) is None


def test_threads_do_not_disturb_the_main_thread(handlers: Handlers):
    """A mask of the main thread holds while other threads enter and leave masks of their own."""
    go_on = threading.Event()

    def others() -> None:
        while not go_on.is_set():
            with mask(SIGUSR1):
                pass

    threads = [threading.Thread(target=others) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(100):
            with mask(SIGUSR1):
                raise_signal(SIGUSR1)
                before = len(handlers.calls)
                assert pending_signals() == (SIGUSR1,)
            assert len(handlers.calls) == before + 1
    finally:
        go_on.set()
        for thread in threads:
            thread.join()


def test_one_object_in_two_threads(handlers: Handlers):
    """A mask that is in force in the main thread refuses to be entered in another thread, and can be left in the main thread."""
    same = mask(SIGUSR1)

    def enter() -> None:
        with same:
            pass

    with same:
        for enter_it in (enter, same.start):
            assert "is in force already" in str(in_thread(enter_it))
        assert is_masked(SIGUSR1)
    assert signal.getsignal(SIGUSR1) is handlers


def test_left_in_another_thread(handlers: Handlers):
    """Leaving a mask in another thread is an error and changes nothing; the main thread can still leave it."""
    one = mask(SIGUSR1)
    one.start()
    error = in_thread(one.stop)
    assert isinstance(error, RuntimeError)
    assert "entered in the main thread and is left in another one" in str(error)
    assert is_masked(SIGUSR1)
    raise_signal(SIGUSR1)
    one.stop()
    assert handlers.calls == [SIGUSR1]


def test_left_in_another_task(handlers: Handlers):
    """A mask left in another task raises an error, but is left, and pending signals are delivered."""
    one = mask(SIGUSR1)

    async def enter() -> None:
        one.start()
        raise_signal(SIGUSR1)

    async def leave() -> None:
        with pytest.raises(RuntimeError, match="left in another task than it was entered in"):
            one.stop()

    async def main() -> None:
        await asyncio.create_task(enter())
        await asyncio.create_task(leave())

    asyncio.run(main())
    assert handlers.calls == [SIGUSR1]


def test_tasks_that_overlap(handlers: Handlers):
    """Overlapping masks of two tasks, around awaits, raise an error, and nothing stays masked."""
    errors: list[BaseException | None] = []

    async def task(pauses: int) -> None:
        with mask(SIGUSR1):
            for _ in range(pauses):
                await asyncio.sleep(0)

    async def main() -> None:
        errors.extend(await asyncio.gather(task(1), task(2), return_exceptions=True))

    asyncio.run(main())
    assert [type(error) for error in errors] == [RuntimeError, type(None)]
    assert not is_masked(SIGUSR1)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_does_not_get_what_the_parent_deferred(handlers: Handlers):
    """A child forked within a mask does not deliver what the parent deferred; its own signals are deferred and delivered."""
    with mask(SIGUSR1, SIGUSR2):
        raise_signal(SIGUSR1)
        child = os.fork()
        if not child:
            raise_signal(SIGUSR2)
            good = handlers.calls == [] and pending_signals() == (SIGUSR2,)
    if not child:
        os._exit(0 if good and handlers.calls == [SIGUSR2] else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert handlers.calls == [SIGUSR1]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_the_only_thread_of_a_child_is_its_main_one(handlers: Handlers):
    """A child forked from another thread can use masks, since that thread becomes its main thread."""
    status: list[int] = []

    def fork() -> None:
        child = os.fork()
        if not child:
            with mask(SIGUSR1):
                raise_signal(SIGUSR1)
                good = handlers.calls == []
            # Since 3.13 CPython notifies the parent's main thread; here only C functions that check for signals see the signal.
            signal.pthread_sigmask(signal.SIG_BLOCK, ())
            os._exit(0 if good and handlers.calls == [SIGUSR1] else 1)
        status.append(os.waitpid(child, 0)[1])

    assert in_thread(fork) is None
    assert status == [0]
