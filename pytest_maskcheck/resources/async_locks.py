"""Locks and semaphores of asyncio that were acquired and not released."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

from pytest_maskcheck.resources.base import Kind, Leftover
from pytest_maskcheck.resources.heap import Census, Family, name_of

_LOCKS = Family("asyncio.locks:Lock", "asyncio.locks:Semaphore")
_Values = dict[int, tuple["weakref.ref[object]", int]]
_NONE: _Values = {}


def _held(lock: Any) -> int:
    """Return how much is taken of a lock or semaphore, of an unbounded one against an arbitrary number."""
    value = getattr(lock, "_value", None)
    if value is None:
        return int(getattr(lock, "_locked", False))
    return cast("int", getattr(lock, "_bound_value", 0) - value)


class AsyncLocks(Kind):
    """Locks held, and semaphores lower than before; new ones that are not bounded cannot be told. The token is the id."""

    name = "async_lock"
    repeatable = True
    dies_with_frames = True

    blocks = True

    def __init__(self) -> None:
        self._census = Census(_LOCKS.made)

    def prepare(self) -> None:
        self._census.take()

    def snapshot(self) -> object:
        alive = self._alive()
        return {id(lock): (weakref.ref(lock), _held(lock)) for lock in alive} if alive else _NONE

    def _alive(self) -> list[object]:
        return self._census.alive()

    def compare(self, before: object) -> list[Leftover]:
        alive = self._alive()
        if not alive:
            return []
        return [
            self._leftover(lock, times)
            for lock in alive
            if (times := _held(lock) - _former(lock, cast("_Values", before))) > 0
        ]

    def _leftover(self, lock: object, times: int) -> Leftover:
        key = name_of(lock, "asyncio lock")
        detail = f"an asyncio {type(lock).__qualname__} is still held: {key}"
        return Leftover(self.name, key, detail, (id(lock), times))

    def describe(self, leftover: Leftover) -> Leftover:
        return self._census.renamed(leftover)

    def thing(self, leftover: Leftover) -> object | None:
        return self._census.of(leftover)

    def finish(self, before: object) -> None:  # noqa: ARG002
        self._census.settle()

    def repair(self, leftover: Leftover) -> bool:
        ident, times = cast("tuple[int, int]", leftover.token)
        for lock in cast("list[Any]", self._alive()):
            if id(lock) == ident:
                with suppress(RuntimeError, ValueError):  # somebody else has released it; its loop is closed
                    for _ in range(times):
                        lock.release()
        return True

    @contextmanager
    def canary(self) -> Iterator[None]:
        import asyncio

        lock = asyncio.Lock()
        with suppress(StopIteration):
            lock.acquire().send(None)
        try:
            yield
        finally:
            lock.release()


def _former(lock: object, before: _Values) -> int:
    """Return how much was taken before; of a new semaphore that is not bounded, what is now."""
    ref, held = before.get(id(lock), (None, 0))
    if ref is not None and ref() is lock:
        return held
    return 0 if hasattr(lock, "_bound_value") or hasattr(lock, "_locked") else _held(lock)
