"""Locks and semaphores of asyncio that were acquired and not released."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

from pytest_maskcheck.resources.acquisitions import Acquisitions
from pytest_maskcheck.resources.heap import Family
from pytest_maskcheck.system.untrusted import has, name_of, read


class AsyncLocks(Acquisitions):
    """Locks that are held, and semaphores whose value is lower than before.

    What does not work: a new semaphore without a bound, as nothing shows its initial value.
    """

    name = "async_lock"
    noun = "asyncio lock"
    dies_with_frames = True
    family = Family("asyncio.locks:Lock", "asyncio.locks:Semaphore")

    def count(self, thing: Any) -> int:
        """Return how often a lock or semaphore is acquired; for an unbounded semaphore, relative to an arbitrary number."""
        value = read(thing, "_value")
        if value is None:
            return int(read(thing, "_locked", False))
        return cast("int", read(thing, "_bound_value", 0) - value)

    def more(self, thing: Any, former: Any) -> int:
        if former is None and not (has(thing, "_bound_value") or has(thing, "_locked")):
            return 0
        return self.count(thing) - (former or 0)

    def detail(self, thing: Any, times: int) -> str:  # noqa: ARG002
        return f"an asyncio {name_of(type(thing))} is still held"

    @contextmanager
    def canary(self) -> Iterator[None]:
        import asyncio

        lock = asyncio.Lock()
        # Without an event loop: ``acquire`` of a free lock does not suspend.
        with suppress(StopIteration):
            lock.acquire().send(None)
        try:
            yield
        finally:
            lock.release()
