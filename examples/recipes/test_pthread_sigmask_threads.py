"""Recipe: block SIGINT with ``pthread_sigmask`` throughout the critical section, in a program that has another thread.

Expected of ``test_another_thread``: the lock still held, and SIGINT still blocked. The mask belongs to one thread. The kernel delivers
SIGINT to a thread that does not block it, here an idle worker, and CPython then runs the handler in the main thread, amid the
"masked" section. The mask itself is left behind, too. Without the thread, in ``test_alone``, the same section passes.

``bracket`` works whichever thread the kernel chooses, and passes. ``sigmask`` refuses to start if another thread makes it ineffective.
"""

import signal
import threading
import time

import pytest

from pytest_maskcheck.masking import bracket, sigmask

LOCK = threading.Lock()


@pytest.fixture
def worker():
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    yield
    done.set()
    thread.join()


def critical():
    old = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    LOCK.acquire()
    time.sleep(0.05)  # the work that needs the lock; the worker has time to take the signal
    LOCK.release()
    signal.pthread_sigmask(signal.SIG_SETMASK, old)


@pytest.mark.interrupt_safe
def test_alone():
    critical()


@pytest.mark.interrupt_safe
@pytest.mark.usefixtures("worker")
def test_another_thread():
    critical()


@pytest.mark.interrupt_safe
@pytest.mark.usefixtures("worker")
def test_sigmask_refuses():
    with pytest.raises(RuntimeError, match="hands these signals to other threads"), sigmask(signal.SIGINT):
        pass


@pytest.mark.interrupt_safe
@pytest.mark.usefixtures("worker")
def test_bracket():
    with bracket(LOCK.acquire, lambda _: LOCK.release()):
        assert LOCK.locked()
