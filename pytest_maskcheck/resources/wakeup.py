"""The wakeup descriptor: where the C-level signal handler writes the number of each signal."""

from __future__ import annotations

import os
import signal
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from pytest_maskcheck.resources.base import Leftover
from pytest_maskcheck.resources.state import State

_NONE = -1


def _put(fd: int) -> bool:
    """Set the wakeup descriptor; return whether that was possible (a closed one is refused).

    Whether its owner wanted the warning on a full buffer cannot be asked. A warning that is lost changes
    nothing for the code under test; one too many may fail its test.
    """
    try:
        signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
    except (OSError, ValueError):
        return False
    return True


@dataclass(slots=True)
class _Before:
    """The descriptor before the run, and the one after it if reading it has lost it."""

    fd: int
    lost: int = _NONE


class WakeupDescriptor(State[int]):
    """The descriptor set by ``signal.set_wakeup_fd``. It can only be read by taking it away for an instant."""

    name = "wakeup_fd"
    repeatable = False

    def read(self) -> int:
        try:
            return signal.set_wakeup_fd(_NONE)
        except ValueError:  # not in the main thread
            return _NONE

    def snapshot(self) -> _Before:
        fd = self.read()
        return _Before(fd if fd == _NONE or _put(fd) else _NONE)

    def compare(self, before: object) -> list[Leftover]:
        state = cast("_Before", before)
        now = self.read()
        if now != _NONE and not _put(now):
            state.lost = now
        elif now == _NONE:
            now = state.lost
        return list(self.differences(state.fd, now)) if now != state.fd else []

    def differences(self, before: int, now: int) -> Iterator[Leftover]:
        key, detail = "set", f"signals are written to descriptor {now}"
        if now == _NONE:
            key, detail = "removed", f"signals are no longer written to descriptor {before}"
        yield self.altered(key, detail, key, before)

    def put_back(self, of: Hashable, value: object) -> None:  # noqa: ARG002  (there is only one)
        signal.set_wakeup_fd(cast("int", value), warn_on_full_buffer=False)

    @contextmanager
    def canary(self) -> Iterator[None]:
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        old = signal.set_wakeup_fd(writer)
        try:
            yield
        finally:
            _put(old)
            os.close(reader)
            os.close(writer)
