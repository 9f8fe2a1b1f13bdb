"""Read objects of code under test, any method of which may raise: types, exceptions, texts.

Rules:

1. What something is depends on its type alone: ``isinstance`` would read the object's ``__class__``.
2. Attributes of exceptions are read and set by the descriptors of ``BaseException``, whatever a subclass defines over them.
3. Attributes of other objects are read as ``object`` reads them: without ``__getattribute__`` and ``__getattr__`` of their classes.
   A half-made object, whose ``__init__`` was interrupted, does not have all of them.
4. Where a method of the object has to be called, for its text, whatever it raises becomes part of the result. Only
   ``KeyboardInterrupt`` passes, which may be the user's own.
"""

from __future__ import annotations

from types import GetSetDescriptorType, MemberDescriptorType
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

T = TypeVar("T")

_NOTHING = object()
_get = object.__getattribute__
_TYPE = vars(type)
_ERROR = vars(BaseException)
_PARTS = vars(BaseExceptionGroup)["exceptions"]


class HinderedError(RuntimeError):
    """Code under test, or what runs beside it, takes away what the audit needs. The message names that; it is the reason not to audit."""


def is_a(thing: object, *kinds: type) -> bool:
    """Return whether the type of ``thing`` is one of these, which are not the user's, or a subclass."""
    return issubclass(type(thing), kinds)


def name_of(kind: type) -> str:
    """Return the qualified name of a type, whatever its metaclass defines."""
    return str(_TYPE["__qualname__"].__get__(kind))


def mro_of(kind: type) -> tuple[type, ...]:
    """Return the ``__mro__`` of a type, whatever its metaclass defines."""
    return cast("tuple[type, ...]", _TYPE["__mro__"].__get__(kind))


def dict_of(kind: type) -> Any:
    """Return the ``__dict__`` of a type, whatever its metaclass defines."""
    return _TYPE["__dict__"].__get__(kind)


def namespace_of(thing: object) -> dict[str, object] | None:
    """Return the ``__dict__`` of an object itself, if it has one that its class does not hide; see rule 3."""
    for base in mro_of(type(thing)):
        if (found := dict_of(base).get("__dict__")) is not None:
            # By identity: a metaclass may define __eq__.
            kind = type(found)
            ours = kind is GetSetDescriptorType or kind is MemberDescriptorType
            names = found.__get__(thing) if ours else None
            return names if type(names) is dict else None
    return None


def attempt(ask: Callable[[], T], otherwise: T) -> T:
    """Return what ``ask`` returns, or ``otherwise`` if it raises."""
    try:
        return ask()
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  (code of the user's may raise anything)
        return otherwise


def read(thing: object, name: str, otherwise: Any = None) -> Any:
    """Return an attribute as the object has it, whatever its class defines; ``otherwise`` if there is none."""
    try:
        return _get(thing, name)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  (there is none, or it is a property of the user's)
        return otherwise


def has(thing: object, name: str) -> bool:
    """Return whether an object has an attribute; see :func:`read`."""
    return read(thing, name, _NOTHING) is not _NOTHING


def text_of(thing: object) -> str:
    """Return ``str(thing)``; if that raises, a text that names the exception."""
    try:
        return str(thing)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  (code of the user's may raise anything)
        return f"<its text cannot be shown: __str__ raised {name_of(type(error))}>"


def last_line(error: BaseException) -> str:
    """Return an exception as the last line of a traceback would show it."""
    text = text_of(error).strip().splitlines()
    return name_of(type(error)) + (f": {text[0]}" if text else "")


def cause_of(error: BaseException) -> BaseException | None:
    """Return the ``__cause__`` of an exception."""
    return cast("BaseException | None", _ERROR["__cause__"].__get__(error))


def context_of(error: BaseException) -> BaseException | None:
    """Return the ``__context__`` of an exception."""
    return cast("BaseException | None", _ERROR["__context__"].__get__(error))


def parts_of(error: BaseException) -> tuple[BaseException, ...]:
    """Return the exceptions of a group; none for any other exception."""
    return cast("tuple[BaseException, ...]", _PARTS.__get__(error)) if is_a(error, BaseExceptionGroup) else ()


def traceback_of(error: BaseException) -> TracebackType | None:
    """Return the ``__traceback__`` of an exception."""
    return cast("TracebackType | None", _ERROR["__traceback__"].__get__(error))


def with_traceback(error: T, traceback: TracebackType | None) -> T:
    """Set the ``__traceback__`` of an exception; return the exception."""
    _ERROR["__traceback__"].__set__(error, traceback)
    return error


def let_go(error: BaseException) -> None:
    """Remove the traceback, the cause and the context from an exception."""
    for name in ("__traceback__", "__cause__", "__context__"):
        descriptor: Any = _ERROR[name]
        descriptor.__set__(error, None)
