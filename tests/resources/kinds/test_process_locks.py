"""Held locks and semaphores of multiprocessing."""

from __future__ import annotations

from multiprocessing import get_context
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources.kinds.process_locks import ProcessLocks, ProcessSemaphores

if TYPE_CHECKING:
    from tests.resources.conftest import Watch

CONTEXT = get_context("fork")  # other start methods leave a helper process behind


class Store:
    """An object with a lock as an attribute."""

    def __init__(self, kind: str) -> None:
        self.lock = getattr(CONTEXT, kind)()


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_a_lock_that_is_held_is_a_leftover(watch: Watch, kind: str) -> None:
    """A lock that is held now and was free before is found, under the name of its owner."""
    store = Store(kind)
    compare = watch(ProcessLocks())
    store.lock.acquire()
    (leftover,) = compare()
    assert (leftover.kind, leftover.key) == ("process_lock", "Store.lock")
    store.lock.release()


def test_released_ones_and_those_held_before_do_not_count(watch: Watch) -> None:
    """A lock that was released, or held before, is no leftover."""
    used, before = Store("Lock"), Store("RLock")
    before.lock.acquire()
    compare = watch(ProcessLocks())
    with used.lock:
        pass
    assert compare() == []
    before.lock.release()


def test_a_reentrant_lock_taken_once_more_counts(watch: Watch) -> None:
    """A reentrant lock held more often than before is a leftover."""
    store = Store("RLock")
    store.lock.acquire()
    compare = watch(ProcessLocks())
    store.lock.acquire()
    (leftover,) = compare()
    kind = ProcessLocks()
    kind.prepare()
    assert kind.repair(leftover)
    assert compare() == []
    store.lock.release()


def test_repair_releases_the_lock(watch: Watch) -> None:
    """After the repair another process could acquire the lock."""
    store = Store("Lock")
    kind = ProcessLocks()
    compare = watch(kind)
    store.lock.acquire()
    (leftover,) = compare()
    assert kind.repair(leftover)
    assert store.lock.acquire(block=False)
    store.lock.release()


def test_a_semaphore_that_was_acquired_is_a_leftover(watch: Watch) -> None:
    """An acquired semaphore is a leftover if it is older, or is new and has a bound; repair releases it."""
    kind = ProcessSemaphores()
    older = [CONTEXT.BoundedSemaphore(2), CONTEXT.Semaphore(2)]
    compare = watch(kind)
    assert compare() == []
    for semaphore in [*older, CONTEXT.BoundedSemaphore(2)]:
        semaphore.acquire()
        semaphore.acquire()
        (leftover,) = compare()
        assert leftover.token == (id(semaphore), 2)
        assert "was acquired and not released (2)" in leftover.detail
        assert kind.repair(leftover)
        assert compare() == []


def test_a_semaphore_that_was_released_is_no_leftover(watch: Watch) -> None:
    """A semaphore is no leftover if it was released, was acquired before, or is new and has no bound."""
    low, other = CONTEXT.BoundedSemaphore(2), CONTEXT.Semaphore(2)
    low.acquire()
    compare = watch(ProcessSemaphores())
    with other:
        pass
    new = CONTEXT.Semaphore(0)
    new.release()
    new.acquire()
    assert compare() == []


def test_semaphores_that_count_something_else_are_no_leftovers(watch: Watch) -> None:
    """A cleared event, a queue with an item and a condition that was waited for are no leftovers, although they use semaphores."""
    event, queue, condition = CONTEXT.Event(), CONTEXT.Queue(3), CONTEXT.Condition()
    event.set()
    compare = watch(ProcessSemaphores())
    event.clear()
    queue.put(1)
    with condition:
        condition.wait(0.001)
    assert compare() == []
    assert queue.get() == 1
    queue.close()
    queue.join_thread()
