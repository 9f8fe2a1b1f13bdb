"""Recipe: ``try: … except BaseException: release(); raise``, under two interrupts.

Expected of ``test_one_block``: the lock still held. The first interrupt leads to the ``except`` clause, and the second one comes
before ``release`` has done its work. People who press Ctrl-C twice do this. ``bracket`` releases masked: what arrives meanwhile waits.
"""

import threading

import pytest

from pytest_maskcheck.masking import bracket

LOCK = threading.Lock()


def release():
    LOCK.release()


@pytest.mark.interrupt_safe(interrupts=2)
def test_one_block():
    try:
        LOCK.acquire()
        assert LOCK.locked()
    except BaseException:
        release()
        raise
    release()


@pytest.mark.interrupt_safe(interrupts=2)
def test_bracket():
    with bracket(LOCK.acquire, lambda _: LOCK.release()):
        assert LOCK.locked()
