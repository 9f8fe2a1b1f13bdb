"""The working directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources import Surroundings
from pytest_maskcheck.resources.kinds.working_directory import WorkingDirectory

if TYPE_CHECKING:
    from tests.resources.conftest import Watch


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_another_directory_is_altered_state(surroundings: Surroundings, watch: Watch, tmp_path: Path) -> None:
    """A changed working directory is reported under the new directory; repair changes back."""
    kind = WorkingDirectory(surroundings)
    compare = watch(kind)
    (tmp_path / "sub").mkdir()
    os.chdir("sub")
    (leftover,) = compare()
    assert (leftover.kind, leftover.key, leftover.altered) == ("cwd", "<tmp_path>/sub", True)
    assert leftover.detail == f"the working directory is {tmp_path}/sub (before: {tmp_path})"
    assert kind.repair(leftover) is True
    assert compare() == []


def test_coming_back_is_no_difference(surroundings: Surroundings, watch: Watch) -> None:
    """A working directory restored before the end of the run is not reported."""
    compare = watch(WorkingDirectory(surroundings))
    old = os.getcwd()
    os.chdir("/")
    os.chdir(old)
    assert compare() == []


def test_a_removed_directory_is_altered_state(surroundings: Surroundings, watch: Watch, tmp_path: Path) -> None:
    """A removed working directory is altered state, unless it was removed before; repair fails if the former one is gone."""
    kind = WorkingDirectory(surroundings)
    compare = watch(kind)
    (tmp_path / "sub").mkdir()
    os.chdir("sub")
    (tmp_path / "sub").rmdir()
    (leftover,) = compare()
    assert leftover.key == "<removed>"
    nowhere = watch(WorkingDirectory(surroundings))
    assert nowhere() == []
    assert kind.repair(leftover) is True
    assert kind.repair(nowhere()[0]) is False
