"""The names of the ``builtins`` module."""

from __future__ import annotations

import builtins
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.process_state import ProcessState
from pytest_maskcheck.resources.user_objects import label_of, same

_NAMESPACE = vars(builtins)
_CANARY = "pytest_maskcheck_canary"
_IGNORED = frozenset({"_"})  # sys.displayhook stores the last value there


class BuiltinNames(ProcessState["dict[str, Any]"]):
    """Names added to ``builtins``, removed from it, or bound to something else."""

    name = "builtins"
    default = repeatable = False  # ``compare`` needs no copy of the namespace; a second snapshot would

    def read(self) -> dict[str, Any]:
        return _NAMESPACE.copy()

    def compare(self, before: object) -> list[Leftover]:
        old, now = cast("dict[str, Any]", before), _NAMESPACE
        if len(old) == len(now) and same(list(old.values()), list(now.values())):
            return []
        return list(self.differences(old, now))

    def differences(self, before: dict[str, Any], now: dict[str, Any]) -> Iterator[Leftover]:
        for name in sorted((before.keys() | now.keys()) - _IGNORED):
            if name not in now:
                yield self.altered(name, f"builtins.{name} was removed", (name, True), before[name])
            elif name not in before:
                yield self.altered(name, f"builtins.{name} was added", (name, False), None)
            elif before[name] is not now[name]:
                yield self.altered(name, f"builtins.{name} is now {label_of(now[name])}", (name, True), before[name])

    def put_back(self, of: Hashable, value: object) -> None:
        name, existed = cast("tuple[str, bool]", of)
        if existed:
            _NAMESPACE[name] = value
        else:
            _NAMESPACE.pop(name, None)

    @contextmanager
    def canary(self) -> Iterator[None]:
        _NAMESPACE[_CANARY] = None
        try:
            yield
        finally:
            _NAMESPACE.pop(_CANARY, None)
