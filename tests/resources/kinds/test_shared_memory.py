"""Shared memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources import Surroundings
from pytest_maskcheck.resources.kinds.shared_memory import HAS_SHARED_MEMORY, SharedMemories

if TYPE_CHECKING:
    from tests.resources.conftest import Watch

pytestmark = [
    pytest.mark.usefixtures("frozen_heap"),
    pytest.mark.skipif(not HAS_SHARED_MEMORY or not os.path.isdir("/dev/shm"), reason="no /dev/shm"),
]


@pytest.fixture(autouse=True)
def no_tracker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no resource tracker, since its process would stay."""
    monkeypatch.setattr(resource_tracker, "register", lambda *_: None)
    monkeypatch.setattr(resource_tracker, "unregister", lambda *_: None)


@pytest.fixture
def kind(surroundings: Surroundings) -> SharedMemories:
    """Return the kind, after it has watched segments being created with a generated name and with a chosen one."""
    kind = SharedMemories(surroundings)
    with kind.learning():
        for name in None, f"maskcheck_test_{os.getpid()}":
            memory = SharedMemory(name, create=True, size=1)
            memory.close()
            memory.unlink()
    return kind


@pytest.fixture
def segment() -> Iterator[str]:
    """Yield the name of a segment, which is removed at the end."""
    name = f"maskcheck_test_{os.getpid()}"
    yield name
    if os.path.exists(f"/dev/shm/{name}"):
        os.unlink(f"/dev/shm/{name}")


def test_open_memory_is_a_leftover(kind: SharedMemories, watch: Watch) -> None:
    """Open memory and its name are one leftover; repair closes and unlinks it."""
    compare = watch(kind)
    memory = SharedMemory(create=True, size=1)
    (leftover,) = compare()
    assert (leftover.key, leftover.detail) == ("psm_*", f"shared memory {memory.name} was not closed")
    assert kind.repair(leftover)
    assert not os.path.exists(f"/dev/shm/{memory.name}")
    assert compare() == []


def test_memory_that_was_closed_and_not_unlinked_is_a_leftover(
    kind: SharedMemories, watch: Watch, segment: str
) -> None:
    """Memory that was closed and not unlinked is a leftover, also under a chosen name; repair unlinks it."""
    compare = watch(kind)
    memory = SharedMemory(segment, create=True, size=1)
    memory.close()
    (leftover,) = compare()
    assert (leftover.key, leftover.token) == ("maskcheck_test_#", segment)
    assert leftover.detail == f"/dev/shm/{segment} was created and not unlinked"
    assert kind.repair(leftover)
    assert compare() == []


def test_memory_that_was_only_attached_is_not_unlinked(kind: SharedMemories, watch: Watch, segment: str) -> None:
    """Repair closes memory that was only attached, but does not unlink it."""
    created = SharedMemory(segment, create=True, size=1)
    compare = watch(kind)
    attached = SharedMemory(segment)
    (leftover,) = compare()
    assert kind.repair(leftover)
    assert os.path.exists(f"/dev/shm/{segment}")
    assert compare() == []
    created.close()
    del attached


def test_segments_of_others_are_no_leftovers(kind: SharedMemories, watch: Watch) -> None:
    """Segments that another process has mapped, and those with other names, are no leftovers."""
    compare = watch(kind)
    name = "maskcheck_other"
    with open(f"/dev/shm/{name}", "xb"):
        pass
    # The shell ends at once, so the process is not a descendant of this one.
    code = (
        "import mmap, os, sys; f = open(f'/dev/shm/psm_{os.getpid():08x}', 'x+b'); f.truncate(9); m = mmap.mmap(f.fileno(), 9);"
        "print(os.getpid(), flush=True); sys.stdin.read(); os.unlink(f.name)"
    )
    with subprocess.Popen(
        ["sh", "-c", 'exec 3<&0; "$0" -c "$1" <&3 & exit', sys.executable, code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as shell:
        assert shell.stdout is not None
        assert shell.stdin is not None
        pid = int(shell.stdout.readline())
        shell.wait()
        assert os.path.exists(f"/dev/shm/psm_{pid:08x}")
        found = compare()
        shell.stdin.close()
        shell.stdout.read()
    os.unlink(f"/dev/shm/{name}")
    assert found == []


def test_a_semaphore_has_its_name_as_long_as_it_lives(kind: SharedMemories, watch: Watch) -> None:
    """The name of a live semaphore is no leftover; a name without a semaphore is."""
    import _multiprocessing
    from multiprocessing import get_context

    compare = watch(kind)
    lock = get_context("spawn").Lock()
    name = f"/mp-maskcheck{os.getpid()}"
    assert compare() == []
    del lock
    _multiprocessing.SemLock(1, 1, 1, name, False)  # type: ignore[call-arg]
    (leftover,) = compare()
    assert (leftover.key, leftover.token) == ("sem.mp-*", f"sem.{name[1:]}")
    assert kind.repair(leftover)
    assert compare() == []


def test_a_semaphore_of_another_session_is_no_leftover(
    surroundings: Surroundings, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unmapped semaphore is no leftover in a process that has not loaded ``_multiprocessing``, which creates semaphores."""
    monkeypatch.delitem(sys.modules, "_multiprocessing", raising=False)
    compare = watch(SharedMemories(surroundings))
    code = (
        "import _multiprocessing, os;"
        "print(name := f'mp-maskcheck{os.getpid()}');"
        "_multiprocessing.SemLock(1, 1, 1, '/' + name, False)"
    )
    name = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    try:
        without_module = compare()
        monkeypatch.undo()
        import _multiprocessing  # noqa: F401

        with_module = compare()
    finally:
        os.unlink(f"/dev/shm/sem.{name}")
    assert without_module == []
    assert [leftover.token for leftover in with_module] == [f"sem.{name}"]


def test_memory_that_was_unlinked_is_no_leftover(kind: SharedMemories, watch: Watch) -> None:
    """Unlinked memory is no leftover, although the object still exists."""
    compare = watch(kind)
    memory = SharedMemory(create=True, size=1)
    memory.close()
    memory.unlink()
    assert compare() == []
