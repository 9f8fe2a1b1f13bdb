"""Temporary directories and files."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.resources import Surroundings
from pytest_maskcheck.resources.kinds.temporary import TemporaryDirectories, TemporaryFiles

if TYPE_CHECKING:
    from tests.resources.conftest import Watch

pytestmark = pytest.mark.usefixtures("frozen_heap")
SINCE_312 = pytest.mark.skipif(sys.version_info < (3, 12), reason="since 3.12")


def test_a_directory_that_was_not_cleaned_up_is_a_leftover(
    surroundings: Surroundings, watch: Watch, tmp_path: Path
) -> None:
    """A temporary directory that was not cleaned up is a leftover; repair removes it."""
    kind = TemporaryDirectories(surroundings)
    compare = watch(kind)
    directory = tempfile.TemporaryDirectory(dir=tmp_path)
    (leftover,) = compare()
    assert leftover.key == "<tmp_path>/tmp*"
    assert leftover.detail == f"temporary directory {directory.name} was not cleaned up"
    assert kind.repair(leftover)
    assert not os.path.exists(directory.name)
    assert compare() == []


def test_a_directory_that_is_gone_is_no_leftover(surroundings: Surroundings, watch: Watch) -> None:
    """A directory removed by its ``with`` statement or by ``rmtree`` is no leftover."""
    compare = watch(TemporaryDirectories(surroundings))
    with tempfile.TemporaryDirectory() as first:
        assert len(compare()) == 1
    removed = tempfile.TemporaryDirectory()
    shutil.rmtree(removed.name)
    assert compare() == []
    assert not os.path.exists(first)
    removed._finalizer.detach()  # type: ignore[attr-defined]


@SINCE_312
def test_a_directory_that_is_meant_to_stay_is_no_leftover(
    surroundings: Surroundings, watch: Watch, tmp_path: Path
) -> None:
    """A directory that is meant to stay (``delete=False``) is no leftover."""
    options: dict[str, Any] = {"delete": False}
    compare = watch(TemporaryDirectories(surroundings))
    with tempfile.TemporaryDirectory(dir=tmp_path, **options) as name:
        assert compare() == []
    assert os.path.exists(name)


@pytest.mark.parametrize("delete", [True, False])
def test_a_file_that_was_not_closed_is_a_leftover(
    surroundings: Surroundings, watch: Watch, tmp_path: Path, delete: bool
) -> None:
    """An open temporary file is a leftover; repair closes it, which also deletes it unless ``delete=False``."""
    kind = TemporaryFiles(surroundings)
    compare = watch(kind)
    file = tempfile.NamedTemporaryFile(dir=tmp_path, suffix=".log", delete=delete)
    (leftover,) = compare()
    assert leftover.key == "<tmp_path>/tmp*.log"
    assert leftover.detail == f"temporary file {file.name} was not closed"
    assert kind.repair(leftover)
    assert os.path.exists(file.name) is not delete
    assert compare() == []


@SINCE_312
def test_a_file_that_is_to_be_deleted_later_is_a_leftover(surroundings: Surroundings, watch: Watch) -> None:
    """A closed file that is to be deleted later (``delete_on_close=False``) is a leftover."""
    options: dict[str, Any] = {"delete_on_close": False}
    kind = TemporaryFiles(surroundings)
    compare = watch(kind)
    file = tempfile.NamedTemporaryFile(**options)
    file.close()
    (leftover,) = compare()
    assert leftover.detail.endswith("was not deleted")
    assert kind.repair(leftover)
    assert not os.path.exists(file.name)
    with tempfile.NamedTemporaryFile(**options) as file:
        file.close()
    assert compare() == []


def test_a_spooled_file_is_a_leftover_once_it_is_on_the_disk(surroundings: Surroundings, watch: Watch) -> None:
    """A spooled file is a leftover once it is on disk; before that it is only memory."""
    kind = TemporaryFiles(surroundings)
    compare = watch(kind)
    file = tempfile.SpooledTemporaryFile(1)
    assert compare() == []
    file.write(b"12")
    (leftover,) = compare()
    assert leftover.key == "spooled"
    assert kind.repair(leftover)
    assert compare() == []


def test_files_that_were_closed_are_no_leftovers(surroundings: Surroundings, watch: Watch, tmp_path: Path) -> None:
    """Closed files are no leftovers, although the objects still exist."""
    compare = watch(TemporaryFiles(surroundings))
    with tempfile.NamedTemporaryFile() as named, tempfile.SpooledTemporaryFile(1) as spooled:
        spooled.write(b"12")
    kept = tempfile.NamedTemporaryFile(dir=tmp_path, delete=False)
    kept.close()
    assert compare() == []
    del named, spooled
