"""``async with shield(...)``: entering and leaving may await; signals wait meanwhile, and on leaving cancellations wait too."""

from __future__ import annotations

import asyncio
import os
import signal
from signal import SIGINT, SIGUSR1, SIGUSR2, raise_signal
from typing import TYPE_CHECKING, Any, Self

import anyio
import pytest
import trio

from pytest_maskcheck import masking
from pytest_maskcheck.masking import is_masked, mask, shield
from tests.masking.conftest import WHOLE, Stop, checkpoint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.masking.conftest import Handlers


async def pause() -> None:
    """Let other tasks run."""
    for _ in range(3):
        await anyio.lowlevel.checkpoint()


async def no_pause() -> None:
    """Return without suspending."""


class Manager:
    """An asynchronous context manager that records events and awaits the given functions."""

    def __init__(
        self, *, enter: Callable[[], Awaitable[object]] = pause, leave: Callable[[], Awaitable[object]] = pause
    ) -> None:
        self.events: list[str] = []
        self.details: list[tuple[Any, ...]] = []
        self.enter, self.leave = enter, leave

    async def __aenter__(self) -> Self:
        self.events.append("entering")
        await self.enter()
        checkpoint()
        self.events.append("entered")
        return self

    async def __aexit__(self, *details: object) -> object:
        self.events.append("leaving")
        self.details.append(details)
        answer = await self.leave()
        checkpoint()
        self.events.append("left")
        return answer


def sending(*signals: int, answer: object = None) -> Callable[[], Awaitable[object]]:
    """Return a coroutine function that sends ``signals`` to this process between two awaits, and returns ``answer``."""

    async def send() -> object:
        await pause()
        for signum in signals:
            os.kill(os.getpid(), signum)
            checkpoint()
        await pause()
        return answer

    return send


BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


# --- One task ---


@BACKENDS
def test_plain_use(handlers: Handlers, backend: str):
    """Under both backends the manager is entered and left masked, and the body runs unmasked."""
    seen = []

    async def look() -> None:
        await pause()
        seen.append([is_masked(SIGUSR1), is_masked(SIGUSR2)])

    manager = Manager(enter=look, leave=look)

    async def main() -> int:
        async with shield(lambda: manager) as value:
            assert value is manager
            await pause()
            assert not is_masked(SIGUSR1)
            raise_signal(SIGUSR1)
            assert handlers.calls == [SIGUSR1]
        return 5

    assert anyio.run(main, backend=backend) == 5
    assert manager.events == WHOLE
    assert seen == [[True, True]] * 2
    assert manager.details == [(None, None, None)]


@BACKENDS
def test_what_waited_comes_in_the_body_and_after_the_exit(handlers: Handlers, backend: str):
    """Deferred signals are delivered once and in order, at the first checkpoint of the body or after the exit."""
    manager = Manager(enter=sending(SIGUSR1), leave=sending(SIGUSR2, SIGUSR1))

    async def main() -> None:
        async with shield(lambda: manager):
            checkpoint()
            manager.events.append(f"body {[*map(int, handlers.calls)]}")
        manager.events.append(f"after {[*map(int, handlers.calls)]}")

    anyio.run(main, backend=backend)
    body, after = "body [10]", "after [10, 12, 10]"
    assert manager.events == ["entering", "entered", body, "leaving", "left", after]


def test_errors(handlers: Handlers):
    """The manager gets the body's error and may suppress it; errors of entering and leaving propagate."""
    body = ValueError("of the body")

    async def fail() -> None:
        raise_signal(SIGUSR1)
        raise KeyError

    async def main() -> None:
        manager = Manager(leave=sending(answer=True))
        async with shield(lambda: manager):
            raise body
        assert manager.details[0][:2] == (ValueError, body)
        manager = Manager()
        with pytest.raises(ValueError, match="of the body"):
            async with shield(lambda: manager):
                raise body
        manager = Manager(enter=fail)
        with pytest.raises(KeyError):
            async with shield(lambda: manager):
                pytest.fail("the body began")
        assert manager.events == ["entering"]
        assert handlers.calls == [SIGUSR1]
        manager = Manager(leave=fail)
        with pytest.raises(KeyError) as caught:
            async with shield(lambda: manager):
                raise body
        assert caught.value.__context__ is body
        assert handlers.calls == [SIGUSR1] * 2
        with pytest.raises(TypeError, match="which has no __aenter__ and __aexit__"):
            async with shield(open, os.devnull):  # type: ignore[arg-type]
                pytest.fail("the body began")

    with pytest.warns(ResourceWarning):
        asyncio.run(main())


def test_a_handler_that_raises_after_the_entry(handlers: Handlers):
    """If the handler of a deferred signal raises, it raises in the body, and the manager is left."""
    handlers.raising = {SIGUSR1: Stop(1)}
    manager = Manager(enter=sending(SIGUSR1))

    async def main() -> None:
        with pytest.raises(Stop):
            async with shield(lambda: manager):
                try:
                    checkpoint()
                except Stop:
                    manager.events.append("caught")
                    raise

    asyncio.run(main())
    assert manager.events == ["entering", "entered", "caught", "leaving", "left"]


def test_a_handler_that_raises_as_leaving_begins(handlers: Handlers, monkeypatch: pytest.MonkeyPatch):
    """A handler's exception raised while signals are being masked is raised after the manager was left, chained to its error."""
    handlers.raising = {SIGUSR1: Stop(1)}
    gates = masking._all_gates
    calls = []

    def disturbed() -> object:
        calls.append(1)
        if len(calls) == 2:
            raise_signal(SIGUSR1)
        return gates()

    async def fail() -> None:
        raise KeyError

    for leave in (pause, fail):
        calls.clear()
        manager = Manager(leave=leave)

        async def main() -> None:
            with pytest.raises(Stop) as caught:
                async with shield(lambda: manager):  # noqa: B023
                    pass
            if leave is fail:  # noqa: B023
                assert isinstance(caught.value.__context__, KeyError)

        with monkeypatch.context() as patched:
            patched.setattr(masking, "_all_gates", disturbed)
            asyncio.run(main())
        assert "leaving" in manager.events


def test_one_object_again_and_twice_at_once():
    """A shield can be used again after it was left or failed to enter, but not while it is in force."""
    made: list[Manager] = []
    bad = [False]

    async def enter() -> None:
        if bad[0]:
            raise KeyError

    def factory() -> Manager:
        made.append(Manager(enter=enter))
        return made[-1]

    async def main() -> None:
        one = shield(factory)
        async with one as first:
            with pytest.raises(RuntimeError, match="in force already"):
                async with one:
                    pytest.fail("the body began")
            await pause()
        assert first.events == WHOLE
        bad[0] = True
        with pytest.raises(KeyError):
            async with one:
                pytest.fail("the body began")
        assert made[-1].events == ["entering"]
        bad[0] = False
        async with one as last:
            await pause()
        assert last.events == WHOLE

    asyncio.run(main())


# --- Ctrl-C under asyncio.run ---


def interrupted(main: Callable[[], Any]) -> None:
    """Run ``main`` and assert that it ends with KeyboardInterrupt."""
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())


def test_ctrl_c_while_it_is_entered():
    """After Ctrl-C during entry, the manager is entered, the body is cancelled at its first await, and the manager is left."""
    manager = Manager(enter=sending(SIGINT))

    async def main() -> None:
        async with shield(lambda: manager):
            manager.events.append("body")
            await asyncio.sleep(10)
            pytest.fail("not cancelled")

    interrupted(main)
    assert manager.events == ["entering", "entered", "body", "leaving", "left"]
    assert manager.details[0][0] is asyncio.CancelledError


def test_ctrl_c_at_the_end_of_the_body():
    """A cancellation by Ctrl-C at the end of the body is raised after the manager was left, although leaving awaits."""
    manager = Manager()

    async def main() -> None:
        async with shield(lambda: manager):
            raise_signal(SIGINT)
        pytest.fail("not cancelled")

    interrupted(main)
    assert manager.events == WHOLE


def test_ctrl_c_while_it_is_left():
    """Ctrl-C during exit is delivered after the manager was left, and cancels at the next await."""
    manager = Manager(leave=sending(SIGINT))

    async def main() -> None:
        async with shield(lambda: manager):
            pass
        manager.events.append("after")
        await asyncio.sleep(10)
        pytest.fail("not cancelled")

    interrupted(main)
    assert manager.events == [*WHOLE, "after"]


def test_two_ctrl_c_while_it_is_left():
    """A second Ctrl-C, for which ``asyncio.run`` raises KeyboardInterrupt at once, also waits until the manager was left."""
    manager = Manager(leave=sending(SIGINT, SIGINT))

    async def main() -> None:
        async with shield(lambda: manager):
            raise_signal(SIGINT)
        pytest.fail("not cancelled")

    interrupted(main)
    assert manager.events == WHOLE


def test_ctrl_c_before_it_is_entered():
    """A cancellation requested before the entry is raised instead of entering."""
    manager = Manager()

    async def main() -> None:
        raise_signal(SIGINT)
        async with shield(lambda: manager):
            pytest.fail("the body began")

    interrupted(main)
    assert manager.events == []


@pytest.mark.parametrize("place", ["enter", "body", "leave"])
def test_ctrl_c_from_a_timer(place: str):
    """A Ctrl-C that arrives while the loop waits in ``select`` lets the manager be entered and left completely."""

    async def wait() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        await asyncio.sleep(0.004)

    def alarm(signum: int, frame: object) -> None:
        raise_signal(SIGINT)

    manager = Manager(enter=wait if place == "enter" else pause, leave=wait if place == "leave" else pause)

    async def main() -> None:
        async with shield(lambda: manager):
            if place == "body":
                await wait()
            checkpoint()
        await asyncio.sleep(10)

    before = signal.signal(signal.SIGALRM, alarm)
    try:
        interrupted(main)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert manager.events == WHOLE


def test_ctrl_c_under_trio():
    """Under trio, Ctrl-C waits while the manager is entered, and is raised in the body."""
    manager = Manager(enter=sending(SIGINT))

    async def main() -> None:
        async with shield(lambda: manager):
            await trio.sleep(10)
            pytest.fail("not interrupted")

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert manager.events == WHOLE


# --- Several tasks ---


def test_tasks_that_enter_and_leave_at_the_same_time(handlers: Handlers):
    """If tasks enter and leave shields at the same time, each manager is entered and left completely, and nothing stays masked."""
    managers = [Manager() for _ in range(8)]

    async def task(number: int) -> None:
        for _ in range(number % 3):
            await asyncio.sleep(0)
        async with shield(lambda: managers[number]):
            raise_signal(SIGUSR1)
            for _ in range(number % 4):
                await asyncio.sleep(0)
        raise_signal(SIGUSR2)

    async def main() -> None:
        await asyncio.gather(*map(task, range(8)))
        assert not is_masked(SIGUSR1)
        assert masking._Share._count == 0
        assert 1 <= handlers.calls.count(SIGUSR1) <= 8

    asyncio.run(main())
    assert [manager.events for manager in managers] == [WHOLE] * 8


def test_tasks_of_which_some_fail(handlers: Handlers):
    """Tasks that are cancelled or fail as they enter or leave a shield leave nothing masked."""

    async def fail() -> None:
        await asyncio.sleep(0)
        raise KeyError

    async def task(manager: Manager) -> None:
        async with shield(lambda: manager):
            await pause()

    async def main() -> None:
        managers = [Manager(enter=fail), Manager(leave=fail), Manager(), Manager()]
        tasks = [asyncio.create_task(task(manager)) for manager in managers]
        for number in range(12):
            await asyncio.sleep(0)
            if number < 2:
                tasks[2 + number].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results[:3]] == [KeyError, KeyError, asyncio.CancelledError]
        assert not is_masked(SIGUSR1)

    asyncio.run(main())


def test_masks_and_shields_between_awaits_of_others(handlers: Handlers):
    """Plain masks and shields of a task work while another task is entering or leaving a shield."""
    manager = Manager(enter=sending(SIGUSR1))

    async def task() -> None:
        async with shield(lambda: manager):
            pass

    async def main() -> None:
        running = asyncio.create_task(task())
        while not running.done():
            with mask(SIGUSR1) as restore, restore():
                pass
            with shield(open, os.devnull), mask(SIGUSR1, SIGUSR2):
                pass
            await asyncio.sleep(0)

    asyncio.run(main())
    assert handlers.calls == [SIGUSR1]
    assert manager.events == WHOLE


# --- Beside asyncio ---


def test_callbacks_of_the_loop(handlers: Handlers):
    """A callback of ``add_signal_handler`` is called once for each signal, also for one that arrives during entry or exit."""
    calls: list[str] = []
    manager = Manager(enter=sending(SIGUSR1), leave=sending(SIGUSR1))

    async def main() -> None:
        asyncio.get_running_loop().add_signal_handler(SIGUSR1, calls.append, "called")
        try:
            async with shield(lambda: manager):
                await asyncio.sleep(0.01)
                assert calls == ["called"]
                with shield(lambda: open(os.devnull)), mask(SIGUSR1):
                    raise_signal(SIGUSR1)
                await asyncio.sleep(0.01)
                assert calls == ["called"] * 2
            await asyncio.sleep(0.01)
        finally:
            asyncio.get_running_loop().remove_signal_handler(SIGUSR1)

    asyncio.run(main())
    assert calls == ["called"] * 3
    assert signal.signal(SIGUSR1, handlers) == signal.SIG_DFL


def test_asyncio_run_inside_a_shield():
    """In the body of a shield ``asyncio.run`` finds CPython's handler and installs its own, so that Ctrl-C cancels."""
    seen = []

    async def main() -> None:
        seen.append(signal.getsignal(SIGINT))
        try:
            raise_signal(SIGINT)
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    with shield(open, os.devnull):
        interrupted(main)
        assert signal.getsignal(SIGINT) is signal.default_int_handler
    assert seen[0] is not signal.default_int_handler
    assert seen[1:] == ["cancelled"]


def test_a_runner_as_the_manager():
    """``shield(asyncio.Runner)`` yields a usable runner, and afterwards CPython's handler is in force."""
    with shield(asyncio.Runner) as runner:
        assert runner.run(asyncio.sleep(0, 5)) == 5
    assert signal.getsignal(SIGINT) is signal.default_int_handler


def test_timeouts_around(handlers: Handlers):
    """A timeout around a shield raises TimeoutError, whether it expires during entry, in the body or during exit."""

    async def main() -> None:
        for manager in (Manager(), Manager(enter=lambda: asyncio.sleep(10)), Manager(leave=lambda: asyncio.sleep(10))):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.005), shield(lambda: manager):  # noqa: B023
                    if manager.leave is pause:
                        await asyncio.sleep(10)
            assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.005) as timeout, shield(Manager) as manager:
                await asyncio.sleep(0)
                timeout.reschedule(0)
                await asyncio.sleep(0.001)
        assert manager.events == WHOLE
        assert not is_masked(SIGUSR1)

    asyncio.run(main())


def test_a_timeout_around_that_comes_at_the_end_of_the_body(handlers: Handlers):
    """A cancellation requested in the last step of the body is raised after the manager was left."""
    manager = Manager()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(None) as timeout:
                async with shield(lambda: manager):
                    timeout._on_timeout()  # type: ignore[attr-defined]  # as the loop does when the time has come
                pytest.fail("not cancelled")

    asyncio.run(main())
    assert manager.events == WHOLE


def test_a_timeout_as_the_manager(handlers: Handlers):
    """``shield(asyncio.timeout, ...)`` times out as ``asyncio.timeout`` does without a shield."""

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with shield(asyncio.timeout, 0.002):
                await asyncio.sleep(10)
        async with shield(asyncio.timeout, 10):
            await asyncio.sleep(0)
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]

    asyncio.run(main())


def test_a_timeout_as_the_manager_that_comes_at_the_end_of_the_body(handlers: Handlers):
    """A cancellation that the manager itself requested, and revokes on exit, is not raised beyond the shield."""

    async def main() -> None:
        try:
            async with shield(asyncio.timeout, None) as timeout:
                timeout._on_timeout()  # type: ignore[attr-defined]  # as the loop does when the time has come
        except TimeoutError:
            pass
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]

    asyncio.run(main())


def test_a_task_group_as_the_manager(handlers: Handlers):
    """A shielded task group awaits its tasks on exit, and raises their errors as a group."""
    done = []

    async def work(number: int) -> None:
        await asyncio.sleep(0)
        done.append(number)

    async def fail() -> None:
        await asyncio.sleep(0)
        raise KeyError

    async def main() -> None:
        async with shield(asyncio.TaskGroup) as group:
            for number in range(3):
                group.create_task(work(number))
        assert done == [0, 1, 2]
        for pauses in range(6):
            with pytest.raises(ExceptionGroup) as caught:
                async with shield(asyncio.TaskGroup) as group:
                    group.create_task(fail())
                    for _ in range(pauses):
                        await asyncio.sleep(0)
            assert [type(error) for error in caught.value.exceptions] == [KeyError]
            asyncio.current_task().uncancel()  # type: ignore[union-attr]  # some releases of CPython 3.12 forget to

    asyncio.run(main())


def test_a_cancelled_task_that_cleans_up(handlers: Handlers):
    """A shield works in the ``finally`` clause of a cancelled task, since that cancellation was raised already."""
    manager = Manager()

    async def task() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            async with shield(lambda: manager):
                await pause()
            manager.events.append("cleaned")

    async def main() -> None:
        running = asyncio.create_task(task())
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())
    assert manager.events == [*WHOLE, "cleaned"]


@BACKENDS
def test_cancel_scopes_of_anyio(handlers: Handlers, backend: str):
    """A cancelled scope of anyio around a shield catches its cancellation, and the manager is left."""
    managers = [Manager(enter=no_pause, leave=no_pause), Manager()]

    async def main() -> None:
        for manager in managers:
            with anyio.move_on_after(0.005) as scope:
                async with shield(lambda: manager):  # noqa: B023
                    await anyio.sleep(10)
            assert scope.cancelled_caught
            assert not is_masked(SIGUSR1)
            await pause()

    anyio.run(main, backend=backend)
    assert managers[0].events == WHOLE
    assert managers[1].events[:3] == WHOLE[:3]
