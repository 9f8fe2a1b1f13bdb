"""``sigmask``: signals are blocked in the kernel, for one thread."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager
from signal import SIGINT, SIGTERM, SIGUSR1, SIGUSR2, raise_signal
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck import masking
from pytest_maskcheck.masking import bracket, is_masked, mask, shield, sigmask
from tests.masking.conftest import Stop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.masking.conftest import Handlers


def blocked() -> set[int]:
    """Return the signals that this thread blocks."""
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


RESIDENT = {*os.listdir("/proc/self/task")} if os.path.isdir("/proc/self/task") else set()
"""The threads that were there when the tests were collected, such as those of a worker of xdist."""


def settle() -> None:
    """Wait until joined threads are gone: up to CPython 3.12 the kernel may still have them for a moment."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        known = RESIDENT | {str(thread.native_id) for thread in threading.enumerate()}
        if known.issuperset(os.listdir("/proc/self/task")):
            break


@pytest.fixture(autouse=True)
def settled() -> None:
    """Wait until threads of earlier tests are gone."""
    settle()


@contextmanager
def idle_thread(*signals: int) -> Iterator[threading.Thread]:
    """Run a thread named *the idle one* that does nothing but block ``signals``."""
    ready, end = threading.Event(), threading.Event()

    def idle() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        ready.set()
        end.wait()

    thread = threading.Thread(target=idle, name="the idle one")
    thread.start()
    ready.wait()
    try:
        yield thread
    finally:
        end.set()
        thread.join()
        settle()


def test_what_it_blocks(handlers: Handlers):
    """Within the body the kernel holds the signals; they are delivered as it is left."""
    before = blocked()
    with sigmask(SIGUSR1, SIGUSR2):
        assert blocked() == before | {SIGUSR1, SIGUSR2}
        raise_signal(SIGUSR1)
        assert handlers.calls == []
        assert SIGUSR1 in signal.sigpending()
        assert not is_masked(SIGUSR1)
    assert blocked() == before
    assert handlers.calls == [SIGUSR1]


def test_ctrl_c_is_the_default():
    """``sigmask()`` blocks SIGINT, and KeyboardInterrupt is raised as it is left."""
    with pytest.raises(KeyboardInterrupt), sigmask():
        assert SIGINT in blocked()
        raise_signal(SIGINT)


def test_what_was_blocked_before_stays_blocked(handlers: Handlers):
    """Leaving restores the former mask: a signal that was blocked before stays blocked."""
    with sigmask(SIGUSR1):
        with sigmask(SIGUSR1, SIGUSR2):
            raise_signal(SIGUSR1)
            raise_signal(SIGUSR2)
        assert SIGUSR1 in blocked()
        assert SIGUSR2 not in blocked()
        assert handlers.calls == [SIGUSR2]
    assert handlers.calls == [SIGUSR2, SIGUSR1]


def test_restored_exactly_although_a_handler_raises_as_it_is_left(handlers: Handlers):
    """The former mask is restored although handlers raise in ``pthread_sigmask``; the body's error is their context."""
    handlers.raising = {SIGUSR1: Stop(1), SIGUSR2: Stop(2)}
    before = blocked()
    body = ValueError("of the body")
    with pytest.raises(Stop) as caught, sigmask(SIGUSR1, SIGUSR2):
        raise_signal(SIGUSR1)
        raise_signal(SIGUSR2)
        raise body
    assert blocked() == before
    assert sorted(handlers.calls) == [SIGUSR1, SIGUSR2]
    contexts = [caught.value, caught.value.__context__, caught.value.__context__.__context__]  # type: ignore[union-attr]
    assert contexts[2] is body


@pytest.mark.parametrize("count", [1, 2])
def test_restored_exactly_although_a_handler_raises_as_it_is_entered(
    handlers: Handlers, count: int, monkeypatch: pytest.MonkeyPatch
):
    """If another signal's handler raises on entry, the former mask is restored, and the body does not begin."""
    handlers.raising = {SIGTERM: Stop(1)}
    before = blocked()
    left = [count]
    real = signal.pthread_sigmask

    def late(how: int, signals: set[int]) -> set[int]:
        answer = real(how, signals)
        if left[0] and (how, signals) != (signal.SIG_BLOCK, ()):
            left[0] -= 1
            raise_signal(SIGTERM)
        return answer

    class Late:
        """Stands in for the C module; another signal arrives during calls that change the mask."""

        pthread_sigmask = staticmethod(late)

    with monkeypatch.context() as patched:
        patched.setattr(masking, "_signal", Late)
        one = sigmask(SIGUSR1)
        with pytest.raises(Stop), one:
            pytest.fail("the body began")
    assert blocked() == before
    assert handlers.calls == [SIGTERM] * count
    with one:
        assert SIGUSR1 in blocked()


def test_an_idle_thread_makes_it_void(handlers: Handlers):
    """Entering is refused, and changes nothing, if another thread does not block the signal; the error names it and a remedy."""
    before = blocked()
    with idle_thread(SIGUSR2):
        with pytest.raises(
            RuntimeError, match=r"sigmask\(SIGUSR1, SIGUSR2\) holds nothing back: .*the idle one.*use mask"
        ):
            sigmask(SIGUSR1, SIGUSR2).__enter__()
        assert blocked() == before


def test_an_idle_thread_that_blocks_the_signals_too(handlers: Handlers):
    """Signals are held if all other threads block them too."""
    with idle_thread(SIGUSR1, SIGUSR2):
        with sigmask(SIGUSR1):
            os.kill(os.getpid(), SIGUSR1)
            assert handlers.calls == []
        assert handlers.calls == [SIGUSR1]


def test_a_thread_of_c_code(monkeypatch: pytest.MonkeyPatch):
    """A thread that was not started from Python is named by its number."""
    with idle_thread() as thread, monkeypatch.context() as patched:
        patched.setattr(threading, "enumerate", list)
        with pytest.raises(RuntimeError, match=f"thread {thread.native_id} of C code"):
            sigmask(SIGUSR1).__enter__()


def test_warn_and_allow(handlers: Handlers):
    """``other_threads="warn"`` warns at the line that enters and ``"allow"`` does not; both block."""
    with idle_thread():
        with pytest.warns(RuntimeWarning, match="the idle one") as warned, sigmask(SIGUSR1, other_threads="warn"):
            assert SIGUSR1 in blocked()
        assert warned[0].filename == __file__
        with sigmask(SIGUSR1, other_threads="allow"):
            assert SIGUSR1 in blocked()
    assert SIGUSR1 not in blocked()
    with sigmask(SIGUSR1, other_threads="warn"):
        pass


def test_a_warning_that_is_an_error(handlers: Handlers):
    """If the warning is an error, nothing is blocked."""
    with idle_thread(), pytest.raises(RuntimeWarning), sigmask(SIGUSR1, other_threads="warn"):
        pytest.fail("the body began")
    assert SIGUSR1 not in blocked()


def test_in_another_thread(handlers: Handlers):
    """In another thread, ``sigmask`` blocks the signals of that thread only."""
    seen = []

    def run() -> None:
        with sigmask(SIGUSR1, other_threads="allow"):
            seen.append(SIGUSR1 in blocked())
        seen.append(SIGUSR1 in blocked())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [True, False]


def test_left_in_another_thread():
    """Leaving in another thread is refused and changes neither thread; the entering thread can still leave."""
    one = sigmask(SIGUSR1)
    one.__enter__()
    errors = []

    def leave() -> None:
        before = blocked()
        try:
            one.__exit__(None, None, None)
        except RuntimeError as error:
            errors.append(error)
        assert blocked() == before

    thread = threading.Thread(target=leave)
    thread.start()
    thread.join()
    assert "is left in another thread than it was entered in" in str(errors[0])
    assert SIGUSR1 in blocked()
    one.__exit__(None, None, None)
    assert SIGUSR1 not in blocked()


def test_one_object_twice(handlers: Handlers):
    """A ``sigmask`` in force refuses to be entered again; once left, it can be used again."""
    one = sigmask(SIGUSR1)
    for _ in range(2):
        with one:
            with pytest.raises(RuntimeError, match="in force already"), one:
                pytest.fail("the body began")
            assert SIGUSR1 in blocked()
        assert SIGUSR1 not in blocked()
    with pytest.raises(RuntimeError, match="not in force"):
        one.__exit__(None, None, None)


def test_what_is_refused():
    """Signals that cannot be blocked, objects that are no signal, and unknown values of ``other_threads`` are refused."""
    with pytest.raises(ValueError, match="cannot be held back"):
        sigmask(signal.SIGKILL)
    with pytest.raises(TypeError, match="masks take signal numbers"):
        sigmask("SIGINT")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'refuse', 'warn' or 'allow'"):
        sigmask(SIGINT, other_threads="ask")  # type: ignore[arg-type]


def test_where_the_platform_has_none(monkeypatch: pytest.MonkeyPatch):
    """Without ``pthread_sigmask`` (on Windows), ``sigmask`` raises NotImplementedError and names ``mask`` as the alternative."""
    with monkeypatch.context() as patched:
        patched.setattr(masking, "_signal", object())
        with pytest.raises(NotImplementedError, match="use mask"):
            sigmask(SIGINT)


def test_beside_the_other_masks(handlers: Handlers):
    """``sigmask`` and the other masks can be nested in each other in any order, and each restores its own state."""
    with mask(SIGUSR1), sigmask(SIGUSR1), shield(lambda: sigmask(SIGUSR2)):
        raise_signal(SIGUSR1)
        raise_signal(SIGUSR2)
        assert {SIGUSR1, SIGUSR2} <= blocked()
    assert sorted(handlers.calls) == [SIGUSR1, SIGUSR2]
    handlers.calls.clear()
    with sigmask(SIGUSR1), bracket(lambda: raise_signal(SIGUSR1), id), mask(SIGUSR1):
        assert handlers.calls == []
    assert handlers.calls == [SIGUSR1]
