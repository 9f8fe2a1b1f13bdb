"""What asyncio leaves: event loops that are not closed, tasks that are not done, timers that have not expired.

A task of a closed loop is never done. It counts as left until its coroutine has ended.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pytest_maskcheck.resources.heap import Family
from pytest_maskcheck.resources.open_objects import OpenObjects
from pytest_maskcheck.system.untrusted import name_of, read

TASKS = Family("_asyncio:Task", "asyncio.tasks:_PyTask")
_TURNS = 5  # iterations of their loop that cancelled tasks get to end


class Loops(OpenObjects):
    """Event loops that are not closed."""

    name = "loop"
    owns = True
    warns = "unclosed event loop"
    family = Family("asyncio.base_events:BaseEventLoop")

    def is_open(self, thing: Any) -> bool:
        return not read(thing, "_closed", True)

    def key_and_detail(self, thing: Any) -> tuple[str, str]:
        name = name_of(type(thing))
        return name, f"event loop {name} is not closed"

    def descriptors(self, thing: Any) -> Iterable[Any]:
        return [read(thing, name) for name in ("_selector", "_ssock", "_csock")]

    def close(self, thing: Any) -> None:
        if thing.is_running():  # in another thread
            thing.call_soon_threadsafe(thing.stop)
            return
        with suppress(Exception):
            tasks = sys.modules["asyncio"].all_tasks(thing)
            for task in tasks:
                task.cancel()
            _turn(thing, tasks)
        thing.close()

    @contextmanager
    def canary(self) -> Iterator[None]:
        import asyncio

        loop = asyncio.new_event_loop()
        try:
            yield
        finally:
            loop.close()


class Tasks(OpenObjects):
    """Tasks that are not done, with a coroutine that has not ended."""

    name = "task"
    owns = True
    settles = True
    family = TASKS

    def is_open(self, thing: Any) -> bool:
        return not thing.done() and getattr(thing.get_coro(), "cr_frame", thing) is not None

    def key_and_detail(self, thing: Any) -> tuple[str, str]:
        coroutine = thing.get_coro()
        name = str(getattr(coroutine, "__qualname__", type(coroutine).__qualname__))
        return self.surroundings.text(name), f"task {thing.get_name()!r} ({name}) is not done"

    def close(self, thing: Any) -> None:
        loop = thing.get_loop()
        if not loop.is_closed():
            if loop.is_running():  # in another thread
                loop.call_soon_threadsafe(thing.cancel)
                return
            thing.cancel()
            _turn(loop, [thing])
        if not thing.done():
            # Else the task, which can no longer be done, is reported to the loop's exception handler when it is freed.
            thing._log_destroy_pending = False  # noqa: SLF001
            thing.get_coro().close()

    @contextmanager
    def canary(self) -> Iterator[None]:
        import asyncio

        loop = asyncio.new_event_loop()
        task = loop.create_task(asyncio.sleep(0))
        try:
            yield
        finally:
            if not task.done():
                loop.run_until_complete(asyncio.wait([task]))
            loop.close()


class LoopTimers(OpenObjects):
    """Calls scheduled on an open loop with ``call_later`` or ``call_at``. Those that asyncio schedules itself belong to tasks."""

    name = "timer"
    family = Family("asyncio.events:TimerHandle")

    def is_open(self, thing: Any) -> bool:
        if (
            not read(thing, "_scheduled", False)
            or read(thing, "_cancelled")
            or read(read(thing, "_loop"), "_closed", False)
        ):
            return False
        return not str(read(_called(thing), "__module__", "")).startswith("asyncio.")

    def key_and_detail(self, thing: Any) -> tuple[str, str]:
        callback = _called(thing)
        callback = _function(read(callback, "func", callback))
        name = str(read(callback, "__qualname__", name_of(type(callback))))
        return self.surroundings.text(name), f"a loop is still to call {name}"

    def close(self, thing: Any) -> None:
        thing.cancel()

    @contextmanager
    def canary(self) -> Iterator[None]:
        import asyncio

        loop = asyncio.new_event_loop()
        timer = loop.call_later(60, print)
        try:
            yield
        finally:
            timer.cancel()
            loop.close()


def _called(timer: Any) -> Any:
    return _function(read(timer, "_callback"))


def _function(callback: Any) -> Any:
    return callback.__func__ if type(callback) is types.MethodType else callback


def _turn(loop: Any, tasks: Collection[Any]) -> None:
    """Run the loop until the tasks are done, but for a few iterations only."""
    for _ in range(_TURNS):
        if all(task.done() for task in tasks):
            return
        loop.call_soon(loop.stop)
        loop.run_forever()
