"""filelock: the lock file's descriptor is lost if an interrupt arrives after it was opened and before it is stored.

Expected: a leaked descriptor of the lock file, first at the end of ``os.open`` in ``filelock/_unix.py``, then until the ``FileLock``
has stored it. After that, its ``__del__`` closes the file once nothing refers to the ``FileLock``: listed as ``implicit``, as are
interrupts that land in ``__del__`` itself.
"""

import os

import filelock
import pytest


@pytest.mark.interrupt_safe(include=["filelock"])
def test_lock_file(tmp_path):
    with filelock.FileLock(tmp_path / "a.lock", timeout=0.3):
        assert os.getpid()
