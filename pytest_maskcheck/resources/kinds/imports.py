"""How modules are found, and which are loaded: ``sys.path``, import hooks, ``sys.modules``."""

from __future__ import annotations

import sys
import types
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.process_state import IdentityState, ProcessState
from pytest_maskcheck.resources.user_objects import changes, label_of, same

_CANARY = "pytest_maskcheck canary"


class ModulePath(IdentityState):
    """The entries of ``sys.path`` and their order."""

    name = "sys_path"

    def read(self) -> tuple[object, ...]:
        return tuple(sys.path)

    def differences(self, before: tuple[object, ...], now: tuple[object, ...]) -> Iterator[Leftover]:
        old, new = list(map(_plain, before)), list(map(_plain, now))
        added, removed = [path for path in new if path not in old], [path for path in old if path not in new]
        for path in added:
            yield self._altered(path, "was added to sys.path", before)
        for path in removed:
            yield self._altered(path, "is no longer in sys.path", before)
        if not added and not removed and old != new:
            what = "the order of sys.path" if sorted(old) == sorted(new) else "how often an entry is in sys.path"
            yield self.altered("order", f"{what} changed", "path", before)

    def _altered(self, path: str, change: str, before: tuple[object, ...]) -> Leftover:
        return self.altered(self.surroundings.key(path), f"{path!r} {change}", path, before)

    def put_back(self, of: Hashable, value: object) -> None:  # noqa: ARG002  (all entries at once)
        sys.path[:] = cast("tuple[Any, ...]", value)

    @contextmanager
    def canary(self) -> Iterator[None]:
        sys.path.append(_CANARY)
        try:
            yield
        finally:
            with suppress(ValueError):
                sys.path.remove(_CANARY)


def _plain(path: object) -> str:
    return path if type(path) is str else f"{label_of(path)} at {id(path):#x}"


_Hooks = tuple[tuple[object, ...], tuple[object, ...]]


class ImportHooks(ProcessState[_Hooks]):
    """``sys.meta_path`` and ``sys.path_hooks``."""

    name = "import_hook"

    def read(self) -> _Hooks:
        return tuple(sys.meta_path), tuple(sys.path_hooks)

    def compare(self, before: object) -> list[Leftover]:
        old, now = cast("_Hooks", before), self.read()
        return [] if same(old, now) else list(self.differences(old, now))

    def differences(self, before: _Hooks, now: _Hooks) -> Iterator[Leftover]:
        for name, old, new in zip(("meta_path", "path_hooks"), before, now, strict=True):
            added, removed = changes(old, new)
            for hook in added:
                yield self.altered(f"{name} {label_of(hook)}", f"{label_of(hook)} was added to sys.{name}", name, old)
            for hook in removed:
                detail = f"{label_of(hook)} is no longer in sys.{name}"
                yield self.altered(f"{name} {label_of(hook)}", detail, name, old)
            if not added and not removed and not same(old, new):
                yield self.altered(f"{name} order", f"the order of sys.{name} changed", name, old)

    def put_back(self, of: Hashable, value: object) -> None:
        hooks: list[Any] = getattr(sys, cast("str", of))
        hooks[:] = cast("tuple[Any, ...]", value)

    @contextmanager
    def canary(self) -> Iterator[None]:
        finder = types.SimpleNamespace(find_spec=lambda *_: None)
        sys.meta_path.append(finder)
        try:
            yield
        finally:
            if finder in sys.meta_path:
                sys.meta_path.remove(finder)


class Modules(ProcessState["dict[str, Any]"]):
    """Modules that were replaced in ``sys.modules`` or removed from it. New ones do not count."""

    name = "modules"
    default = repeatable = False  # ``compare`` needs no copy of ``sys.modules``; a second snapshot would

    def read(self) -> dict[str, Any]:
        return sys.modules.copy()

    def compare(self, before: object) -> list[Leftover]:
        old, now = cast("dict[str, Any]", before), sys.modules
        if len(old) == len(now) and same(list(old.values()), list(now.values())):
            return []
        return list(self.differences(old, now))

    def differences(self, before: dict[str, Any], now: dict[str, Any]) -> Iterator[Leftover]:
        for name, module in before.items():
            if name not in now:
                yield self.altered(name, f"the module {name} was removed from sys.modules", name, module)
            elif now[name] is not module:
                yield self.altered(name, f"the module {name} was replaced in sys.modules", name, module)

    def put_back(self, of: Hashable, value: object) -> None:
        sys.modules[cast("str", of)] = cast("Any", value)

    def canary(self) -> Any:
        """See the base class. This call adds the module that the canary then removes."""
        sys.modules[_CANARY] = types.ModuleType(_CANARY)
        return self._canary()

    @contextmanager
    def _canary(self) -> Iterator[None]:
        del sys.modules[_CANARY]
        try:
            yield
        finally:
            sys.modules.pop(_CANARY, None)
