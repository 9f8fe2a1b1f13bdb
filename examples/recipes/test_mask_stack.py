"""Recipe: a stack of masks with a SIGINT handler that queues; ``__enter__`` unmasks as its last step, ``__exit__`` masks as its first.

This protects the acquisition and the release of the lock themselves.

Expected of ``test_naive``: the lock still held after an interrupt

- during the acquisition: ``__enter__`` delivers the queued signal as it unmasks, and ``with`` calls ``__exit__`` only if
  ``__enter__`` has returned;
- at the entry of ``__exit__``: CPython checks for signals before its first line, which would have masked them, again at the entry
  of the ``push`` that it calls, and in ``signal.signal``, which runs handlers before it swaps.

No code in ``__exit__`` can prevent that, as none of it has run. ``shield`` makes a queued signal *pending* again, in C and with no
checkpoint of ``__enter__`` after it, so that it is raised inside the block; and its ``__exit__`` is in C.
"""

import signal
import threading

import pytest

from pytest_maskcheck.masking import shield

LOCK = threading.Lock()


class Masks:
    """A stack of masks; while any is in force, SIGINT waits in a queue."""

    def __init__(self):
        self.outer = []
        self.queue = []

    def push(self):
        self.outer.append(signal.signal(signal.SIGINT, self.defer))

    def defer(self, *arrival):
        self.queue.append(arrival)

    def pop(self):
        signal.signal(signal.SIGINT, self.outer.pop())
        while self.queue and not self.outer:
            signal.getsignal(signal.SIGINT)(*self.queue.pop())


class Held:
    """Holds the lock; masks while it is acquired and while it is released."""

    def __init__(self):
        self.masks = Masks()

    def __enter__(self):
        self.masks.push()
        LOCK.acquire()
        self.masks.pop()

    def __exit__(self, *_):
        self.masks.push()
        LOCK.release()
        self.masks.pop()


@pytest.mark.interrupt_safe
def test_naive():
    with Held():
        assert LOCK.locked()


@pytest.mark.interrupt_safe
def test_shield():
    with shield(lambda: LOCK):
        assert LOCK.locked()
