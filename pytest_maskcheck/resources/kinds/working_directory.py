"""The working directory."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import cast

from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.process_state import ProcessState
from pytest_maskcheck.system.unpatched import os


class WorkingDirectory(ProcessState["str | None"]):
    """Where relative paths begin; ``None`` if that directory was removed."""

    name = "cwd"

    def read(self) -> str | None:
        try:
            return os.getcwd()
        except OSError:
            return None

    def differences(self, before: str | None, now: str | None) -> Iterator[Leftover]:
        key = "<removed>" if now is None else self.surroundings.key(now)
        yield self.altered(key, f"the working directory is {now or 'gone'} (before: {before or 'gone'})", key, before)

    def put_back(self, of: Hashable, value: object) -> None:  # noqa: ARG002  (there is only one)
        os.chdir(cast("str", value))

    @contextmanager
    def canary(self) -> Iterator[None]:
        old = os.open(os.curdir, os.O_RDONLY)  # a descriptor, as it may have no name any more
        home = os.path.abspath(os.sep)
        os.chdir(home if self.read() != home else os.path.dirname(os.path.abspath(__file__)))
        try:
            yield
        finally:
            os.fchdir(old)
            os.close(old)
