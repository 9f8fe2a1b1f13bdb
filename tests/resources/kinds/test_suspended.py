"""Generators, asynchronous generators and coroutines."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.masking import mask
from pytest_maskcheck.resources import Surroundings
from pytest_maskcheck.resources.kinds.suspended import AsyncGenerators, Coroutines, Generators

if TYPE_CHECKING:
    from tests.resources.conftest import Watch

pytestmark = pytest.mark.usefixtures("frozen_heap")


def with_finally() -> Iterator[None]:
    try:
        yield
    finally:
        try:
            sys.getrecursionlimit()
        except OSError:
            pass


def with_with() -> Iterator[None]:
    with nullcontext():
        yield


def with_base_exception() -> Iterator[None]:
    try:
        yield
    except BaseException:
        raise


def with_bare_except() -> Iterator[None]:
    try:
        yield
    except:
        raise


def with_both() -> Iterator[None]:
    try:
        try:
            yield
        except (OSError, tempfile.tempdir):  # type: ignore[misc]
            pass
    finally:
        sys.getrecursionlimit()


def with_another_inside() -> Iterator[None]:
    with nullcontext():
        yield from without()


def without() -> Iterator[None]:
    for _ in range(2):
        yield


def with_except() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError):
        pass


def with_group() -> Iterator[None]:
    try:
        yield
    except* OSError:
        pass


def with_with_behind_it() -> Iterator[None]:
    with nullcontext():
        pass
    try:
        pass
    finally:
        yield


HOLDING = [with_finally, with_with, with_base_exception, with_bare_except, with_both, with_another_inside]
HARMLESS = [without, with_except, with_group, with_with_behind_it]


@pytest.mark.parametrize("function", HOLDING)
def test_a_generator_suspended_where_it_holds_something_is_a_leftover(
    surroundings: Surroundings, watch: Watch, function: Callable[[], Any]
) -> None:
    """A generator suspended within ``with`` or a ``try`` that cleans up is a leftover; repair closes it."""
    kind = Generators(surroundings)
    compare = watch(kind)
    generator = function()
    assert compare() == []  # it has not begun
    next(generator)
    (leftover,) = compare()
    assert leftover.key == function.__name__
    assert leftover.detail.startswith(f"generator {function.__name__} is suspended at {__file__}:")
    assert kind.repair(leftover)
    assert generator.gi_frame is None
    assert compare() == []


@pytest.mark.parametrize("function", HARMLESS)
def test_a_generator_that_holds_nothing_is_not_a_leftover(
    surroundings: Surroundings, watch: Watch, function: Callable[[], Any]
) -> None:
    """A suspended generator without cleanup is no leftover, since closing it would do nothing."""
    compare = watch(Generators(surroundings))
    generator = function()
    next(generator)
    assert compare() == []


def test_a_generator_that_was_suspended_before_or_has_ended_is_not_a_leftover(
    surroundings: Surroundings, watch: Watch
) -> None:
    """A generator that has ended, or was suspended before as fixtures are, is no leftover."""
    older = with_with()
    next(older)
    compare = watch(Generators(surroundings))
    with contextmanager(with_finally)():
        pass
    list(with_with())
    assert compare() == []


def test_a_context_manager_that_was_not_left_is_a_leftover(surroundings: Surroundings, watch: Watch) -> None:
    """The generator of an entered context manager is a leftover; of the plugin's own generators only masks are."""
    kind = Generators(surroundings)
    canary = kind.canary()
    compare = watch(kind)
    with canary:
        assert [leftover.key for leftover in compare()] == ["f"]
        manager = contextmanager(with_with)()
        manager.__enter__()
        assert {leftover.key for leftover in compare()} == {"f", "with_with"}
        manager.__exit__(None, None, None)
    with mask():
        assert all("mask" in leftover.key for leftover in compare())


def test_an_asynchronous_generator_is_seen_likewise(surroundings: Surroundings, watch: Watch) -> None:
    """An asynchronous generator is a leftover under the same conditions."""

    async def holding() -> AsyncIterator[int]:
        async with nullcontext():
            yield 1

    async def harmless() -> AsyncIterator[int]:
        yield 1

    async def main() -> list[Any]:
        begun = [holding(), harmless()]
        for generator in begun:
            await anext(generator)
        return [*begun, holding()]

    kind = AsyncGenerators(surroundings)
    compare = watch(kind)
    loop = asyncio.new_event_loop()
    generators = loop.run_until_complete(main())
    (leftover,) = compare()
    assert leftover.key.endswith("<locals>.holding")
    assert kind.repair(leftover)
    assert compare() == []
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    del generators


async def coroutine() -> None:
    await asyncio.sleep(10)


def test_a_coroutine_that_was_never_awaited_is_a_leftover(surroundings: Surroundings, watch: Watch) -> None:
    """A coroutine that was never awaited is a leftover; repair closes it, which also prevents the warning."""
    kind = Coroutines(surroundings)
    compare = watch(kind)
    forgotten = coroutine()
    (leftover,) = compare()
    assert (leftover.key, leftover.detail) == ("coroutine", "coroutine coroutine was never awaited")
    assert kind.repair(leftover)
    assert compare() == []
    del forgotten


def test_a_suspended_coroutine_without_a_task_is_a_leftover(surroundings: Surroundings, watch: Watch) -> None:
    """Of suspended coroutines without a task, only the outermost is reported."""

    class Pause:
        def __await__(self) -> Iterator[None]:
            yield

    async def inner() -> None:
        await Pause()

    async def outer() -> None:
        await inner()

    kind = Coroutines(surroundings)
    compare = watch(kind)
    suspended = outer()
    suspended.send(None)
    (leftover,) = compare()
    assert leftover.key.endswith("outer")
    assert "is suspended at" in leftover.detail
    assert kind.repair(leftover)
    assert compare() == []


def test_what_a_task_awaits_is_the_tasks(surroundings: Surroundings, watch: Watch) -> None:
    """A coroutine that a task awaits is no leftover of its own, whether the task is older or newer."""
    loop = asyncio.new_event_loop()
    older = loop.create_task(coroutine())
    compare = watch(Coroutines(surroundings))
    newer = loop.create_task(coroutine())
    assert compare() == []
    loop.run_until_complete(asyncio.sleep(0))
    assert compare() == []
    for task in older, newer:
        task.cancel()
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
    assert compare() == []
    loop.close()
