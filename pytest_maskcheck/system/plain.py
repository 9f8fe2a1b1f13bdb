"""Values that come from outside, reduced to plain data or quoted in messages.

A marker argument, or what a hook returned, may be an object of any class. Its ``__eq__``, ``__str__``, ``__repr__`` and even its
``__class__`` (which :func:`isinstance` reads) may raise, hang or have effects. So types are compared by ``type()``, and values of
subclasses are read by the methods of the builtin class. Only :func:`described` runs code of theirs, the ``__str__`` of an
exception. Nothing here raises because of it.
"""

from __future__ import annotations

from types import NoneType
from typing import Any, TypeGuard

from pytest_maskcheck.system.untrusted import is_a, name_of, text_of

_DEEPEST = 3
"""How deep containers in containers are read: no setting has more than two levels."""

_TEXT = 80
"""Characters of a text that a message shows."""

_LINE = 400
"""Characters of somebody else's message within one of ours: it may begin with a path."""

_ITEMS = 4
"""Items of a container that a message shows."""

_BITS = 256
"""Numbers with more bits are described: ``str()`` rejects those of more than 4,300 digits."""

Plain = bool | int | float | str | None | list[Any] | dict[Any, Any]
"""What :func:`plain` returns; lists and dicts hold the same."""


def is_text(value: object) -> TypeGuard[str]:
    """Return whether a value is a text, without reading its ``__class__``."""
    return is_a(value, str)


def type_name(value: object) -> str:
    """Return the name of the type of ``value``, on one line."""
    return " ".join(name_of(type(value)).split())


def plain(value: object, depth: int = _DEEPEST) -> Plain:
    """Return ``value`` as an object of a builtin type: an instance of a subclass as one of its builtin base, a tuple as a list.

    Raises:
        ValueError: it is of another type, or too deep.
    """
    kind: Any = type(value)
    thing: Any = value
    if kind is bool or kind is NoneType:  # by identity: a metaclass may define __eq__ and __hash__
        found: Plain = thing
    elif issubclass(kind, str):
        found = str.__str__(thing)
    elif issubclass(kind, int):
        found = int.__int__(thing)
    elif issubclass(kind, float):
        found = float.__float__(thing)
    elif depth and issubclass(kind, (list, tuple)):
        each = list.__iter__ if issubclass(kind, list) else tuple.__iter__
        found = [plain(item, depth - 1) for item in each(thing)]
    elif depth and issubclass(kind, dict):
        pairs = [(plain(key, 0), plain(item, depth - 1)) for key, item in dict.items(thing)]
        found = dict(pairs)
    else:
        raise ValueError(type_name(value))
    return found


def quoted(value: object) -> str:
    """Return ``value`` for a message, on one short line: plain data as Python would write it."""
    try:
        return _quoted(plain(value))
    except ValueError:
        return f"an object of type {type_name(value)}"


def _quoted(value: Plain) -> str:
    if isinstance(value, str):
        rest = len(value) - _TEXT
        return repr(value) if rest <= 0 else f"{value[:_TEXT]!r} and {rest} more characters"
    if isinstance(value, int) and value.bit_length() > _BITS:
        return f"a number of {value.bit_length()} bits"
    if isinstance(value, list):
        return f"[{_listed([_quoted(item) for item in value[:_ITEMS]], len(value))}]"
    if isinstance(value, dict):
        shown = [f"{_quoted(key)}: {_quoted(item)}" for key, item in list(value.items())[:_ITEMS]]
        return f"{{{_listed(shown, len(value))}}}"
    return repr(value)


def _listed(shown: list[str], count: int) -> str:
    return ", ".join([*shown, *(["..."] if count > len(shown) else [])])


def brief(text: str) -> str:
    """Return a text of somebody else's, such as that of an exception, on one short line."""
    # Halves of surrogate pairs cannot be printed.
    line = " ".join(text.split()).encode("utf-8", "backslashreplace").decode()
    return line if len(line) <= _LINE else line[:_LINE] + "..."


def described(error: BaseException) -> str:
    """Return an exception on one short line, with its type; its ``__str__`` may raise, too."""
    name, text = type_name(error), text_of(error)
    return brief(f"{name}: {text}") if text.strip() else name
