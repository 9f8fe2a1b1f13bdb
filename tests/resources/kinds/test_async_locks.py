"""Locks and semaphores of asyncio."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.resources.kinds.async_locks import AsyncLocks

if TYPE_CHECKING:
    from tests.resources.conftest import Watch

pytestmark = pytest.mark.usefixtures("frozen_heap")


class Store:
    """An object with a lock as an attribute."""

    def __init__(self, lock: Any) -> None:
        self.lock = lock


async def acquire(lock: Any) -> None:
    await lock.acquire()


@pytest.mark.parametrize("make", [asyncio.Lock, asyncio.Condition, asyncio.BoundedSemaphore])
def test_a_held_lock_is_a_leftover(watch: Watch, make: Any) -> None:
    """A held lock, older or newer than the snapshot, is a leftover; repair releases it."""
    older = Store(make())
    kind = AsyncLocks()
    compare = watch(kind)
    assert compare() == []
    for store in older, Store(make()):
        asyncio.run(acquire(store.lock))
        (leftover,) = compare()
        assert leftover.key == ("Condition._lock" if make is asyncio.Condition else "Store.lock")
        assert "is still held" in leftover.detail
        assert kind.repair(leftover)
        assert compare() == []


def test_a_semaphore_without_bounds_is_compared_with_what_it_was(watch: Watch) -> None:
    """A semaphore without a bound is compared with its former value; a new one has none and is not reported."""
    older = asyncio.Semaphore(3)
    asyncio.run(acquire(older))
    compare = watch(AsyncLocks())
    new = asyncio.Semaphore(0)
    new.release()
    asyncio.run(acquire(new))
    assert compare() == []
    asyncio.run(acquire(older))
    assert len(compare()) == 1


def test_locks_that_were_released_are_no_leftovers(watch: Watch) -> None:
    """Locks that were released, or held before, are no leftovers."""
    held, lock = asyncio.Lock(), asyncio.Lock()
    asyncio.run(acquire(held))

    async def main() -> None:
        async with lock, asyncio.BoundedSemaphore(1), asyncio.Condition():
            await asyncio.sleep(0)

    compare = watch(AsyncLocks())
    asyncio.run(main())
    assert compare() == []
