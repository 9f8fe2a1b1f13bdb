"""Context managers that are entered last before the code under test runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType

P = ParamSpec("P")
T = TypeVar("T")


class _Armed(Generic[T]):
    """The context manager that a function decorated with :func:`arming` returns."""

    def __init__(self, generator: Generator[T, None, None]) -> None:
        self._generator = generator

    def __enter__(self) -> T:
        return next(self._generator)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if error is None:
            next(self._generator, None)
            return
        try:
            self._generator.throw(error)
        except BaseException as raised:
            # Not raised again here: ``None`` is returned, so the ``with`` statement itself re-raises ``error``.
            if raised is not error:
                raise


def arming(function: Callable[P, Iterator[T]]) -> Callable[P, AbstractContextManager[T]]:
    """Turn a generator function into a context manager, as ``contextlib.contextmanager`` does, but run only code of this package.

    Between arming and the code under test, no code may run that can itself be in scope. ``contextlib`` can be, since a user may audit
    the standard library. The generator must not swallow exceptions.
    """

    @wraps(function)
    def make(*args: P.args, **kwargs: P.kwargs) -> AbstractContextManager[T]:
        return _Armed(cast("Generator[T, None, None]", function(*args, **kwargs)))

    return make
