"""Generators that are suspended where they hold something, and coroutines that will not run to their end.

A generator holds something while it is suspended in a ``with``, or in a ``try`` that would clean up if the generator were closed.
That of an entered ``contextlib.contextmanager`` is an example if its ``yield`` is in one. A generator that has not begun, or is
suspended elsewhere, holds nothing. A coroutine that a task awaits belongs to the task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, cast

from pytest_maskcheck.resources.census import Census
from pytest_maskcheck.resources.heap import Family
from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.kinds.asyncio_loops import TASKS
from pytest_maskcheck.resources.open_objects import OpenObjects
from pytest_maskcheck.resources.surroundings import Surroundings
from pytest_maskcheck.system.bytecode import cleans_up_at
from pytest_maskcheck.system.own_code import is_ours
from pytest_maskcheck.system.untrusted import attempt


class _Suspended(OpenObjects):
    """Objects with a suspended frame. The names of their attributes begin with ``prefix``, as in ``gi_frame``.

    An object that was suspended at the snapshot does not count, wherever it is suspended now.
    """

    owns = True
    prefix: ClassVar[str]

    def __init__(self, surroundings: Surroundings | None = None) -> None:
        super().__init__(surroundings)
        self._frame = self.prefix + "_frame"
        self._running = self.prefix + "_running"

    def is_open(self, thing: Any) -> bool:
        return not getattr(thing, self._running) and getattr(thing, self._frame) is not None

    def compare(self, before: object) -> list[Leftover]:
        return self._still([thing for thing in self._new(self._made(), before) if self.matters(thing)])

    def _still(self, things: list[object]) -> list[Leftover]:
        """Return leftovers for those of ``things`` that have not ended meanwhile, in another thread."""
        found = [(thing, self._leftover(thing)) for thing in things]
        return [leftover for thing, leftover in found if self.is_open(thing)]

    def matters(self, thing: object) -> bool:
        """Return whether ``thing``, which is new, holds something where it is suspended."""
        frame = getattr(thing, self._frame)
        if frame is None:  # it has ended meanwhile, in another thread
            return False
        return not is_ours(frame.f_code.co_filename) and cleans_up_at(frame.f_code, frame.f_lasti)

    def key_and_detail(self, thing: Any) -> tuple[str, str]:
        frame = getattr(thing, self._frame)
        name = frame.f_code.co_qualname
        where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        return self.surroundings.text(name), f"{self.name} {name} is suspended at {where}"


class Generators(_Suspended):
    """Generators suspended in a ``with`` or ``try``."""

    name = "generator"
    family = Family("types:GeneratorType")
    prefix = "gi"

    def is_open(self, thing: Any) -> bool:
        return thing.gi_suspended and not is_ours(thing.gi_code.co_filename)

    def close(self, thing: Any) -> None:
        thing.close()

    @contextmanager
    def canary(self) -> Iterator[None]:
        generator = _function("def f():\n try: yield\n finally: pass")()
        next(generator)
        try:
            yield
        finally:
            generator.close()


class AsyncGenerators(_Suspended):
    """Asynchronous generators suspended in a ``with`` or ``try``."""

    name = "asyncgen"
    family = Family("types:AsyncGeneratorType")
    prefix = "ag"

    def close(self, thing: Any) -> None:
        closing = thing.aclose()
        with suppress(StopIteration):
            closing.send(None)
        closing.close()  # there is no loop here for what it awaits

    @contextmanager
    def canary(self) -> Iterator[None]:
        generator = _function("async def f():\n try: yield\n finally: pass")()
        with suppress(StopIteration):
            generator.__anext__().send(None)
        try:
            yield
        finally:
            with suppress(StopIteration):
                generator.aclose().send(None)


class Coroutines(_Suspended):
    """Coroutines that were never awaited or are suspended, and that no task awaits."""

    name = "coroutine"
    family = Family("types:CoroutineType")
    prefix = "cr"

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self._tasks = Census(TASKS.made)

    def prepare(self) -> None:
        self._tasks.take()

    def compare(self, before: object) -> list[Leftover]:
        new = self._new(self._made(), before)
        if not new:
            return []
        of_tasks = set(self._of_tasks())
        return self._still([thing for thing in new if id(thing) not in of_tasks])

    def _of_tasks(self) -> Iterator[int]:
        """Yield the ids of the coroutines that tasks await, and of those that other coroutines await."""
        tasks = cast("list[Any]", self._tasks.alive())
        awaited = [attempt(lambda task=task: None if task.done() else task.get_coro(), None) for task in tasks]  # type: ignore[misc]
        awaited += [coroutine.cr_await for coroutine in cast("list[Any]", self._open())]
        while awaited:
            thing = awaited.pop()
            if thing is not None:
                yield id(thing)
                awaited.append(getattr(thing, "cr_await", None) or getattr(thing, "gi_yieldfrom", None))

    def key_and_detail(self, thing: Any) -> tuple[str, str]:
        if thing.cr_suspended:
            return super().key_and_detail(thing)
        name = thing.cr_code.co_qualname
        return self.surroundings.text(name), f"coroutine {name} was never awaited"

    def close(self, thing: Any) -> None:
        thing.close()

    @contextmanager
    def canary(self) -> Iterator[None]:
        coroutine = _function("async def f(): pass")()
        try:
            yield
        finally:
            coroutine.close()


def _function(source: str) -> Callable[[], Any]:
    """Return the function ``f`` of a source. Its file name is not of this package, whose generators do not count."""
    space: dict[str, Any] = {}
    exec(compile(source, "<canary>", "exec"), space)
    function: Callable[[], Any] = space["f"]
    return function
