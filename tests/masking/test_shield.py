"""``shield`` and ``bracket``: acquisition and release are masked, the body is as outside."""

from __future__ import annotations

import gc
import io
import signal
import threading
import weakref
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from signal import SIGINT, SIGRTMIN, SIGTERM, SIGUSR1, SIGUSR2, raise_signal
from typing import TYPE_CHECKING, Any, Self

import pytest

from pytest_maskcheck import masking
from pytest_maskcheck.masking import bracket, is_masked, mask, pending_signals, shield

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from tests.masking.conftest import Handlers

ALL = (SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGRTMIN)
NONE = (None, None, None)


class Stop(BaseException):
    """The exception that a handler of these tests raises."""


def checkpoint() -> None:
    """Do nothing: CPython checks for signals as a Python function is entered."""


class Manager:
    """A context manager that records events and calls the given functions."""

    def __init__(self, *, enter: Callable[[], Any] = checkpoint, leave: Callable[[], object] = checkpoint) -> None:
        self.events: list[str] = []
        self.details: list[tuple[Any, ...]] = []
        self.enter, self.leave = enter, leave

    def __enter__(self) -> Self:
        self.events.append("entering")
        self.enter()
        checkpoint()
        self.events.append("entered")
        return self

    def __exit__(self, *details: object) -> object:
        self.events.append("leaving")
        self.details.append(details)
        answer = self.leave()
        checkpoint()
        self.events.append("left")
        return answer


WHOLE = ["entering", "entered", "leaving", "left"]

Guard = "Callable[[Manager], AbstractContextManager[Manager]]"


def by_shield(manager: Manager) -> AbstractContextManager[Manager]:
    return shield(lambda: manager)


def by_bracket(manager: Manager) -> AbstractContextManager[Manager]:
    return bracket(manager.__enter__, lambda value: manager.__exit__())


@pytest.fixture(params=[by_shield, by_bracket])
def guard(request: pytest.FixtureRequest) -> Callable[[Manager], AbstractContextManager[Manager]]:
    """Return a function that makes a shield or a bracket around a manager."""
    return request.param


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


# --- What the manager is passed about the body ---


def test_the_details_of_a_body_that_ends(handlers: Handlers):
    """The manager is passed ``(None, None, None)`` after a body without an error, however it is left."""
    manager = Manager()

    def by_return() -> int:
        with shield(lambda: manager):
            return 5

    assert by_return() == 5
    for _ in range(1):
        with shield(lambda: manager):
            continue
    for _ in range(1):
        with shield(lambda: manager):
            break
    with shield(lambda: manager):
        pass
    assert manager.details == [NONE] * 4


def test_the_details_of_a_body_that_raises():
    """The manager is passed type, error and traceback of a body that raises, including the body's own frame."""
    manager = Manager()
    error = ValueError("of the body")
    with pytest.raises(ValueError, match="of the body"), shield(lambda: manager):
        raise error
    ((kind, value, traceback),) = manager.details
    assert (kind, value) == (ValueError, error)
    assert traceback.tb_frame.f_code.co_name == "test_the_details_of_a_body_that_raises"


def test_the_details_inside_an_except_block():
    """An exception that is being handled around the shield is not passed to the manager as the body's error."""
    manager = Manager()
    try:
        raise ValueError
    except ValueError:
        with shield(lambda: manager):
            pass
        with suppress(KeyError), shield(lambda: manager):
            raise KeyError from None
    assert [details[0] for details in manager.details] == [None, KeyError]


def test_the_handled_error_raised_again():
    """A bare ``raise`` in the body is the body's error, although the same exception is being handled around it."""
    manager = Manager()
    error = ValueError("again")
    with pytest.raises(ValueError, match="again") as caught:
        try:
            raise error
        except ValueError:
            with shield(lambda: manager):
                raise
    assert caught.value is error
    assert manager.details[0][:2] == (ValueError, error)


def test_the_details_in_a_finally_clause_and_in_a_generator():
    """A body that ends without an error is passed as such in a ``finally`` clause during an error, and in a generator resumed there."""
    manager = Manager()

    def generator() -> Iterator[None]:
        with shield(lambda: manager):
            yield
        yield

    running = generator()
    next(running)
    with suppress(ValueError):
        try:
            raise ValueError
        except ValueError:
            next(running)
            raise
        finally:
            with shield(lambda: manager):
                pass
    running.close()
    assert manager.details == [NONE] * 2


def test_a_manager_in_python_around_a_shield():
    """A shield whose ``__exit__`` is called by another manager passes the error that it is given, or none."""
    manager = Manager()

    class Around:
        def __enter__(self) -> Manager:
            self.shield = shield(lambda: manager)
            return self.shield.__enter__()

        def __exit__(self, kind: object, error: object, traceback: object) -> object:
            return self.shield.__exit__(kind, error, traceback)

    with Around():
        pass
    with pytest.raises(ValueError, match="of the body"), Around():
        raise ValueError("of the body")
    with suppress(KeyError):
        try:
            raise ValueError
        except ValueError:
            with Around():
                pass
            with Around():
                raise KeyError from None
    assert [details[0] for details in manager.details] == [None, ValueError, None, KeyError]


def test_a_generator_that_is_closed_in_the_body():
    """Closing, dropping or throwing into a generator suspended in the body leaves the manager, with that exception."""
    manager = Manager()

    def generator() -> Iterator[None]:
        with shield(lambda: manager):
            yield

    for end in ("close", "throw", "del"):
        running = generator()
        next(running)
        if end == "close":
            running.close()
        elif end == "throw":
            with pytest.raises(KeyError):
                running.throw(KeyError)  # type: ignore[attr-defined]
        else:
            del running
            gc.collect()
    assert [details[0] for details in manager.details] == [GeneratorExit, KeyError, GeneratorExit]


def test_suppression(handlers: Handlers):
    """A true result of ``__exit__`` suppresses the body's error, but not a handler's exception after it."""
    for answer in (True, 1, "yes"):
        with shield(lambda: Manager(leave=lambda: answer)):  # noqa: B023
            raise ValueError
    for answer in (False, 0, "", None):
        with pytest.raises(ValueError), shield(lambda: Manager(leave=lambda: answer)):  # noqa: B023, PT011
            raise ValueError
    handlers.raising = {SIGUSR1: Stop(1)}
    with pytest.raises(Stop), shield(lambda: Manager(leave=lambda: not raise_signal(SIGUSR1))):  # type: ignore[func-returns-value]
        raise ValueError
    assert handlers.calls == [SIGUSR1]


def test_a_bracket_does_not_suppress():
    """A bracket never suppresses an error, whatever the release function returns."""
    with pytest.raises(ValueError, match="of the body"), bracket(list, lambda value: True):
        raise ValueError("of the body")


def test_exit_stack():
    """A shield in an ``ExitStack`` gets the body's error, or none if there was none or an inner manager suppressed it."""
    outer, middle = Manager(), Manager()
    with ExitStack() as stack:
        stack.enter_context(shield(lambda: outer))
    with pytest.raises(ValueError, match="of the body"), ExitStack() as stack:
        stack.enter_context(shield(lambda: outer))
        raise ValueError("of the body")
    with ExitStack() as stack:
        stack.enter_context(shield(lambda: outer))
        stack.enter_context(suppress(ValueError))
        stack.enter_context(shield(lambda: middle))
        raise ValueError
    try:
        raise KeyError
    except KeyError:
        with ExitStack() as stack:
            stack.enter_context(shield(lambda: outer))
        with suppress(KeyError), ExitStack() as stack:
            stack.enter_context(shield(lambda: outer))
            raise
    assert [details[0] for details in outer.details] == [None, ValueError, None, None, KeyError]
    assert [details[0] for details in middle.details] == [ValueError]


def test_a_callback_that_raises_in_an_exit_stack():
    """A shield in an ``ExitStack`` gets the error of an inner callback in place of the body's."""
    manager = Manager()

    def fail() -> None:
        raise KeyError

    with pytest.raises(KeyError), ExitStack() as stack:
        stack.enter_context(shield(lambda: manager))
        stack.callback(fail)
        raise ValueError
    assert [details[0] for details in manager.details] == [KeyError]


def test_a_contextmanager_around_a_shield():
    """A shield in a ``@contextmanager`` generator gets the body's error and can suppress it."""
    manager = Manager(leave=lambda: True)

    @contextmanager
    def around() -> Iterator[Manager]:
        with shield(lambda: manager) as value:
            yield value

    with around() as value:
        assert value is manager
        raise ValueError
    with around():
        pass
    assert [details[0] for details in manager.details] == [ValueError, None]


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


# --- Handlers of the body ---


def test_a_handler_that_the_body_installs_is_held_during_release_and_stays(handlers: Handlers, guard: Any):
    """A handler that the body installs is masked during release, called after it, and stays in force."""
    calls: list[int] = []

    def mine(signum: int, frame: FrameType | None) -> None:
        calls.append(signum)

    def send() -> None:
        raise_signal(SIGUSR1)
        raise_signal(signal.SIGALRM)
        assert calls == []

    before = signal.getsignal(signal.SIGALRM)
    assert before == signal.SIG_DFL
    manager = Manager(leave=send)
    with guard(manager):
        signal.signal(SIGUSR1, mine)
        signal.signal(signal.SIGALRM, mine)
    assert signal.signal(SIGUSR1, handlers) is mine
    assert signal.signal(signal.SIGALRM, before) is mine
    assert calls == [SIGUSR1, signal.SIGALRM]
    assert handlers.calls == []
    assert manager.events == WHOLE


@pytest.mark.parametrize("signum", [SIGINT, SIGUSR1])
def test_a_manager_of_handlers(handlers: Handlers, guard: Any, signum: int):
    """A manager that installs a handler and later restores the one that it found works within a shield."""
    calls: list[int] = []
    saved: list[Any] = []

    def install() -> None:
        saved.append(signal.signal(signum, lambda signum, frame: calls.append(signum)))
        raise_signal(signum)

    def put_back() -> None:
        raise_signal(signum)
        signal.signal(signum, saved[-1])
        raise_signal(signum)

    for _ in range(2):
        with guard(Manager(enter=install, leave=put_back)):
            checkpoint()
            assert calls == [signum]
            assert handlers.calls == []
        assert signal.getsignal(signum) is handlers
        assert handlers.calls == [signum]
        calls.clear()
        handlers.calls.clear()


@pytest.mark.parametrize("signum", [SIGINT, SIGUSR1])
def test_a_manager_whose_handlers_change_in_the_body(handlers: Handlers, guard: Any, signum: int):
    """A handler that a manager found on entry or exit stands for the one that was in force outside at that time."""
    saved: list[Any] = []
    calls: list[str] = []

    def install() -> None:
        saved.append(signal.signal(signum, lambda signum, frame: calls.append("first")))

    def put_back() -> None:
        found = signal.signal(signum, saved[0])
        raise_signal(signum)
        saved.append(found)

    with guard(Manager(enter=install, leave=put_back)):
        saved.append(signal.signal(signum, lambda signum, frame: calls.append("second")))
    assert signal.getsignal(signum) is handlers
    assert (handlers.calls, calls) == ([signum], [])
    signal.signal(signum, saved[2])
    raise_signal(signum)
    assert calls == ["second"]
    with mask(signum):
        raise_signal(signum)
        assert calls == ["second"]
    assert calls == ["second"] * 2


def test_a_manager_that_chains_to_the_handler_it_found(handlers: Handlers, guard: Any):
    """A handler that calls the one it replaced, within a shield, reaches the outside handler once."""
    saved: list[Any] = []

    def chained(signum: int, frame: FrameType | None) -> None:
        saved[0](signum, frame)

    manager = Manager(
        enter=lambda: saved.append(signal.signal(SIGUSR1, chained)), leave=lambda: signal.signal(SIGUSR1, saved[0])
    )
    with guard(manager):
        raise_signal(SIGUSR1)
        assert handlers.calls == [SIGUSR1]
    assert signal.getsignal(SIGUSR1) is handlers


# --- Threads ---


def test_other_threads(handlers: Handlers, guard: Any):
    """In another thread a shield masks nothing: the manager is entered and left, and errors propagate."""
    seen: list[object] = []
    manager = Manager(enter=lambda: seen.append(is_masked(SIGUSR1)), leave=lambda: seen.append(is_masked(SIGUSR1)))

    def run() -> None:
        with suppress(ValueError), guard(manager):
            seen.append(signal.getsignal(SIGUSR1))
            raise ValueError

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [False, handlers, False]
    assert manager.events == WHOLE


def test_left_in_another_thread(handlers: Handlers, guard: Any):
    """A generator that is suspended in the body and closed in another thread leaves the manager there, without an error."""
    manager = Manager()

    def generator() -> Iterator[None]:
        with guard(manager):
            yield

    running = generator()
    next(running)
    errors = []

    def close() -> None:
        try:
            running.close()  # type: ignore[attr-defined]
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=close)
    thread.start()
    thread.join()
    assert errors == []
    assert manager.events == WHOLE


def test_threads_beside_the_main_thread(handlers: Handlers):
    """Shields of the main thread work while other threads keep entering and leaving shields."""
    end = threading.Event()

    def others() -> None:
        while not end.is_set():
            with shield(Manager):
                pass

    threads = [threading.Thread(target=others) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for count in range(1, 60):
            manager = Manager(leave=lambda: raise_signal(SIGUSR1))
            with shield(lambda: manager):  # noqa: B023
                assert len(handlers.calls) == count - 1
            assert len(handlers.calls) == count
            assert manager.events == WHOLE
    finally:
        end.set()
        for thread in threads:
            thread.join()


# --- Handlers that break in ---


@pytest.mark.parametrize("place", ["_shut", "_all_gates", "_hand_on", "_opening", "_shutting", "_deliver"])
@pytest.mark.parametrize("when", [1, 2, 3])
def test_a_handler_that_raises_at_a_step(
    handlers: Handlers, guard: Any, place: str, when: int, monkeypatch: pytest.MonkeyPatch
):
    """Whichever internal step a handler raises at, what was acquired is released, and nothing stays masked."""
    handlers.raising = {SIGUSR1: Stop(1)}
    step, calls = getattr(masking, place), []

    def disturbed(*args: object) -> object:
        calls.append(1)
        if len(calls) == when:
            raise_signal(SIGUSR1)
        return step(*args)

    manager = Manager()
    raised = None
    with monkeypatch.context() as patched:
        patched.setattr(masking, place, disturbed)
        try:
            with guard(manager):
                pass
        except Stop as error:
            raised = error
    assert manager.events in ([], WHOLE)
    assert handlers.calls == [SIGUSR1] * (len(calls) >= when)
    assert (raised is not None) == (len(calls) >= when)
    assert not any(map(is_masked, ALL))
    assert pending_signals() == ()


def test_a_full_stack(handlers: Handlers):
    """A ``RecursionError`` leaves nothing masked: a shield that cannot be left for lack of stack cannot be entered either."""
    before = signal.getsignal(SIGINT)

    def deeper() -> None:
        with shield(io.BytesIO), mask(SIGUSR1):
            deeper()

    with pytest.raises(RecursionError):
        deeper()
    assert signal.getsignal(SIGUSR1) is handlers
    assert signal.getsignal(SIGINT) is before
