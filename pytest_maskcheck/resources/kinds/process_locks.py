"""Held locks and semaphores of ``multiprocessing``.

They are in memory that processes share. If an audited process ended while it held a lock, the lock would stay held for all
others. So locks are released before the process is discarded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from pytest_maskcheck.resources.acquisitions import Acquisitions
from pytest_maskcheck.resources.heap import Family
from pytest_maskcheck.system.untrusted import has, name_of, read

_PARTS = {
    "_sem": "how much room a queue has",
    "_flag": "whether an event is set",
    "_sleeping_count": "who waits for a condition",
    "_woken_count": "who was woken",
    "_unfinished_tasks": "what is in a queue",
}
"""Attributes that hold a semaphore as a part of another object, and what the semaphore counts there."""


class ProcessLocks(Acquisitions):
    """``multiprocessing.Lock`` and ``RLock`` held by the main thread now and not before."""

    name = "process_lock"
    noun = "process lock"
    outlives = True
    per_thread = True
    family = Family("multiprocessing.synchronize:Lock", "multiprocessing.synchronize:RLock")

    def count(self, thing: Any) -> int:
        lock = _lock(thing)
        return lock._count() if lock._is_mine() else 0  # noqa: SLF001

    def more(self, thing: Any, former: Any) -> int:
        return self.count(thing) - (former or 0)

    def detail(self, thing: Any, times: int) -> str:  # noqa: ARG002
        return "a lock between processes is still held"

    @contextmanager
    def canary(self) -> Iterator[None]:
        with fork_context().Lock():
            yield


class ProcessSemaphores(Acquisitions):
    """``multiprocessing`` semaphores that this process acquired and did not release, and whose value is lower than before.

    What does not work: a new semaphore without a bound, as nothing shows its initial value.
    """

    name = "process_semaphore"
    noun = "process semaphore"
    outlives = True
    family = Family(
        "multiprocessing.synchronize:Semaphore",
        "multiprocessing.synchronize:Condition",
        "multiprocessing.synchronize:Event",
        "multiprocessing.queues:Queue",
    )

    def alive(self) -> list[Any]:
        """Return the semaphores that are not part of another object."""
        alive = super().alive()
        parts = {id(read(thing, part)) for thing in alive for part in _PARTS}
        return [thing for thing in alive if has(thing, "_semlock") and id(thing) not in parts]

    def count(self, thing: Any) -> tuple[int, int]:
        """Return how often this process has acquired a semaphore, and its negated value; on macOS, the former twice."""
        lock = _lock(thing)
        try:
            return lock._count(), -lock._get_value()  # noqa: SLF001
        except NotImplementedError:  # macOS has no ``sem_getvalue``
            return lock._count(), lock._count()  # noqa: SLF001

    def more(self, thing: Any, former: Any) -> int:
        count, low = self.count(thing)
        if former is None and not name_of(type(thing)).startswith("Bounded"):
            return 0
        former_count, former_low = (0, -_lock(thing).maxvalue) if former is None else former
        return cast("int", min(count - former_count, low - former_low))

    def detail(self, thing: Any, times: int) -> str:  # noqa: ARG002
        return f"a semaphore between processes was acquired and not released ({times})"

    @contextmanager
    def canary(self) -> Iterator[None]:
        with fork_context().BoundedSemaphore(1):
            yield


def _lock(thing: object) -> Any:
    return object.__getattribute__(thing, "_semlock")


def fork_context() -> Any:
    """Return a context to make locks and start processes with: ``fork`` if there is one.

    Other start methods start helpers that stay, such as the resource tracker.
    """
    from multiprocessing import get_all_start_methods, get_context

    return get_context("fork" if "fork" in get_all_start_methods() else None)
