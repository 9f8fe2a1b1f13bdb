"""Tests of the state that a recording keeps for each hit: the handler in force, and whether the signal is masked."""

from __future__ import annotations

import functools
import gc
import signal
import weakref

import pytest

from pytest_maskcheck.masking import mask, sigmask


def states(engine, task, signums=(signal.SIGINT,)):
    """Return the state at each hit of ``len`` in ``task``, in order."""
    scope = task.__code__.co_filename
    with engine.record(lambda file: file == scope, "checkpoint", signums) as recording:
        task()
    line = task.__code__.co_firstlineno
    return [hit.state for hit in recording.hits if hit.code is task.__code__ and hit.kind == "call" and hit.line > line]


def mine(signum, frame):
    """Do nothing."""


def test_nothing_is_noted_where_all_is_as_usual(engine):
    """With Python's own handler for SIGINT, and no mask, the state of a hit is empty."""

    def task():
        len("a")
        len("b")

    assert states(engine, task) == [(), ()]


def test_another_handler_is_noted(engine):
    """A handler other than Python's own is part of the state while it is in force."""

    def task():
        len("a")
        before = signal.signal(signal.SIGINT, mine)
        len("b")
        signal.signal(signal.SIGINT, before)
        len("c")

    assert states(engine, task) == [(), ((signal.SIGINT, mine.__code__),), ()]


def test_other_signals_are_none_of_its_business(engine):
    """Only handlers of the audited signals are part of the state."""

    def task():
        before = signal.signal(signal.SIGTERM, mine)
        len("b")
        signal.signal(signal.SIGTERM, before)

    assert states(engine, task) == [()]
    assert states(engine, task, (signal.SIGINT, signal.SIGTERM)) == [((signal.SIGTERM, mine.__code__),)]


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="no signal mask here")
@pytest.mark.parametrize("way", ["signal", "masking"])
def test_a_mask_of_the_kernel_is_noted(engine, way):
    """A signal mask is part of the state while it is set, whichever function sets it; afterwards the state is empty again."""

    def set_by_hand():
        len("a")
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        len("b")
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        len("c")

    def set_by_masking():
        len("a")
        with sigmask(signal.SIGINT):
            len("b")
        len("c")

    found = states(engine, set_by_hand if way == "signal" else set_by_masking)
    assert found[0] == found[-1] == ()
    assert (signal.SIGINT,) in found


def test_a_mask_is_the_same_state_each_time(engine):
    """Masks entered one after the other give the same state, because their handlers treat the signal alike."""

    def task():
        for _ in range(3):
            with mask(signal.SIGINT):
                len("b")

    masked = [state for state in states(engine, task) if state]
    assert len(masked) >= 3
    assert len(set(masked)) <= 2  # the mask may already be handing signals on when ``len`` returns


def test_a_handler_is_not_kept_alive(engine):
    """A recording does not keep a handler, or the object that it is bound to, alive after the run."""

    class Held:
        def handle(self, signum, frame):
            pass

    held = Held()
    alive = weakref.ref(held)
    handlers = [held.handle, functools.partial(held.handle, 1), len]
    before = signal.getsignal(signal.SIGINT)

    def task():
        for handler in handlers:
            signal.signal(signal.SIGINT, handler)
            len("b")
        signal.signal(signal.SIGINT, before)

    found = states(engine, task)
    handlers.clear()
    del held
    gc.collect()
    assert {state[0][1] for state in found if state} == {Held.handle.__code__, "len"}
    assert alive() is None
