"""``shield`` and ``bracket`` with handlers that the body installs, in several threads, and with handlers that break in."""

from __future__ import annotations

import io
import signal
import threading
from contextlib import suppress
from signal import SIGINT, SIGUSR1, raise_signal
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck import masking
from pytest_maskcheck.masking import is_masked, mask, pending_signals, shield

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from tests.masking.conftest import Handlers

from tests.masking.conftest import ALL, WHOLE, Manager, Stop, checkpoint

# --- Handlers of the body ---


def test_a_handler_that_the_body_installs_is_held_during_release_and_stays(handlers: Handlers, guard: Any):
    """A handler that the body installs is masked during release, called after it, and stays in force."""
    calls: list[int] = []

    def mine(signum: int, frame: FrameType | None) -> None:
        calls.append(signum)

    def send() -> None:
        raise_signal(SIGUSR1)
        raise_signal(signal.SIGALRM)
        assert calls == []

    before = signal.getsignal(signal.SIGALRM)
    assert before == signal.SIG_DFL
    manager = Manager(leave=send)
    with guard(manager):
        signal.signal(SIGUSR1, mine)
        signal.signal(signal.SIGALRM, mine)
    assert signal.signal(SIGUSR1, handlers) is mine
    assert signal.signal(signal.SIGALRM, before) is mine
    assert calls == [SIGUSR1, signal.SIGALRM]
    assert handlers.calls == []
    assert manager.events == WHOLE


@pytest.mark.parametrize("signum", [SIGINT, SIGUSR1])
def test_a_manager_of_handlers(handlers: Handlers, guard: Any, signum: int):
    """A manager that installs a handler and later restores the one that it found works within a shield."""
    calls: list[int] = []
    saved: list[Any] = []

    def install() -> None:
        saved.append(signal.signal(signum, lambda signum, frame: calls.append(signum)))
        raise_signal(signum)

    def put_back() -> None:
        raise_signal(signum)
        signal.signal(signum, saved[-1])
        raise_signal(signum)

    for _ in range(2):
        with guard(Manager(enter=install, leave=put_back)):
            checkpoint()
            assert calls == [signum]
            assert handlers.calls == []
        assert signal.getsignal(signum) is handlers
        assert handlers.calls == [signum]
        calls.clear()
        handlers.calls.clear()


@pytest.mark.parametrize("signum", [SIGINT, SIGUSR1])
def test_a_manager_whose_handlers_change_in_the_body(handlers: Handlers, guard: Any, signum: int):
    """A handler that a manager found on entry or exit stands for the one that was in force outside at that time."""
    saved: list[Any] = []
    calls: list[str] = []

    def install() -> None:
        saved.append(signal.signal(signum, lambda signum, frame: calls.append("first")))

    def put_back() -> None:
        found = signal.signal(signum, saved[0])
        raise_signal(signum)
        saved.append(found)

    with guard(Manager(enter=install, leave=put_back)):
        saved.append(signal.signal(signum, lambda signum, frame: calls.append("second")))
    assert signal.getsignal(signum) is handlers
    assert (handlers.calls, calls) == ([signum], [])
    signal.signal(signum, saved[2])
    raise_signal(signum)
    assert calls == ["second"]
    with mask(signum):
        raise_signal(signum)
        assert calls == ["second"]
    assert calls == ["second"] * 2


def test_a_manager_that_chains_to_the_handler_it_found(handlers: Handlers, guard: Any):
    """A handler that calls the one it replaced, within a shield, reaches the outside handler once."""
    saved: list[Any] = []

    def chained(signum: int, frame: FrameType | None) -> None:
        saved[0](signum, frame)

    manager = Manager(
        enter=lambda: saved.append(signal.signal(SIGUSR1, chained)), leave=lambda: signal.signal(SIGUSR1, saved[0])
    )
    with guard(manager):
        raise_signal(SIGUSR1)
        assert handlers.calls == [SIGUSR1]
    assert signal.getsignal(SIGUSR1) is handlers


# --- Threads ---


def test_other_threads(handlers: Handlers, guard: Any):
    """In another thread a shield masks nothing: the manager is entered and left, and errors propagate."""
    seen: list[object] = []
    manager = Manager(enter=lambda: seen.append(is_masked(SIGUSR1)), leave=lambda: seen.append(is_masked(SIGUSR1)))

    def run() -> None:
        with suppress(ValueError), guard(manager):
            seen.append(signal.getsignal(SIGUSR1))
            raise ValueError

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [False, handlers, False]
    assert manager.events == WHOLE


def test_left_in_another_thread(handlers: Handlers, guard: Any):
    """A generator that is suspended in the body and closed in another thread leaves the manager there, without an error."""
    manager = Manager()

    def generator() -> Iterator[None]:
        with guard(manager):
            yield

    running = generator()
    next(running)
    errors = []

    def close() -> None:
        try:
            running.close()  # type: ignore[attr-defined]
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=close)
    thread.start()
    thread.join()
    assert errors == []
    assert manager.events == WHOLE


def test_threads_beside_the_main_thread(handlers: Handlers):
    """Shields of the main thread work while other threads keep entering and leaving shields."""
    end = threading.Event()

    def others() -> None:
        while not end.is_set():
            with shield(Manager):
                pass

    threads = [threading.Thread(target=others) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for count in range(1, 60):
            manager = Manager(leave=lambda: raise_signal(SIGUSR1))
            with shield(lambda: manager):  # noqa: B023
                assert len(handlers.calls) == count - 1
            assert len(handlers.calls) == count
            assert manager.events == WHOLE
    finally:
        end.set()
        for thread in threads:
            thread.join()


# --- Handlers that break in ---


@pytest.mark.parametrize("place", ["_shut", "_all_gates", "_hand_on", "_opening", "_shutting", "_deliver"])
@pytest.mark.parametrize("when", [1, 2, 3])
def test_a_handler_that_raises_at_a_step(
    handlers: Handlers, guard: Any, place: str, when: int, monkeypatch: pytest.MonkeyPatch
):
    """Whichever internal step a handler raises at, what was acquired is released, and nothing stays masked."""
    handlers.raising = {SIGUSR1: Stop(1)}
    step, calls = getattr(masking, place), []

    def disturbed(*args: object) -> object:
        calls.append(1)
        if len(calls) == when:
            raise_signal(SIGUSR1)
        return step(*args)

    manager = Manager()
    raised = None
    with monkeypatch.context() as patched:
        patched.setattr(masking, place, disturbed)
        try:
            with guard(manager):
                pass
        except Stop as error:
            raised = error
    assert manager.events in ([], WHOLE)
    assert handlers.calls == [SIGUSR1] * (len(calls) >= when)
    assert (raised is not None) == (len(calls) >= when)
    assert not any(map(is_masked, ALL))
    assert pending_signals() == ()


def test_a_full_stack(handlers: Handlers):
    """A ``RecursionError`` leaves nothing masked: a shield that cannot be left for lack of stack cannot be entered either."""
    before = signal.getsignal(SIGINT)

    def deeper() -> None:
        with shield(io.BytesIO), mask(SIGUSR1):
            deeper()

    with pytest.raises(RecursionError):
        deeper()
    assert signal.getsignal(SIGUSR1) is handlers
    assert signal.getsignal(SIGINT) is before
