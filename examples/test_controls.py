"""Controls: code that an interrupt cannot hurt. Every test here passes.

On CPython 3.14, ``with`` itself can be interrupted between ``__enter__`` and the block (gh-148874); the report lists that as
the interpreter's defect, and the tests still pass.
"""

import threading

import pytest

pytestmark = pytest.mark.interrupt_safe

LOCK = threading.Lock()


def test_with_lock():
    with LOCK:
        assert len("abc") == 3


def test_with_open(tmp_path):
    with open(tmp_path / "file", "w") as file:
        file.write("x")


def test_counter():
    total = 0
    for number in range(3):
        total += abs(-number)
    assert total == 3
