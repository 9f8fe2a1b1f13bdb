"""``shield`` and ``bracket``: acquisition and release are masked, the body is as outside."""

from __future__ import annotations

import gc
import signal
import threading
import weakref
from contextlib import closing, suppress
from signal import SIGINT, SIGTERM, SIGUSR1, SIGUSR2, raise_signal
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.masking import bracket, is_masked, mask, shield

if TYPE_CHECKING:
    from tests.masking.conftest import Handlers

from tests.masking.conftest import ALL, WHOLE, Manager, Stop, checkpoint

# --- What is masked, and what is not ---


def test_what_they_give(handlers: Handlers):
    """``as`` binds what the manager returns, and factories and functions are passed their arguments."""

    class Pair:
        def __init__(self, *args: object, **kwargs: object) -> None:
            self.given = args, kwargs

        def __enter__(self) -> object:
            return self.given

        def __exit__(self, *_: object) -> None:
            pass

    released = []
    with shield(Pair, 1, two=2) as given:
        assert given == ((1,), {"two": 2})
    with bracket(Pair, released.append, 1, two=2) as pair:
        assert pair.given == ((1,), {"two": 2})
        assert released == []
    assert released == [pair]


def test_acquisition_and_release_are_masked(handlers: Handlers, guard: Any):
    """All signals with Python handlers, real-time ones included, wait while the manager is entered and left."""
    seen = []

    def look() -> None:
        seen.append([is_masked(signum) for signum in ALL])
        for signum in ALL:
            raise_signal(signum)
        seen.append([*handlers.calls])
        handlers.calls.clear()

    manager = Manager(enter=look, leave=look)
    with guard(manager):
        checkpoint()
        assert not any(map(is_masked, ALL))
        assert sorted(handlers.calls) == sorted(ALL)
        handlers.calls.clear()
    assert seen == [[True] * 5, []] * 2
    assert handlers.calls == [*ALL]
    assert manager.events == WHOLE


def test_the_body_is_as_outside():
    """Within the body ``getsignal()`` returns the same handlers as outside."""
    with shield(Manager), bracket(Manager, id):
        assert signal.getsignal(SIGINT) is signal.default_int_handler
        assert signal.getsignal(SIGTERM) == signal.SIG_DFL
        assert not is_masked()


def test_a_body_within_a_mask_stays_masked(handlers: Handlers, guard: Any):
    """A signal that an outer mask holds stays masked in the body of a shield."""
    with mask(SIGUSR1):
        with guard(Manager()):
            raise_signal(SIGUSR1)
            checkpoint()
            assert is_masked(SIGUSR1)
            assert not is_masked(SIGUSR2)
            assert handlers.calls == []
        assert handlers.calls == []
    assert handlers.calls == [SIGUSR1]


def test_what_waited_comes_at_the_first_checkpoint_of_the_body(handlers: Handlers, guard: Any):
    """A deferred signal is delivered after the body began, at its first checkpoint."""
    events: list[str] = []
    handlers.also = lambda: events.append("handler")
    with guard(Manager(enter=lambda: raise_signal(SIGUSR1))):
        events += ("begun",)
        checkpoint()
        events += ("within",)
    assert events == ["begun", "handler", "within"]


@pytest.mark.parametrize("signum", ALL)
def test_what_a_handler_raises_then_is_an_error_of_the_body(handlers: Handlers, guard: Any, signum: int):
    """If the handler of a deferred signal raises, it raises within the body, and the manager is left."""
    handlers.raising = {signum: Stop(1)}
    manager = Manager(enter=lambda: raise_signal(signum))
    with pytest.raises(Stop), guard(manager):
        try:
            checkpoint()
            pytest.fail("nothing came")
        except Stop:
            manager.events.append("caught")
            raise
    assert manager.events == ["entering", "entered", "caught", "leaving", "left"]


@pytest.mark.parametrize("body", ["pass", "5", "x = 5"])
def test_a_body_without_checkpoints(handlers: Handlers, guard: Any, body: str):
    """If the body has no checkpoint, a deferred signal is delivered after the manager was left."""
    handlers.raising = {SIGUSR1: Stop(1)}
    manager = Manager(enter=lambda: raise_signal(SIGUSR1))
    with pytest.raises(Stop):
        exec(f"with guard(manager):\n {body}", {"guard": guard, "manager": manager})
    assert manager.events == WHOLE
    assert handlers.calls == [SIGUSR1]


def test_what_comes_during_release(handlers: Handlers, guard: Any):
    """Signals that arrive during release are all delivered after it, in order, although one handler raises."""
    handlers.raising = {SIGUSR1: Stop(1)}
    events = []
    handlers.also = lambda: events.append(manager.events[-1])

    def send() -> None:
        for signum in (SIGUSR1, SIGTERM, SIGINT):
            raise_signal(signum)

    manager = Manager(leave=send)
    with pytest.raises(Stop), guard(manager):
        pass
    assert handlers.calls == [SIGUSR1, SIGTERM, SIGINT]
    assert events == ["left"] * 3


def test_the_error_of_the_body_and_a_ctrl_c_during_release(guard: Any):
    """A KeyboardInterrupt raised after the release has the body's error as its context."""
    error = ValueError("of the body")
    manager = Manager(leave=lambda: raise_signal(SIGINT))
    with pytest.raises(KeyboardInterrupt) as caught, guard(manager):
        raise error
    assert caught.value.__context__ is error
    assert manager.events == WHOLE


# --- Acquisitions and releases that fail ---


@pytest.mark.parametrize("error", [ValueError("no"), Stop(1), KeyboardInterrupt()])
def test_an_acquisition_that_raises(handlers: Handlers, guard: Any, error: BaseException):
    """If acquisition raises, nothing is released, nothing stays masked, and deferred signals are delivered."""
    handlers.raising = {SIGUSR1: Stop(2)}

    def fail() -> None:
        raise_signal(SIGUSR2)
        raise error

    manager = Manager(enter=fail)
    with pytest.raises(type(error)) as caught, guard(manager):
        pytest.fail("the body began")
    assert caught.value is error
    assert manager.events == ["entering"]
    assert handlers.calls == [SIGUSR2]
    manager = Manager(enter=lambda: (raise_signal(SIGUSR1), fail()))
    with pytest.raises(Stop) as stopped, guard(manager):
        pytest.fail("the body began")
    assert stopped.value.__context__ is error
    assert handlers.calls == [SIGUSR2, SIGUSR1, SIGUSR2]


def test_a_factory_that_raises(handlers: Handlers):
    """If the factory raises and then a handler does, the factory's error is the context of the handler's."""
    handlers.raising = {SIGUSR1: Stop(1)}

    def factory() -> Manager:
        raise_signal(SIGUSR1)
        raise ValueError

    with pytest.raises(Stop) as caught, shield(factory):
        pytest.fail("the body began")
    assert isinstance(caught.value.__context__, ValueError)


def test_a_release_that_raises(handlers: Handlers, guard: Any):
    """If release raises, its error propagates with the body's as context; nothing stays masked, and it is not called again."""
    body, release = ValueError("of the body"), KeyError("of the release")

    def fail() -> None:
        raise_signal(SIGUSR1)
        raise release

    manager = Manager(leave=fail)
    with pytest.raises(KeyError) as caught, guard(manager):
        raise body
    assert caught.value is release
    assert release.__context__ is body
    assert manager.events == ["entering", "entered", "leaving"]
    assert handlers.calls == [SIGUSR1]


def test_a_release_and_a_handler_that_raise(handlers: Handlers, guard: Any):
    """If a handler, the release and the body raise, the handler's error propagates, with the others as its contexts."""
    handlers.raising = {SIGUSR1: Stop(1)}
    body, release = ValueError("of the body"), KeyError("of the release")

    def fail() -> None:
        raise_signal(SIGUSR1)
        raise release

    with pytest.raises(Stop) as caught, guard(Manager(leave=fail)):
        raise body
    assert caught.value.__context__ is release
    assert release.__context__ is body


@pytest.mark.parametrize(
    "factory", [object, lambda: 5, lambda: None, lambda: threading.Lock, type("Half", (), {"__enter__": id})]
)
def test_what_is_no_context_manager(handlers: Handlers, factory: Any):
    """An object without ``__enter__`` and ``__exit__`` is refused with its name, and nothing stays masked."""
    message = r"shield takes what makes a context manager; .* made .*, which has no __enter__"
    with pytest.raises(TypeError, match=message), shield(factory):
        pytest.fail("the body began")


def test_an_acquisition_that_leaves_a_mask(handlers: Handlers):
    """A manager that leaves a mask in force as it is entered is left again, with an error; the mask can still be left."""
    inner = mask(SIGUSR1)
    inner_2 = mask(SIGTERM)
    for one in (inner, inner_2):
        manager = Manager(enter=one.start)
        with (
            pytest.raises(RuntimeError, match="is left before a mask that was entered inside it"),
            shield(lambda: manager),  # noqa: B023
        ):
            pytest.fail("the body began")
        assert manager.events == WHOLE
        one.stop()
        assert not any(map(is_masked, ALL))


# --- Objects ---


def test_one_object_again_and_again(handlers: Handlers):
    """A shield can be used again after it was left or failed to enter, and makes a new manager each time."""
    made: list[Manager] = []

    def factory() -> Manager:
        made.append(Manager(enter=lambda: 1 // (len(made) % 2)))
        return made[-1]

    one = shield(factory)
    for number in range(6):
        with suppress(ZeroDivisionError), one as manager:
            assert manager is made[-1]
            assert number % 2 == 0
    assert [manager.events for manager in made] == [WHOLE, ["entering"]] * 3


def test_one_object_twice_at_once(handlers: Handlers, guard: Any):
    """A shield in force refuses to be entered again, and a second exit is an error."""
    manager = Manager()
    one = guard(manager)
    with one:
        with pytest.raises(RuntimeError, match="in force already"), one:
            pytest.fail("the body began")
        assert not any(map(is_masked, ALL))
    assert manager.events == WHOLE
    with pytest.raises(RuntimeError, match="not in force"):
        one.__exit__(None, None, None)


def test_recursion():
    """A hundred nested brackets are released in reverse order."""
    order = []

    def down(depth: int) -> None:
        with bracket(lambda: depth, order.append):
            assert not is_masked()
            if depth:
                down(depth - 1)

    down(100)
    assert order == [*range(101)]


def test_it_keeps_nothing():
    """A shield that was left keeps neither its manager nor an error; one that was never left is collected without releasing."""
    made = []

    def factory() -> Manager:
        manager = Manager()
        made.append(weakref.ref(manager))
        return manager

    one = shield(factory)
    with suppress(ValueError), one:
        raise ValueError
    gc.collect()
    assert made[0]() is None
    kept = Manager()
    forgotten = shield(lambda: kept)
    forgotten.__enter__()
    assert not any(map(is_masked, ALL))
    del forgotten
    gc.collect()
    assert kept.events == ["entering", "entered"]


# --- Other managers ---


def test_locks(handlers: Handlers):
    """A lock, whose methods are in C, is held in the body and free after it, even if a signal arrives as it is acquired (gh-148874)."""
    lock = threading.Lock()
    handlers.raising = {SIGUSR1: Stop(1)}
    with shield(lambda: lock) as value:
        assert value is True
        assert lock.locked()
    assert not lock.locked()
    for acquire in (lock.__enter__, lambda: (lock.acquire(), raise_signal(SIGUSR1))):
        with suppress(Stop), bracket(acquire, lambda _: lock.release()):
            assert lock.locked()
            raise_signal(SIGUSR1)
        assert not lock.locked()
    with pytest.raises(Stop), shield(lambda: lock):
        raise_signal(SIGUSR1)
    assert not lock.locked()
    assert len(handlers.calls) == 3


def test_a_lock_that_another_thread_holds(handlers: Handlers):
    """Signals that arrive while a shield waits for a lock are delivered in the body."""
    lock = threading.Lock()
    lock.acquire()

    def release() -> None:
        raise_signal(SIGUSR1)
        lock.release()

    thread = threading.Thread(target=release)
    with shield(lambda: thread.start() or lock):  # type: ignore[func-returns-value]
        checkpoint()
        assert handlers.calls == [SIGUSR1]
        thread.join()


def test_a_shielded_mask(handlers: Handlers):
    """``shield(mask, SIGTERM)`` is refused, since the mask would be entered inside the shield; nothing stays masked."""
    with pytest.raises(RuntimeError, match="is left before a mask that was entered inside it"), shield(mask, SIGTERM):
        pytest.fail("the body began")
    assert not any(map(is_masked, ALL))


def test_shields_that_make_shields(handlers: Handlers):
    """A shield works as the manager of another shield."""
    manager = Manager(leave=lambda: True)
    with shield(shield, lambda: manager):
        assert not any(map(is_masked, ALL))
        raise ValueError
    assert manager.events == WHOLE
    assert manager.details[0][0] is ValueError


@pytest.mark.parametrize("signum", [SIGINT, SIGTERM])
def test_a_manager_that_masks_inside(handlers: Handlers, guard: Any, signum: int):
    """Masks that a manager uses while it acquires or releases do not deliver the signals that the shield holds."""

    def use_masks() -> None:
        with mask(signum) as restore:
            raise_signal(signum)
            with restore():
                checkpoint()
        with shield(Manager):
            checkpoint()
        assert handlers.calls == []

    with guard(Manager(enter=use_masks)):
        checkpoint()
        assert handlers.calls == [signum]
        handlers.calls.clear()
    with guard(Manager(leave=use_masks)):
        pass
    assert handlers.calls == [signum]


def test_closing_a_file(tmp_path: Any):
    """Files and ``closing`` objects work as managers of a shield."""
    path = tmp_path / "file"
    with shield(path.open, "w") as file:
        file.write("text")
    assert file.closed
    with shield(lambda: closing(path.open())) as file:
        assert file.read() == "text"
    assert file.closed
