"""Locks between processes that are held: those of ``multiprocessing``.

They live in memory that processes share, so one that is held by an audited process which ends stays held for all
others. They are released before the process is thrown away.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

from pytest_maskcheck.resources.base import Kind, Leftover
from pytest_maskcheck.resources.heap import Census, name_of

_MODULE = "multiprocessing.synchronize"


def _types() -> frozenset[type]:
    """Return the types of locks, of which there are none before somebody imports them."""
    module = sys.modules.get(_MODULE)
    return frozenset({module.Lock, module.RLock}) if module is not None else frozenset()


class ProcessLocks(Kind):
    """``multiprocessing.Lock`` and ``RLock`` held by the main thread now and not before. The token is the lock's id."""

    name = "process_lock"
    outlives = True

    blocks = True

    def __init__(self) -> None:
        self._census = Census(_types)

    def prepare(self) -> None:
        self._census.take()

    def _held(self) -> dict[int, tuple[Any, int]]:
        """Return the locks held, each with how often it was acquired."""
        if _MODULE not in sys.modules:
            return {}
        locks = cast("list[Any]", self._census.alive())
        return {id(lock): (lock, lock._semlock._count()) for lock in locks if lock._semlock._is_mine()}  # noqa: SLF001

    def snapshot(self) -> object:
        return {ident: depth for ident, (_, depth) in self._held().items()}

    def compare(self, before: object) -> list[Leftover]:
        known = cast("dict[int, int]", before)
        return [
            self._leftover(lock, depth - known.get(ident, 0))
            for ident, (lock, depth) in self._held().items()
            if depth > known.get(ident, 0)
        ]

    def _leftover(self, lock: object, times: int) -> Leftover:
        key = name_of(lock, "process lock")
        return Leftover(self.name, key, f"a lock between processes is still held: {key}", (id(lock), times))

    def describe(self, leftover: Leftover) -> Leftover:
        return self._census.renamed(leftover)

    def thing(self, leftover: Leftover) -> object | None:
        return self._census.of(leftover)

    def finish(self, before: object) -> None:  # noqa: ARG002
        self._census.settle()

    def repair(self, leftover: Leftover) -> bool:
        ident, times = cast("tuple[int, int]", leftover.token)
        lock = self._held().get(ident, (None, 0))[0]
        with suppress(ValueError, AssertionError):
            for _ in range(times if lock is not None else 0):
                lock.release()
        return True

    @contextmanager
    def canary(self) -> Iterator[None]:
        from multiprocessing import get_all_start_methods, get_context

        # A lock for other start methods would start the resource tracker, a process that stays.
        lock = get_context("fork" if "fork" in get_all_start_methods() else None).Lock()
        with lock:
            yield
