"""Environment variables."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.process_state import ProcessState
from pytest_maskcheck.system.untrusted import attempt, is_a, read

# pytest writes the phase of the test there.
_IGNORED = frozenset({"PYTEST_CURRENT_TEST"})
_CANARY = "PYTEST_MASKCHECK_CANARY"


_usual = os.environ


def _encoded() -> Any:
    """Return the mapping in force; the original one if a test has replaced ``os.environ`` with something that is no mapping."""
    encoded: Any = read(os.environ, "_data", os.environ)
    return encoded if is_a(encoded, dict) else attempt(lambda: dict(encoded), read(_usual, "_data"))


class Environ(ProcessState["dict[Any, Any]"]):
    """``os.environ``, compared in its encoded form. Values may be secret and are never shown."""

    name = "environ"

    def read(self) -> dict[Any, Any]:
        # Decoding every variable would take twenty times as long as copying the mapping underneath.
        return dict(_encoded())

    def compare(self, before: object) -> list[Leftover]:
        encoded = _encoded()
        return [] if encoded == before else list(self.differences(cast("dict[Any, Any]", before), dict(encoded)))

    def differences(self, before: dict[Any, Any], now: dict[Any, Any]) -> Iterator[Leftover]:
        for encoded in sorted(before.keys() | now.keys()):
            if before.get(encoded) == now.get(encoded):
                continue
            key = os.fsdecode(encoded)
            if key in _IGNORED:
                continue
            change = "was removed" if encoded not in now else "was changed" if encoded in before else "was set"
            former = os.fsdecode(before[encoded]) if encoded in before else None
            yield self.altered(key, f"the environment variable {key} {change}", key, former)

    def put_back(self, of: Hashable, value: object) -> None:
        if value is None:
            os.environ.pop(cast("str", of), None)
        else:
            os.environ[cast("str", of)] = cast("str", value)

    @contextmanager
    def canary(self) -> Iterator[None]:
        os.environ[_CANARY] = "1"
        try:
            yield
        finally:
            os.environ.pop(_CANARY, None)
