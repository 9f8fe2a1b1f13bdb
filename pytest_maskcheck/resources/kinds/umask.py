"""The file mode creation mask."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import cast

from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.process_state import ProcessState
from pytest_maskcheck.system.unpatched import os

_STRICT = 0o077


class Umask(ProcessState[int]):
    """The process's umask. It can only be read by setting it, so a strict one is in force for an instant."""

    name = "umask"

    def read(self) -> int:
        # A strict mask: a file that another thread creates meanwhile is not open to everybody.
        mask = os.umask(_STRICT)
        os.umask(mask)
        return mask

    def differences(self, before: int, now: int) -> Iterator[Leftover]:
        yield self.altered(f"0o{now:03o}", f"the umask is 0o{now:03o} (before: 0o{before:03o})", self.name, before)

    def put_back(self, of: Hashable, value: object) -> None:  # noqa: ARG002  (there is only one)
        os.umask(cast("int", value))

    @contextmanager
    def canary(self) -> Iterator[None]:
        old = os.umask(_STRICT)
        os.umask(old ^ 0o100)
        try:
            yield
        finally:
            os.umask(old)
