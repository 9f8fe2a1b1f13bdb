"""Executors, pools and managers."""

from __future__ import annotations

import multiprocessing
import multiprocessing.managers
import multiprocessing.pool
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.resources.kinds.executors import Executors, Managers, Pools

if TYPE_CHECKING:
    from tests.resources.conftest import Watch

pytestmark = [
    pytest.mark.usefixtures("frozen_heap"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
FORK = multiprocessing.get_context("fork")


class Derived(ThreadPoolExecutor):
    """A user's subclass."""


def test_an_executor_with_threads_is_a_leftover_until_it_is_shut_down(watch: Watch) -> None:
    """An executor is a leftover once it has threads; repair cancels pending work and does not wait for running work."""
    kind = Executors()
    compare = watch(kind)
    executor = Derived(1)
    assert compare() == []
    goes_on = threading.Event()
    running = executor.submit(goes_on.wait, 10)
    pending = executor.submit(int)
    (leftover,) = compare()
    assert (leftover.key, leftover.detail) == ("Derived", "Derived was not shut down")
    assert kind.repair(leftover)
    assert not running.done()  # nobody has ended the work, and repair has not waited for it
    goes_on.set()
    assert pending.cancelled()
    assert compare() == []
    executor.shutdown()


def test_an_executor_with_processes_is_a_leftover(watch: Watch) -> None:
    """An executor with processes is a leftover; repair kills its processes."""
    kind = Executors()
    compare = watch(kind)
    executor = ProcessPoolExecutor(1, mp_context=FORK)
    executor.submit(time.sleep, 60)
    processes = list(executor._processes.values())
    (leftover,) = compare()
    assert leftover.key == "ProcessPoolExecutor"
    assert kind.repair(leftover)
    sentinels = [process.sentinel for process in processes]  # the executor's own thread may be the one that reaps them
    assert wait(sentinels, 10) == sentinels
    assert compare() == []
    executor.shutdown()


@pytest.mark.skipif(sys.version_info < (3, 14), reason="since 3.14")
def test_an_executor_with_interpreters_is_a_leftover(watch: Watch) -> None:
    """An ``InterpreterPoolExecutor``, which is a subclass of ``ThreadPoolExecutor``, is a leftover."""
    from concurrent.futures import InterpreterPoolExecutor  # type: ignore[attr-defined]

    compare = watch(Executors())
    with InterpreterPoolExecutor(1) as executor:
        executor.submit(int).result()
        assert [leftover.key for leftover in compare()] == ["InterpreterPoolExecutor"]
    assert compare() == []


@pytest.mark.parametrize("make", [ThreadPoolExecutor, lambda n: ProcessPoolExecutor(n, mp_context=FORK)])
def test_an_executor_that_was_shut_down_is_no_leftover(watch: Watch, make: type[Executor]) -> None:
    """An executor that was shut down is no leftover, although the object still exists."""
    compare = watch(Executors())
    with make(1) as executor:  # type: ignore[call-arg]
        assert executor.submit(int).result() == 0
    assert compare() == []


@pytest.mark.parametrize("make", [FORK.Pool, multiprocessing.pool.ThreadPool])
def test_a_pool_is_a_leftover_until_it_is_terminated(watch: Watch, make: Callable[[int], Any]) -> None:
    """A pool of processes or threads is a leftover; repair ends its workers."""
    kind = Pools()
    compare = watch(kind)
    pool = make(1)
    workers = pool._pool
    (leftover,) = compare()
    name = type(pool).__name__
    assert (leftover.key, leftover.detail) == (name, f"{name} was neither closed nor terminated")
    assert kind.repair(leftover)
    pool.join()
    assert not any(worker.is_alive() for worker in workers)
    assert compare() == []


def test_a_pool_that_was_left_is_no_leftover(watch: Watch) -> None:
    """A pool whose ``with`` statement has ended, or that was closed, is no leftover."""
    compare = watch(Pools())
    with multiprocessing.pool.ThreadPool(1) as pool:
        assert pool.apply(int) == 0
    closed = multiprocessing.pool.ThreadPool(1)
    closed.close()
    assert compare() == []
    for each in pool, closed:
        each.join()


def test_a_manager_is_a_leftover_until_it_is_shut_down(watch: Watch) -> None:
    """A started manager is a leftover; one that was never started has no process and is not."""
    kind = Managers()
    compare = watch(kind)
    manager = multiprocessing.managers.SyncManager(ctx=FORK)
    assert compare() == []
    manager.start()
    process = manager._process  # type: ignore[attr-defined]
    (leftover,) = compare()
    assert (leftover.key, leftover.detail) == ("SyncManager", "SyncManager was not shut down")
    assert kind.repair(leftover)
    assert not process.is_alive()
    assert compare() == []


def test_a_manager_that_was_left_is_no_leftover(watch: Watch) -> None:
    """A manager that ``with`` started and shut down is no leftover."""
    compare = watch(Managers())
    with multiprocessing.managers.BaseManager(ctx=FORK) as manager:
        assert len(compare()) == 1
    assert compare() == []
    del manager
