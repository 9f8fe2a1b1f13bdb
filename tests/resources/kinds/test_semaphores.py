"""Acquired semaphores."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources.kinds.semaphores import Semaphores

if TYPE_CHECKING:
    from tests.resources.conftest import Watch


class Pool:
    """An object with a semaphore as an attribute."""

    def __init__(self, semaphore: threading.Semaphore) -> None:
        self.places = semaphore


class Own(threading.Semaphore):
    """A subclass, which counts too."""


@pytest.mark.parametrize("kind_of", [threading.Semaphore, threading.BoundedSemaphore, Own])
def test_an_older_semaphore_that_was_acquired_is_a_leftover(watch: Watch, kind_of: type[threading.Semaphore]) -> None:
    """An older semaphore whose value is lower than before is a leftover, under the name of its owner."""
    pool = Pool(kind_of(3))
    compare = watch(Semaphores())
    pool.places.acquire()
    pool.places.acquire()
    (leftover,) = compare()
    assert (leftover.kind, leftover.key) == ("semaphore", "Pool.places")
    assert leftover.detail == f"a {kind_of.__name__} was acquired and not released (2): Pool.places"
    assert compare() == [leftover]


@pytest.mark.usefixtures("frozen_heap")
def test_a_new_bounded_semaphore_knows_where_it_began(watch: Watch) -> None:
    """A new bounded semaphore is a leftover if its value is lower than its initial one."""
    compare = watch(Semaphores())
    pool = Pool(threading.BoundedSemaphore(2))
    assert compare() == []
    pool.places.acquire()
    assert [leftover.key for leftover in compare()] == ["Pool.places"]


def test_released_ones_and_new_unbounded_ones_do_not_count(watch: Watch) -> None:
    """A semaphore is no leftover if it was released, was acquired before, or is new and has no bound."""
    busy, free = threading.Semaphore(1), threading.Semaphore(1)
    busy.acquire()
    compare = watch(Semaphores())
    with free:
        pass
    free.release()
    new = threading.Semaphore(1)
    new.acquire()
    assert compare() == []
    assert busy._value == 0


def test_repair_releases_what_is_missing(watch: Watch) -> None:
    """Repair restores the former value."""
    kind, pool = Semaphores(), Pool(threading.BoundedSemaphore(3))
    compare = watch(kind)
    pool.places.acquire()
    pool.places.acquire()
    (leftover,) = compare()
    assert kind.repair(leftover) is True
    assert compare() == []
    assert pool.places._value == 3


def test_repair_says_when_somebody_else_was_faster(watch: Watch) -> None:
    """Repair returns false for a bounded semaphore that is full again, and leaves it unchanged."""
    kind, pool = Semaphores(), Pool(threading.BoundedSemaphore(1))
    compare = watch(kind)
    pool.places.acquire()
    (leftover,) = compare()
    pool.places.release()
    assert kind.repair(leftover) is False
    assert pool.places._value == 1


def test_one_that_another_thread_is_about_to_release_is_no_leftover(watch: Watch) -> None:
    """A semaphore that another thread releases shortly after the run is no leftover."""
    pool, ready = Pool(threading.Semaphore(1)), threading.Event()

    def work() -> None:
        ready.set()
        for number in range(200_000):
            hash(number)
        pool.places.release()

    compare = watch(Semaphores())
    pool.places.acquire()
    thread = threading.Thread(target=work)
    thread.start()
    ready.wait()
    assert compare() == []
    thread.join()


def test_one_that_threads_which_wait_do_not_release_is_a_leftover(watch: Watch) -> None:
    """An acquired semaphore is a leftover while the other threads only wait, since none of them will release it."""
    pool, end = Pool(threading.Semaphore(1)), threading.Event()
    compare = watch(Semaphores())
    pool.places.acquire()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        assert [leftover.key for leftover in compare()] == ["Pool.places"]
    finally:
        end.set()
        thread.join()


def test_an_executor_whose_thread_becomes_idle_is_no_leftover(watch: Watch) -> None:
    """An executor's count of idle threads is no leftover while a thread has not yet come back for work."""
    with ThreadPoolExecutor(1) as executor:
        executor.submit(int).result()
        while not executor._idle_semaphore._value:  # type: ignore[attr-defined]
            pass
        kind = Semaphores()
        compare = watch(kind)
        for _ in range(50):
            executor.submit(int).result()
            assert compare() == []
