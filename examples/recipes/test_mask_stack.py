"""Recipe: a stack of masks whose SIGINT handler queues, unmasked as the last act of ``__enter__``, masked again first of all in ``__exit__``.

What holds: nothing comes in while the lock is taken, or while it is released.

Expected of ``test_naive``: the lock still held after an interrupt

- during the acquisition: what was queued is delivered by ``__enter__`` as it unmasks, and ``with`` owes an ``__exit__`` only after
  ``__enter__`` has returned;
- at the entry of ``__exit__``: CPython checks for signals before its first line, which would have masked them; again at the entry
  of the ``push`` that it calls; and in ``signal.signal``, which runs handlers before it swaps.

No code in ``__exit__`` can mend that, as none of it has run. ``shield`` hands a queued signal on as *pending*, by a step in C behind which
``__enter__`` has no checkpoint, so that it is raised inside the block; and its ``__exit__`` is C.
"""

import signal
import threading

import pytest

from pytest_maskcheck.masking import shield

LOCK = threading.Lock()


class Masks:
    """While one is in force, SIGINT waits in a queue."""

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
    """Holds the lock; masks while it is taken and while it is released."""

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
