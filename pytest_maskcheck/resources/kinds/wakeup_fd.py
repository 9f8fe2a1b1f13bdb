"""The wakeup descriptor: where the C-level signal handler writes the number of each signal."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import cast

from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.process_state import ProcessState
from pytest_maskcheck.system.unpatched import os, signal
from pytest_maskcheck.system.wakeup_descriptor import NONE, put_back, wakeup_descriptor


class WakeupDescriptor(ProcessState[int]):
    """The descriptor set by ``signal.set_wakeup_fd``."""

    name = "wakeup_fd"
    repeatable = False

    def read(self) -> int:
        return wakeup_descriptor()

    def differences(self, before: int, now: int) -> Iterator[Leftover]:
        key, detail = "set", f"signals are written to descriptor {now}"
        if now == NONE:
            key, detail = "removed", f"signals are no longer written to descriptor {before}"
        yield self.altered(key, detail, key, before)

    def put_back(self, of: Hashable, value: object) -> None:  # noqa: ARG002  (there is only one)
        put_back(cast("int", value))

    @contextmanager
    def canary(self) -> Iterator[None]:
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        old = signal.set_wakeup_fd(writer)
        try:
            yield
        finally:
            put_back(old)
            os.close(reader)
            os.close(writer)
