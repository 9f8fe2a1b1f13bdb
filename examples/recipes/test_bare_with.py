"""Recipe: ``with open(path) as file``, bare.

Expected: a pass, with ``implicit`` listed. An interrupt that arrives when ``open`` has returned loses the file object before ``with`` has
it; nothing refers to it any more, and only reference counting closes it. ``strict=True`` makes that a failure, as it would be
on an interpreter without reference counts, or with the file object in a cycle. ``shield`` makes and enters it masked, and passes
with ``strict=True`` too.

On CPython 3.14 the ``with`` statement has a second window, after ``__enter__`` (gh-148874), which is listed as a defect of the interpreter.
"""

import pytest

from pytest_maskcheck.masking import shield


@pytest.mark.interrupt_safe
def test_bare(tmp_path):
    with open(tmp_path / "file", "w") as file:
        file.write("x")


@pytest.mark.interrupt_safe(strict=True)
def test_bare_strict(tmp_path):
    with open(tmp_path / "file", "w") as file:
        file.write("x")


@pytest.mark.interrupt_safe(strict=True)
def test_shield_strict(tmp_path):
    with shield(open, tmp_path / "file", "w") as file:
        file.write("x")
