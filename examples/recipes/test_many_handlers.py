"""Recipe: defer several signals by swapping their handlers one by one, with ``signal.signal``.

Expected: an altered handler of SIGTERM, in either order.

- SIGINT last: at the jump to the next turn of the loop in ``__enter__``, SIGTERM has its new handler and SIGINT still raises. The
  ``with`` statement does not call ``__exit__`` yet.
- SIGINT first: at the same place in ``__exit__``, SIGINT raises again while SIGTERM still has the new handler.

If ``__exit__`` restored in reverse order, SIGINT could do no harm; but any other signal whose handler raises could.
``mask`` defers all its signals at one instant, and delivers them at one.
"""

import signal

import pytest

from pytest_maskcheck.masking import mask


class Deferred:
    """Defers signals, and raises ``KeyboardInterrupt`` at the end if any arrived."""

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
