"""readerwriterlock: its locks are acquired one after the other, each before the code that would release it begins.

Expected: locks ``c_lock_read``, ``c_lock_write`` and ``c_lock_read_count`` of the ``RWLockFair`` still held.
"""

import pytest
from readerwriterlock import rwlock


@pytest.mark.interrupt_safe(include=["readerwriterlock"])
def test_write_then_read():
    lock = rwlock.RWLockFair()
    with lock.gen_wlock():
        pass
    with lock.gen_rlock():
        pass
