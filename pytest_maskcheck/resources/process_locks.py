"""Locks and semaphores between processes that are held: those of ``multiprocessing``.

They live in memory that processes share, so one that is held by an audited process which ends stays held for all
others. They are released before the process is thrown away.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

from pytest_maskcheck.resources.base import Kind, Leftover
from pytest_maskcheck.resources.heap import Census, Family, name_of

_LOCKS = Family("multiprocessing.synchronize:Lock", "multiprocessing.synchronize:RLock")
_NONE: dict[int, Any] = {}


class ProcessLocks(Kind):
    """``multiprocessing.Lock`` and ``RLock`` held by the main thread now and not before. The token is the lock's id."""

    name = "process_lock"
    repeatable = True
    outlives = True

    blocks = True

    def __init__(self) -> None:
        self._census = Census(_LOCKS.made)

    def prepare(self) -> None:
        self._census.take()

    def _held(self) -> dict[int, tuple[Any, int]]:
        """Return the locks held, each with how often it was acquired."""
        locks = cast("list[Any]", self._census.alive())
        if not locks:
            return _NONE
        return {id(lock): (lock, lock._semlock._count()) for lock in locks if lock._semlock._is_mine()}  # noqa: SLF001

    def snapshot(self) -> object:
        held = self._held()
        return {ident: depth for ident, (_, depth) in held.items()} if held else _NONE

    def compare(self, before: object) -> list[Leftover]:
        held = self._held()
        if not held:
            return []
        known = cast("dict[int, int]", before)
        return [
            self._leftover(lock, depth - known.get(ident, 0))
            for ident, (lock, depth) in held.items()
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


_SEMAPHORES = Family(
    "multiprocessing.synchronize:Semaphore",
    "multiprocessing.synchronize:Condition",
    "multiprocessing.synchronize:Event",
    "multiprocessing.queues:Queue",
)
_PARTS = {
    "_sem": "how much room a queue has",
    "_flag": "whether an event is set",
    "_sleeping_count": "who waits for a condition",
    "_woken_count": "who was woken",
    "_unfinished_tasks": "what is in a queue",
}
"""Semaphores that count something within another object, by the attributes in which they are kept."""

_Taken = dict[int, tuple["weakref.ref[object]", int, int]]


class ProcessSemaphores(Kind):
    """``multiprocessing`` semaphores that this process acquired and did not release, and that are lower than before.

    A new one that is not bounded cannot be told. The token is the id and how often it was acquired.
    """

    name = "process_semaphore"
    repeatable = True
    outlives = True

    blocks = True

    def __init__(self) -> None:
        self._census = Census(_SEMAPHORES.made)

    def prepare(self) -> None:
        self._census.take()

    def _alive(self) -> list[Any]:
        """Return the semaphores that are no part of another object."""
        alive = cast("list[Any]", self._census.alive())
        if not alive:
            return []
        parts = {id(vars(thing).get(part)) for thing in alive for part in _PARTS}
        return [thing for thing in alive if hasattr(thing, "_semlock") and id(thing) not in parts]

    def snapshot(self) -> object:
        alive = self._alive()
        return {id(thing): (weakref.ref(thing), *_taken(thing)) for thing in alive} if alive else _NONE

    def compare(self, before: object) -> list[Leftover]:
        alive = self._alive()
        if not alive:
            return []
        return [self._leftover(thing, times) for thing in alive if (times := _more(thing, cast("_Taken", before))) > 0]

    def _leftover(self, semaphore: object, times: int) -> Leftover:
        key = name_of(semaphore, "process semaphore")
        detail = f"a semaphore between processes was acquired and not released ({times}): {key}"
        return Leftover(self.name, key, detail, (id(semaphore), times))

    def describe(self, leftover: Leftover) -> Leftover:
        return self._census.renamed(leftover)

    def thing(self, leftover: Leftover) -> object | None:
        return self._census.of(leftover)

    def finish(self, before: object) -> None:  # noqa: ARG002
        self._census.settle()

    def repair(self, leftover: Leftover) -> bool:
        ident, times = cast("tuple[int, int]", leftover.token)
        for semaphore in self._alive():
            if id(semaphore) == ident:
                with suppress(ValueError):  # somebody else has released it since
                    for _ in range(times):
                        semaphore.release()
        return True

    @contextmanager
    def canary(self) -> Iterator[None]:
        from multiprocessing import get_all_start_methods, get_context

        semaphore = get_context("fork" if "fork" in get_all_start_methods() else None).BoundedSemaphore(1)
        with semaphore:
            yield


def _taken(semaphore: Any) -> tuple[int, int]:
    """Return how often this process has acquired a semaphore, and how low it is; on macOS nobody can say the latter."""
    lock = semaphore._semlock  # noqa: SLF001
    try:
        return lock._count(), -lock._get_value()  # noqa: SLF001
    except NotImplementedError:
        return lock._count(), lock._count()  # noqa: SLF001


def _more(semaphore: Any, before: _Taken) -> int:
    """Return how often the semaphore was acquired since."""
    count, low = _taken(semaphore)
    ref, former_count, former_low = before.get(id(semaphore), (None, 0, 0))
    if ref is None or ref() is not semaphore:
        if not type(semaphore).__name__.startswith("Bounded"):
            return 0
        former_count, former_low = 0, -semaphore._semlock.maxvalue  # noqa: SLF001
    return min(count - former_count, low - former_low)
