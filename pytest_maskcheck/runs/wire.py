"""Messages from a child to its parent, through a pipe: a length, then a pickled object."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.system.unpatched import os, pickle, unpatched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_maskcheck.system.breakdown import Breakdown

_LENGTH = struct.Struct("=Q")


class Done:
    """The child's last message: its work is done."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The child's last message if the audit itself failed.

    Parameters:
        breakdown: what failed.
    """

    breakdown: Breakdown


class _Holding:
    """See :data:`holding`."""

    __slots__ = ("_depth", "_held")

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """In a process that was just forked: hold nothing back, and drop what the parent held back."""
        self._depth = 0
        self._held: list[tuple[int, bytes]] = []

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth = max(
            0, self._depth - 1
        )  # in a forked process, a generator of the parent may come here when it is collected
        held, self._held = self._held, []
        for descriptor in dict.fromkeys(each for each, _ in held):
            _write(descriptor, b"".join(data for other, data in held if other == descriptor))

    def write(self, descriptor: int, data: bytes) -> None:
        """Write to the pipe, at once or at the end of the ``with`` statement."""
        if self._depth:
            self._held.append((descriptor, data))
        else:
            _write(descriptor, data)


holding = _Holding()
"""Within ``with holding:``, which must not wait for anything, messages are held back: each of them wakes up the process that reads it."""


def send(descriptor: int, message: object) -> None:
    """Write a message to the pipe, however large it is."""
    try:
        data = pickle.dumps(message)
    except Exception:  # noqa: BLE001  (pickle imports what it names, and what code under test left may prevent that)
        with unpatched():
            data = pickle.dumps(message)
    holding.write(descriptor, _LENGTH.pack(len(data)) + data)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


class Inbox:
    """Reassembles the messages of one child from what was read from its pipe."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def add(self, data: bytes) -> None:
        """Add what was read."""
        self._buffer += data

    def messages(self) -> Iterator[Any]:
        """Yield the messages that are complete, each once."""
        buffer = self._buffer
        while len(buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer)
            if len(buffer) < _LENGTH.size + length:
                break
            message = pickle.loads(bytes(buffer[_LENGTH.size : _LENGTH.size + length]))
            del buffer[: _LENGTH.size + length]
            yield message
