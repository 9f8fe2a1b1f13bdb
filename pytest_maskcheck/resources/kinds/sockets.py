"""Open sockets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pytest_maskcheck.resources.heap import Family
from pytest_maskcheck.resources.open_objects import OpenObjects
from pytest_maskcheck.system.unpatched import os


class Sockets(OpenObjects):
    """Sockets with a descriptor, by what they are connected or bound to."""

    name = "socket"
    owns = True
    warns = "unclosed <socket"
    family = Family("_socket:socket")

    def is_open(self, thing: Any) -> bool:
        import _socket

        return _socket.socket.fileno(thing) != -1

    def key_and_detail(self, thing: Any) -> tuple[str, str]:
        sort, address = _described(thing)
        name = self._masked(address)
        detail = f"socket {_own(thing, 'fileno')()} is still open: {_joined(sort, _plain(address))}"
        return _joined(sort, name), detail

    def _masked(self, address: Any) -> str:
        """Return an address with its port masked."""
        if isinstance(address, tuple) and len(address) >= 2:
            return f"{address[0]}:#"
        return self.surroundings.key(_plain(address))

    def descriptors(self, thing: Any) -> Iterable[Any]:
        return (_own(thing, "fileno")(),)

    def close(self, thing: Any) -> None:
        import _socket

        thing.close()
        if self.is_open(thing):  # a file made with ``makefile`` is still open
            _socket.socket.close(thing)

    @contextmanager
    def canary(self) -> Iterator[None]:
        import socket

        with socket.socket():
            yield


def _described(thing: Any) -> tuple[str, Any]:
    """Return the sort of socket, and the address it is connected to, else bound to, else ``""``."""
    import socket

    families = {getattr(socket, "AF_UNIX", None): "unix", socket.AF_INET: "", socket.AF_INET6: ""}
    kinds = {socket.SOCK_STREAM: "tcp", socket.SOCK_DGRAM: "udp"}
    family, number = _own(thing, "family"), _own(thing, "type")
    sort = families.get(family, _name("AF_", family)) or kinds.get(number, _name("SOCK_", number))
    try:
        if _own(thing, "getsockopt")(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return f"{sort} listening", _address(_own(thing, "getsockname"))
    except OSError:
        pass  # sockets of some families do not have this option
    return sort, _address(_own(thing, "getpeername")) or _address(_own(thing, "getsockname"))


def _own(thing: Any, name: str) -> Any:
    """Return an attribute as ``_socket.socket`` itself defines it, even if a subclass overrides it."""
    import _socket

    return vars(_socket.socket)[name].__get__(thing)


def _name(prefix: str, number: int) -> str:
    """Return the name of a constant without its prefix, in lower case: ``raw`` for ``SOCK_RAW``."""
    import _socket

    names = sorted(name for name, value in vars(_socket).items() if name.startswith(prefix) and value == number)
    return names[0].removeprefix(prefix).lower() if names else str(number)


def _address(ask: Any) -> Any:
    try:
        address = ask()
    except OSError:
        return ""
    if isinstance(address, tuple) and len(address) >= 2 and not address[1] and address[0] in {"0.0.0.0", "::"}:
        return ""  # not bound
    return address


def _plain(address: Any) -> str:
    if isinstance(address, bytes):  # an abstract name
        return "@" + os.fsdecode(address.lstrip(b"\0"))
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) and len(address) >= 2 else str(address)


def _joined(*words: str) -> str:
    return " ".join(filter(None, words))
