"""portalocker: the file is opened and locked, and an interrupt at the entry of ``__exit__`` leaves it so.

Expected: a pass, with ``implicit`` listed: the locked file is closed only because CPython counts references, once nothing
refers to the ``Lock`` any more. ``--maskcheck-strict`` makes that a failure.
"""

import portalocker
import pytest


@pytest.mark.interrupt_safe(include=["portalocker"])
def test_locked_file(tmp_path):
    with portalocker.Lock(tmp_path / "p", timeout=0.3, check_interval=0.01) as file:
        file.write("x")
