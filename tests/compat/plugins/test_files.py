"""Audits beside pyfakefs, which replaces file functions in all modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.compat.plugins.conftest import Beside

FAKED = """
    import os
    from pathlib import Path

    import pytest
    from shop import clean, leaky


    @pytest.mark.interrupt_safe
    def test_defect(fs):
        fs.create_file("/data/number", contents="3")
        assert leaky(Path("/data/number").exists())


    @pytest.mark.interrupt_safe
    def test_clean(fs):
        fs.create_file("/data/number", contents="3")
        with open("/data/number") as file:
            assert clean(int(file.read())) == 3
        assert os.listdir("/data") == ["number"]
"""


def test_pyfakefs(beside: Beside) -> None:
    """Tests that open, read and list fake files are audited."""
    beside("pyfakefs", FAKED).is_right()


def test_pyfakefs_with_snapshots(beside: Beside) -> None:
    """Tests with fake files are audited by snapshots, which fork amid the test."""
    beside("pyfakefs", FAKED, "--maskcheck-strategy=snapshot").is_right()
