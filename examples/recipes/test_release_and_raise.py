"""Recipe: ``try: … except BaseException: release(); raise``.

Expected of ``test_one_block``: a pass. One interrupt is caught wherever it arrives, once the lock is held; with two, it
depends on the release (``test_release_and_raise_twice.py``).

Expected of ``test_handed_over``: the lock still held. Between the end of ``try`` and the ``with`` that takes the lock over, no code
would release it: an interrupt can arrive as ``Owned`` is called or has returned, and at the entry of its ``__enter__``;
and, as with any manager in Python, at the entry of its ``__exit__``.
"""

import threading

import pytest

from pytest_maskcheck.masking import bracket

LOCK = threading.Lock()


class Owned:
    """Releases a lock that is held already."""

    def __enter__(self):
        return LOCK

    def __exit__(self, *_):
        LOCK.release()


@pytest.mark.interrupt_safe
def test_one_block():
    try:
        LOCK.acquire()
        assert LOCK.locked()
    except BaseException:
        LOCK.release()
        raise
    LOCK.release()


@pytest.mark.interrupt_safe
def test_handed_over():
    try:
        LOCK.acquire()
        assert LOCK.locked()
    except BaseException:
        LOCK.release()
        raise
    with Owned() as lock:
        assert lock.locked()


@pytest.mark.interrupt_safe
def test_bracket():
    with bracket(LOCK.acquire, lambda _: LOCK.release()):
        assert LOCK.locked()
