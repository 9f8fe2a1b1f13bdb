"""Objects whose descriptor was closed behind their back."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.resources import Surroundings
from pytest_maskcheck.resources.kinds.double_close import HAS_POLL, DoubleCloses

if TYPE_CHECKING:
    from tests.resources.conftest import Watch

pytestmark = pytest.mark.skipif(not HAS_POLL, reason="no poll")


@pytest.fixture
def kind(surroundings: Surroundings) -> DoubleCloses:
    """Return the kind."""
    return DoubleCloses(surroundings)


@pytest.fixture
def closing() -> Iterator[list[Any]]:
    """Yield a list for objects to close at the end, if they can be closed."""
    things: list[Any] = []
    yield things
    for thing in things:
        with suppress(OSError):
            thing.close()


@pytest.fixture(params=["older", "new"])
def file(request: pytest.FixtureRequest, kind: DoubleCloses, tmp_path: Path, closing: list[Any]) -> Any:
    """Return an open file, made before or after the heap was frozen."""
    if request.param == "new":
        request.getfixturevalue("frozen_heap")
    closing.append((tmp_path / "a.txt").open("w"))
    return closing[0]


def test_a_file_whose_descriptor_is_closed_is_a_leftover(kind: DoubleCloses, watch: Watch, file: Any) -> None:
    """A file object whose descriptor is closed is a leftover named after its file; repair closes the object and nothing else."""
    compare = watch(kind)
    fd = file.fileno()
    os.close(fd)
    (leftover,) = compare()
    assert (leftover.kind, leftover.key, leftover.altered) == ("double_close", "<tmp_path>/a.txt", False)
    assert leftover.detail == (
        f"a FileIO (<tmp_path>/a.txt) holds descriptor {fd}, which is closed: to close it is to close another's"
    )
    assert compare() == [leftover]
    assert kind.repair(leftover) is True
    assert compare() == []
    with suppress(OSError):
        file.close()


def test_an_older_file_is_seen_on_a_frozen_heap(
    kind: DoubleCloses, request: pytest.FixtureRequest, tmp_path: Path, closing: list[Any]
) -> None:
    """A file object older than the frozen heap is found, since the census records it and ``poll`` checks its descriptor."""
    file = (tmp_path / "a.txt").open("w")
    closing.append(file)
    kind.prepare()
    request.getfixturevalue("frozen_heap")
    before = kind.snapshot()
    assert kind.compare(before) == []
    os.close(file.fileno())
    (leftover,) = kind.compare(before)
    assert leftover.key == "<tmp_path>/a.txt"
    assert kind.repair(leftover) is True


@pytest.mark.usefixtures("frozen_heap")
def test_a_socket_whose_number_is_a_file_by_now_is_a_leftover(
    kind: DoubleCloses, watch: Watch, closing: list[Any]
) -> None:
    """A socket whose descriptor now belongs to a file is a leftover; repair closes the socket but not the file."""
    closing.append(socket.socket())
    compare = watch(kind)
    fd = closing[0].fileno()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, fd)
    os.close(null)
    (leftover,) = compare()
    assert leftover.key == "socket"
    assert "is something else by now" in leftover.detail
    assert kind.repair(leftover) is True
    os.close(fd)
    assert compare() == []


def test_what_is_closed_or_open_as_it_should_be_is_no_leftover(
    kind: DoubleCloses, watch: Watch, file: Any, closing: list[Any]
) -> None:
    """Properly closed objects, objects that do not own their descriptor, and those that were stale before are no leftovers."""
    closing.append(socket.socket())
    stale = open(os.devnull, "rb")
    closing.append(stale)
    os.close(stale.fileno())
    compare = watch(kind)
    fd = os.open(os.devnull, os.O_RDONLY)
    guest = open(fd, "rb", closefd=False)
    closing.append(guest)
    os.close(fd)
    file.close()
    with open(os.devnull, "rb"):
        pass
    assert compare() == []
