"""atomicwrites: the temporary file stays if an interrupt arrives before ``with`` owns it or after it was closed.

Expected: a path left behind (the temporary file), and the descriptor of the directory that is synchronised, lost
between ``os.open`` and its ``try``.
"""

import atomicwrites
import pytest


@pytest.mark.interrupt_safe(include=["atomicwrites"])
def test_atomic_write(tmp_path):
    with atomicwrites.atomic_write(tmp_path / "file", overwrite=True) as file:
        file.write("x")
