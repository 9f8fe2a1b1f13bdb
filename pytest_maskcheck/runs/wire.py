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


def send(descriptor: int, message: object) -> None:
    """Write a message to the pipe, however large it is."""
    try:
        data = pickle.dumps(message)
    except Exception:  # noqa: BLE001  (pickle imports what it names, and what code under test left may prevent that)
        with unpatched():
            data = pickle.dumps(message)
    data = _LENGTH.pack(len(data)) + data
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
