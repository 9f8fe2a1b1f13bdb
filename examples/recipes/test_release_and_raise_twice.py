"""Recipe: ``try: … except BaseException: release(); raise``, under two interrupts: people press Ctrl-C twice.

Expected of ``test_python_release``: the lock still held. The first interrupt leads to the ``except`` clause; the second one arrives at the
entry of ``release``, before its first line. With one interrupt, it passes.

Expected of ``test_c_release``: a pass. Between the interrupt that leads there and the end of ``LOCK.release``, which is C, CPython does not check
for signals. That holds as long as this call comes first in the clause and does all of the work.

``bracket`` releases with signals masked, whatever the release function is: a signal that arrives meanwhile waits.
"""

import threading

import pytest

from pytest_maskcheck.masking import bracket

LOCK = threading.Lock()


def release():
    LOCK.release()


@pytest.mark.interrupt_safe(interrupts=2)
def test_python_release():
    try:
        LOCK.acquire()
        assert LOCK.locked()
    except BaseException:
        release()
        raise
    LOCK.release()


@pytest.mark.interrupt_safe(interrupts=2)
def test_c_release():
    try:
        LOCK.acquire()
        assert LOCK.locked()
    except BaseException:
        LOCK.release()
        raise
    LOCK.release()


@pytest.mark.interrupt_safe(interrupts=2, max_points=300)
def test_bracket():
    with bracket(LOCK.acquire, lambda _: release()):
        assert LOCK.locked()
