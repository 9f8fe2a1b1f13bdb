"""Held locks of multiprocessing."""

from __future__ import annotations

from multiprocessing import get_context
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources.process_locks import ProcessLocks

if TYPE_CHECKING:
    from tests.resources.conftest import Watch


class Store:
    """Something that keeps a lock."""

    def __init__(self, kind: str) -> None:
        self.lock = getattr(get_context("fork"), kind)()  # others start a process that stays


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_a_lock_that_is_held_is_a_leftover(watch: Watch, kind: str) -> None:
    """One that was free before is seen under the name of its holder."""
    store = Store(kind)
    compare = watch(ProcessLocks())
    store.lock.acquire()
    (leftover,) = compare()
    assert (leftover.kind, leftover.key) == ("process_lock", "Store.lock")
    store.lock.release()


def test_released_ones_and_those_held_before_do_not_count(watch: Watch) -> None:
    """Neither does a lock used properly, nor one that was held already."""
    used, before = Store("Lock"), Store("RLock")
    before.lock.acquire()
    compare = watch(ProcessLocks())
    with used.lock:
        pass
    assert compare() == []
    before.lock.release()


def test_a_reentrant_lock_taken_once_more_counts(watch: Watch) -> None:
    """The depth matters, not only whether it is held."""
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
    """Another process could take it again."""
    store = Store("Lock")
    kind = ProcessLocks()
    compare = watch(kind)
    store.lock.acquire()
    (leftover,) = compare()
    assert kind.repair(leftover)
    assert store.lock.acquire(block=False)
    store.lock.release()
