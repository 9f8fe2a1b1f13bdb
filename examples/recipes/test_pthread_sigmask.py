"""Recipe: block SIGINT with ``pthread_sigmask`` while the resource is acquired.

Expected of ``test_unblocked_before_try``: the lock still held. While SIGINT is blocked it is not delivered, but ``SIG_SETMASK``
unblocks it and runs the handler before it returns. The lock is held by then, and ``try`` has not begun.

Expected of ``test_unblocked_inside_try``: a pass, as far as this file and one thread go (``test_pthread_sigmask_threads.py`` has two).
But ``SIG_BLOCK``, too, changes the mask first and then runs handlers. A signal that arrives just before it leaves SIGINT blocked
and the old mask lost. With ``include=["signal"]``, as for ``test_block_itself``, that instant is in scope.

``sigmask`` reads the old mask first and restores it in any case.
"""

import signal
import threading

import pytest

from pytest_maskcheck.masking import sigmask

LOCK = threading.Lock()


@pytest.mark.interrupt_safe
def test_unblocked_before_try():
    old = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    LOCK.acquire()
    signal.pthread_sigmask(signal.SIG_SETMASK, old)
    try:
        assert LOCK.locked()
    finally:
        LOCK.release()


@pytest.mark.interrupt_safe
def test_unblocked_inside_try():
    old = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    LOCK.acquire()
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
        assert LOCK.locked()
    finally:
        LOCK.release()


@pytest.mark.interrupt_safe(include=["signal"])
def test_block_itself():
    old = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        assert not LOCK.locked()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


@pytest.mark.interrupt_safe
def test_sigmask():
    with sigmask(signal.SIGINT), LOCK:
        assert LOCK.locked()
