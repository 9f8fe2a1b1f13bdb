"""What ``shield`` and ``bracket`` pass to the manager about the body that has ended."""

from __future__ import annotations

import gc
from contextlib import ExitStack, contextmanager, suppress
from signal import SIGUSR1, raise_signal
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.masking import bracket, shield

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.masking.conftest import Handlers

from tests.masking.conftest import Manager, Stop

NONE = (None, None, None)


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
