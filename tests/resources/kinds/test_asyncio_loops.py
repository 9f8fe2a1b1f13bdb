"""Event loops, tasks and timers of asyncio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources import Surroundings
from pytest_maskcheck.resources.kinds.asyncio_loops import Loops, LoopTimers, Tasks

if TYPE_CHECKING:
    from tests.resources.conftest import Watch

pytestmark = pytest.mark.usefixtures("frozen_heap")


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Yield an event loop that is older than the snapshot."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


async def wait() -> None:
    """Wait forever."""
    await asyncio.get_running_loop().create_future()


async def _begin(*tasks: asyncio.Task[None]) -> None:
    await asyncio.sleep(0)


def test_a_loop_that_is_not_closed_is_a_leftover(watch: Watch) -> None:
    """A loop that is not closed is a leftover; repair closes it and cancels its tasks."""
    kind = Loops()
    compare = watch(kind)
    loop = asyncio.new_event_loop()
    task = loop.create_task(wait())
    (leftover,) = compare()
    assert (leftover.key, leftover.detail) == (type(loop).__name__, f"event loop {type(loop).__name__} is not closed")
    assert kind.repair(leftover)
    assert loop.is_closed()
    assert task.cancelled()
    assert compare() == []


def test_a_loop_that_another_thread_runs_is_not_closed_under_it(watch: Watch) -> None:
    """Repair stops a loop that another thread runs, but does not close it while that thread may still use it."""
    kind = Loops()
    compare = watch(kind)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    while not loop.is_running():
        pass
    (leftover,) = compare()
    assert not kind.repair(leftover)
    thread.join()
    assert kind.repair(leftover)


def test_clean_asyncio_leaves_nothing(surroundings: Surroundings, watch: Watch) -> None:
    """``asyncio.run`` with tasks, timeouts and sleeps leaves nothing."""

    async def main() -> None:
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0.001))
        forgotten = asyncio.create_task(wait())
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(10), 0.001)
        del forgotten

    compares = [watch(kind) for kind in (Loops(), Tasks(surroundings), LoopTimers(surroundings))]
    asyncio.run(main())
    assert [compare() for compare in compares] == [[], [], []]


@pytest.mark.parametrize("sort", ["_C", "_Py"])
def test_a_pending_task_is_a_leftover(
    surroundings: Surroundings, watch: Watch, loop: asyncio.AbstractEventLoop, sort: str
) -> None:
    """A pending task is a leftover, of the Python implementation too; repair cancels it."""
    make = asyncio.Task if sort == "_C" else asyncio.tasks._PyTask  # type: ignore[attr-defined]
    kind = Tasks(surroundings)
    compare = watch(kind)
    task = make(wait(), loop=loop, name="T")
    loop.run_until_complete(_begin(task))
    (leftover,) = compare()
    assert (leftover.key, leftover.detail) == ("wait", "task 'T' (wait) is not done")
    assert kind.repair(leftover)
    assert task.cancelled()
    assert compare() == []


def test_a_task_of_a_closed_loop_is_a_leftover(surroundings: Surroundings, watch: Watch) -> None:
    """Repair closes the coroutine of a task whose loop is closed, since the task can no longer be cancelled."""
    kind = Tasks(surroundings)
    compare = watch(kind)
    loop = asyncio.new_event_loop()
    tasks = [loop.create_task(wait()) for _ in range(2)]
    loop.run_until_complete(_begin(*tasks))
    loop.close()
    found = compare()
    assert [leftover.key for leftover in found] == ["wait", "wait"]
    assert all(kind.repair(leftover) for leftover in found)
    assert compare() == []


def test_a_task_that_was_there_before_is_not_a_leftover(
    surroundings: Surroundings, watch: Watch, loop: asyncio.AbstractEventLoop
) -> None:
    """A task from before the snapshot is no leftover, nor is one that is done."""
    older = loop.create_task(wait())
    compare = watch(Tasks(surroundings))
    task = loop.create_task(asyncio.sleep(0))
    loop.run_until_complete(task)
    assert compare() == []
    older.cancel()
    with suppress(asyncio.CancelledError):
        loop.run_until_complete(older)


def test_a_timer_is_a_leftover_until_it_is_cancelled(
    surroundings: Surroundings, watch: Watch, loop: asyncio.AbstractEventLoop
) -> None:
    """A timer is a leftover until it is cancelled, called, or its loop is closed; the timer of a sleeping task is never one."""
    kind = LoopTimers(surroundings)
    compare = watch(kind)
    called = loop.call_later(0, wait.__name__.upper)
    sleeping = loop.create_task(asyncio.sleep(10))
    loop.run_until_complete(asyncio.sleep(0.001))
    assert compare() == []
    timer = loop.call_later(60, threading.Event().set)
    (leftover,) = compare()
    assert (leftover.key, leftover.detail) == ("Event.set", "a loop is still to call Event.set")
    assert kind.repair(leftover)
    assert timer.cancelled()
    assert compare() == []
    sleeping.cancel()
    with suppress(asyncio.CancelledError):
        loop.run_until_complete(sleeping)
    late = loop.call_later(60, print)
    loop.close()
    assert compare() == []
    del called, late
