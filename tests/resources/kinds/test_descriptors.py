"""Open descriptors."""

from __future__ import annotations

import os
import select
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources import Surroundings
from pytest_maskcheck.resources.kinds.descriptors import HAS_LISTING, Descriptors

if TYPE_CHECKING:
    from tests.resources.conftest import Watch

pytestmark = pytest.mark.skipif(not HAS_LISTING, reason="the system does not list descriptors")


@pytest.fixture(params=[True, False], ids=["counted", "listed"])
def kind(request: pytest.FixtureRequest, surroundings: Surroundings) -> Descriptors:
    """Return the kind, as on a system that counts descriptors and on one that only lists them."""
    kind = Descriptors(surroundings)
    kind._counts = kind._counts and request.param
    return kind


@pytest.fixture
def closing() -> Iterator[list[int]]:
    """Yield a list for descriptors; close those that the test left open."""
    fds: list[int] = []
    yield fds
    for fd in fds:
        try:
            os.close(fd)
        except OSError:
            continue


def test_an_open_file_is_a_leftover(kind: Descriptors, watch: Watch, tmp_path: Path, closing: list[int]) -> None:
    """A descriptor that stays open is found by every comparison, under the name of its file."""
    compare = watch(kind)
    fd = os.open(tmp_path / "a.lock", os.O_CREAT | os.O_WRONLY)
    closing.append(fd)
    (leftover,) = compare()
    assert (leftover.kind, leftover.key, leftover.altered) == ("fd", "<tmp_path>/a.lock", False)
    assert leftover.token == (fd, os.fstat(fd).st_dev, os.fstat(fd).st_ino)
    assert compare() == [leftover]


def _pipe() -> list[int]:
    return list(os.pipe())


def _epoll() -> list[int]:
    with select.epoll() as poll:
        return [os.dup(poll.fileno())]


@pytest.mark.parametrize(
    ("opened", "key"),
    [
        pytest.param(_pipe, "pipe", id="pipe"),
        pytest.param(lambda: [socket.socket().detach()], "socket", id="socket"),
        pytest.param(_epoll, "anon_inode:[eventpoll]", id="epoll"),
    ],
)
def test_what_has_no_path_is_named_by_its_sort(
    kind: Descriptors, watch: Watch, closing: list[int], opened: Callable[[], list[int]], key: str
) -> None:
    """Pipes, sockets and the kernel's own objects have keys without numbers."""
    if key.startswith("anon") and not hasattr(select, "epoll"):
        pytest.skip("no epoll")
    compare = watch(kind)
    closing += opened()
    assert {leftover.key for leftover in compare()} == {key}


def test_a_deleted_file_keeps_its_name(kind: Descriptors, watch: Watch, tmp_path: Path, closing: list[int]) -> None:
    """The key of an open file stays the same after the file is unlinked."""
    compare = watch(kind)
    closing.append(os.open(tmp_path / "gone", os.O_CREAT | os.O_WRONLY))
    (tmp_path / "gone").unlink()
    assert [leftover.key for leftover in compare()] == ["<tmp_path>/gone"]


def test_what_is_closed_is_no_leftover(kind: Descriptors, watch: Watch) -> None:
    """Files that were open before, or opened and closed again, are no leftovers."""
    with tempfile.TemporaryFile():
        compare = watch(kind)
        with tempfile.TemporaryFile():
            pass
        assert compare() == []


def test_a_descriptor_closed_by_the_run_is_altered(kind: Descriptors, watch: Watch) -> None:
    """A descriptor that was open before and is closed now is altered state, and cannot be repaired."""
    fd = os.open(os.devnull, os.O_RDONLY)
    compare = watch(kind)
    os.close(fd)
    (leftover,) = compare()
    assert (leftover.key, leftover.detail, leftover.altered) == (str(fd), f"descriptor {fd} was closed", True)
    assert kind.repair(leftover) is False


def test_a_number_given_to_another_file_is_altered(kind: Descriptors, watch: Watch, closing: list[int]) -> None:
    """A descriptor that now refers to another file is altered state, although the number of descriptors is the same."""
    fd = os.open(os.devnull, os.O_RDONLY)
    closing.append(fd)
    reader, writer = os.pipe()
    closing += [reader, writer]
    compare = watch(kind)
    os.dup2(reader, fd)
    (leftover,) = compare()
    assert leftover.key == str(fd)
    assert leftover.altered
    assert leftover.detail.startswith(f"descriptor {fd} now refers to pipe")


@pytest.mark.skipif(not hasattr(os, "eventfd"), reason="no eventfd")
def test_a_number_given_to_an_anonymous_inode_of_another_sort_is_altered(
    kind: Descriptors, watch: Watch, closing: list[int]
) -> None:
    """Anonymous inodes share one inode number, so they are distinguished by the name of their sort."""
    closing += [*_epoll(), os.eventfd(0)]
    compare = watch(kind)
    assert compare() == []
    os.dup2(closing[1], closing[0])
    (leftover,) = compare()
    assert leftover.detail == f"descriptor {closing[0]} now refers to anon_inode:[eventfd]"


def test_what_changes_between_two_runs_is_no_leftover(kind: Descriptors, closing: list[int]) -> None:
    """A change between two runs is not reported, since each snapshot reads anew: a fixture may open another file in between."""
    fd = os.open(os.devnull, os.O_RDONLY)
    closing.append(fd)
    before = kind.snapshot()
    assert kind.compare(before) == []
    reader, writer = os.pipe()
    closing += [reader, writer]
    before = kind.snapshot()
    os.dup2(reader, fd)
    assert [leftover.key for leftover in kind.compare(before)] == [str(fd)]
    before = kind.snapshot()
    assert kind.compare(before) == []


def test_one_closed_and_another_opened_are_both_seen(kind: Descriptors, watch: Watch, closing: list[int]) -> None:
    """One descriptor closed and another opened are both found, although the count is the same."""
    closing += [os.open(os.devnull, os.O_RDONLY), os.open(os.devnull, os.O_RDONLY)]
    low, high = closing
    compare = watch(kind)
    os.close(high)
    closing.append(os.dup2(low, high + 50))
    assert sorted((leftover.key, leftover.altered) for leftover in compare()) == sorted(
        [("/dev/null", False), (str(high), True)]
    )


def test_repair_closes_what_was_opened(kind: Descriptors, watch: Watch, closing: list[int]) -> None:
    """Repair closes a leftover descriptor."""
    compare = watch(kind)
    closing.append(os.open(os.devnull, os.O_RDONLY))
    (leftover,) = compare()
    assert kind.repair(leftover) is True
    assert compare() == []


def test_repair_leaves_another_file_alone(kind: Descriptors, watch: Watch, closing: list[int]) -> None:
    """Repair does not close a descriptor that refers to another file by now."""
    compare = watch(kind)
    closing.append(os.open(os.devnull, os.O_RDONLY))
    (leftover,) = compare()
    with tempfile.TemporaryFile() as other:
        os.dup2(other.fileno(), closing[0])
        assert kind.repair(leftover) is True
        os.fstat(closing[0])
