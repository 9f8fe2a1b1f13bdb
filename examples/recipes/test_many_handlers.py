"""Recipe: hold several signals back by swapping their handlers one by one, with ``signal.signal``.

Expected: an altered handler of SIGTERM, whatever the order.

- SIGINT last: SIGTERM has its new handler, SIGINT still raises, at the jump to the next turn of the loop in ``__enter__``. The ``with``
  owes no ``__exit__`` yet.
- SIGINT first: it raises again while SIGTERM still has the new handler, at the same place in ``__exit__``.

The other way round on the way out, SIGINT alone could do no harm; but each of the others would, once its handler raises.
``mask`` holds all its signals back at one instant, and lets them go at one.
"""

import signal

import pytest

from pytest_maskcheck.masking import mask


class Deferred:
    """Holds signals back, and delivers SIGINT at the end."""

    def __init__(self, *signals):
        self.signals = signals
        self.arrived = []

    def __enter__(self):
        self.before = {}
        for signum in self.signals:
            self.before[signum] = signal.signal(signum, self.defer)

    def defer(self, *arrival):
        self.arrived.append(arrival)

    def __exit__(self, *_):
        for signum, handler in self.before.items():
            signal.signal(signum, handler)
        if self.arrived:
            raise KeyboardInterrupt


@pytest.mark.interrupt_safe
def test_sigint_last():
    with Deferred(signal.SIGTERM, signal.SIGINT):
        len("x")


@pytest.mark.interrupt_safe
def test_sigint_first():
    with Deferred(signal.SIGINT, signal.SIGTERM):
        len("x")


@pytest.mark.interrupt_safe
def test_mask():
    with mask(signal.SIGINT, signal.SIGTERM):
        len("x")
