"""Sockets."""

from __future__ import annotations

import os
import socket
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources import Surroundings
from pytest_maskcheck.resources.kinds.sockets import Sockets

if TYPE_CHECKING:
    from tests.resources.conftest import Watch

pytestmark = pytest.mark.usefixtures("frozen_heap")


def _tcp() -> list[socket.socket]:
    return [socket.socket()]


def _udp() -> list[socket.socket]:
    return [socket.socket(type=socket.SOCK_DGRAM)]


def _bound() -> list[socket.socket]:
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return [sock]


def _listening() -> list[socket.socket]:
    return [socket.create_server(("127.0.0.1", 0))]


def _connected() -> list[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return [socket.create_connection(server.getsockname())]


def _secure() -> list[socket.socket]:
    return [ssl.create_default_context().wrap_socket(socket.socket(), server_hostname="x")]


def _pair() -> list[socket.socket]:
    return list(socket.socketpair())


def _fromfd() -> list[socket.socket]:
    with socket.socket() as sock:
        return [sock.dup()]


@pytest.mark.parametrize(
    ("make", "keys"),
    [
        (_tcp, ["tcp"]),
        (_udp, ["udp"]),
        (_bound, ["udp 127.0.0.1:#"]),
        (_listening, ["tcp listening 127.0.0.1:#"]),
        (_connected, ["tcp 127.0.0.1:#"]),
        (_secure, ["tcp"]),
        (_pair, ["unix", "unix"]),
        (_fromfd, ["tcp"]),
    ],
)
def test_an_open_socket_is_a_leftover(
    surroundings: Surroundings, watch: Watch, make: Callable[[], list[socket.socket]], keys: list[str]
) -> None:
    """An open socket is a leftover, named by what it is connected or bound to; repair closes it."""
    kind = Sockets(surroundings)
    compare = watch(kind)
    sockets = make()
    found = compare()
    assert [leftover.key for leftover in found] == keys
    assert found[0].detail.startswith(f"socket {sockets[0].fileno()} is still open: ")
    assert all(kind.repair(leftover) for leftover in found)
    assert compare() == []


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no such sockets")
def test_unix_sockets_are_told_by_their_path(
    watch: Watch, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unix sockets are named by their path, and on Linux by their abstract name."""
    place = tmp_path_factory.mktemp("u")
    monkeypatch.chdir(place)
    compare = watch(Sockets(Surroundings({"tmp_path": str(place)})))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("s12")
        sock.listen()
        assert [leftover.key for leftover in compare()] == ["unix listening s#"]
    if len(str(place)) < 90:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(place / "s"))
            assert [leftover.key for leftover in compare()] == ["unix <tmp_path>/s"]
    if sys.platform == "linux":
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(f"\0maskcheck {os.getpid()}")
            assert [leftover.key for leftover in compare()] == ["unix @maskcheck #"]


def test_a_socket_that_a_file_keeps_open_is_a_leftover(surroundings: Surroundings, watch: Watch) -> None:
    """A closed socket that a file from ``makefile`` keeps open is a leftover; repair closes it."""
    kind = Sockets(surroundings)
    compare = watch(kind)
    one, other = socket.socketpair()
    other.close()
    file = one.makefile("rb")
    one.close()
    (leftover,) = compare()
    assert kind.repair(leftover)
    assert compare() == []
    file.close()


def test_sockets_that_are_closed_are_no_leftovers(surroundings: Surroundings, watch: Watch, tmp_path: Path) -> None:
    """Closed, detached and older sockets are no leftovers."""
    with socket.socket():
        compare = watch(Sockets(surroundings))
        with socket.socket() as closed, socket.create_server(("127.0.0.1", 0)) as server:
            closed.connect(server.getsockname())
        given = socket.socket()
        os.close(given.detach())
        assert compare() == []
