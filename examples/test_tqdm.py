"""tqdm: its lock, shared by all bars, is acquired and released by plain calls.

Expected: the ``RLock`` of ``TqdmDefaultWriteLock`` still held by the main thread, and so is its lock between processes, at about 100 points.
Other threads and processes would wait for them forever.
Interrupts that land in ``tqdm.__del__`` are printed and dropped by CPython: they are listed and do not fail.
"""

import io

import pytest
import tqdm


@pytest.mark.interrupt_safe(include=["tqdm"])
def test_progress_bar():
    for _ in tqdm.tqdm(range(3), file=io.StringIO()):
        pass
