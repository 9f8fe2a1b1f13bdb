"""Locks on files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources import Surroundings
from pytest_maskcheck.resources.kinds.file_locks import HAS_FILE_LOCKS, FileLocks

if TYPE_CHECKING:
    from tests.resources.conftest import Watch

fcntl = pytest.importorskip("fcntl")

pytestmark = pytest.mark.skipif(not HAS_FILE_LOCKS, reason="the system does not tell who locks a file")


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    """Yield a descriptor that is open before the snapshot."""
    fd = os.open(tmp_path / "a.lock", os.O_CREAT | os.O_RDWR)
    yield fd
    os.close(fd)


@pytest.fixture
def kind(surroundings: Surroundings, file: int) -> FileLocks:
    """Return the kind, after it has watched a test that takes a lock."""
    kind = FileLocks(surroundings)
    with kind.learning():
        fcntl.flock(file, fcntl.LOCK_EX)
        fcntl.flock(file, fcntl.LOCK_UN)
    return kind


@pytest.mark.parametrize("lock", [fcntl.flock, fcntl.lockf])
def test_a_lock_that_is_held_is_a_leftover(
    kind: FileLocks, watch: Watch, file: int, lock: Callable[[int, int], None]
) -> None:
    """A held lock is a leftover, named after the file; repair releases it."""
    compare = watch(kind)
    lock(file, fcntl.LOCK_EX)
    (leftover,) = compare()
    assert (leftover.kind, leftover.key, leftover.altered) == ("file_lock", "<tmp_path>/a.lock", False)
    assert leftover.detail.endswith(f"write) by descriptor {file}")
    assert compare() == [leftover]
    assert kind.repair(leftover) is True
    assert compare() == []


def test_a_lock_that_was_lost_is_altered_state(kind: FileLocks, watch: Watch, file: int) -> None:
    """A lock that was lost is altered state and cannot be repaired, since another process may hold it by now."""
    fcntl.flock(file, fcntl.LOCK_EX)
    compare = watch(kind)
    fcntl.flock(file, fcntl.LOCK_UN)
    (leftover,) = compare()
    assert (leftover.key, leftover.altered) == ("<tmp_path>/a.lock", True)
    assert kind.repair(leftover) is False


def test_a_lock_that_was_released_is_no_leftover(kind: FileLocks, watch: Watch, file: int, tmp_path: Path) -> None:
    """A lock is no leftover if it was released, was held before, or belongs to a descriptor opened since the snapshot."""
    fcntl.lockf(file, fcntl.LOCK_EX)
    compare = watch(kind)
    fcntl.flock(file, fcntl.LOCK_EX)
    fcntl.flock(file, fcntl.LOCK_UN)
    other = os.open(tmp_path / "other.lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(other, fcntl.LOCK_EX)
    assert compare() == []
    os.close(other)


def test_nothing_is_read_if_the_test_takes_no_lock(surroundings: Surroundings, watch: Watch, file: int) -> None:
    """Locks are not read if the test takes none; other calls of fcntl do not count as taking one."""
    kind = FileLocks(surroundings)
    with kind.learning():
        fcntl.fcntl(file, fcntl.F_GETFD)
    assert kind.snapshot() == {}
