"""The garbage collector: on or off, its thresholds, its callbacks."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.process_state import ProcessState
from pytest_maskcheck.resources.user_objects import changes, label_of, same
from pytest_maskcheck.system.unpatched import gc

_CALLBACKS: list[Any] = getattr(gc, "callbacks", [])

Collector = tuple[object, object, object, tuple[object, ...]]


class GarbageCollector(ProcessState[Collector]):
    """Whether the collector is enabled, its thresholds, debugging flags and callbacks. Freezing is ignored: the audit freezes."""

    name = "gc"

    def read(self) -> Collector:
        return gc.isenabled(), gc.get_threshold(), gc.get_debug(), tuple(_CALLBACKS)

    def compare(self, before: object) -> list[Leftover]:
        old, now = cast("Collector", before), self.read()
        return [] if same(old, now) else list(self.differences(old, now))

    def differences(self, before: Collector, now: Collector) -> Iterator[Leftover]:
        if before[0] != now[0]:
            yield self.altered("enabled", f"the collector is {'on' if now[0] else 'off'}", "enabled", before[0])
        for key, old, new in (("threshold", before[1], now[1]), ("debug", before[2], now[2])):
            if old != new:
                yield self.altered(key, f"gc.get_{key}() returns {new} (before: {old})", key, old)
        added, removed = changes(before[3], now[3])
        for callback in added:
            yield self.altered("callback", f"{label_of(callback)} was added to gc.callbacks", "callbacks", before[3])
        for callback in removed:
            yield self.altered("callback", f"{label_of(callback)} is no longer in gc.callbacks", "callbacks", before[3])

    def put_back(self, of: Hashable, value: object) -> None:
        former: Any = value
        if of == "enabled":
            gc.enable() if former else gc.disable()
        elif of == "threshold":
            gc.set_threshold(*former)
        elif of == "debug":
            gc.set_debug(former)
        else:
            _CALLBACKS[:] = former

    @contextmanager
    def canary(self) -> Iterator[None]:
        def callback(_phase: str, _details: object) -> None:
            return

        _CALLBACKS.append(callback)
        try:
            yield
        finally:
            if callback in _CALLBACKS:
                _CALLBACKS.remove(callback)
