"""Read, copy and compare the values of guarantees: the user's objects, and files.

The ``__eq__``, ``__deepcopy__`` and ``__repr__`` of these objects are the user's code, which may raise anything.
"""

from __future__ import annotations

import copy
import reprlib
from typing import Any

import pytest

from pytest_maskcheck.system.plain import described, type_name
from pytest_maskcheck.system.unpatched import io, os


def copied(sort: str, value: object, what: str) -> Any:
    """Return a deep copy that is equal to ``value``.

    Raises:
        pytest.UsageError: there is no such copy.
    """
    remedy = f"pass a function that returns what is to be compared, such as maskcheck.{sort}(lambda: list(store))"
    try:
        found = copy.deepcopy(value)
    except (Exception, SystemExit) as error:  # noqa: BLE001  (the user's own code)
        message = f"maskcheck.{sort}(): {what} cannot be copied ({described(error)}); {remedy}"
        raise pytest.UsageError(message) from None
    try:
        same = bool(found == value)
    except (Exception, SystemExit) as error:  # noqa: BLE001  (the user's own code)
        message = f"maskcheck.{sort}(): {what} cannot be compared ({described(error)}); {remedy}"
        raise pytest.UsageError(message) from None
    if not same:
        message = f"maskcheck.{sort}(): {what} does not equal its own copy, so that a change cannot be seen; {remedy}"
        raise pytest.UsageError(message)
    return found


def itself(value: object) -> object:
    """Return the value itself; this reads an object that is changed in place."""
    return value


class _Nothing:
    """The contents of a file that does not exist."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Nothing)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "<nothing>"


def contents(path: str) -> object:
    """Return the bytes of a file; for a directory, its names with their contents."""
    if os.path.isdir(path) and not os.path.islink(path):
        return {name: contents(os.path.join(path, name)) for name in sorted(os.listdir(path))}
    try:
        if os.path.islink(path) and not os.path.isfile(path):
            return f"<link to {os.path.basename(os.readlink(path))}>"
        if not os.path.isfile(path):
            return "<special file>" if os.path.lexists(path) else _Nothing()
        with io.open(path, "rb") as file:
            return file.read()
    except OSError as error:
        return f"<{error.strerror}>"


def short(value: object) -> str:
    """Return the representation of a value, cut short."""
    try:
        return reprlib.repr(value)
    except Exception as error:  # noqa: BLE001  (the user's __repr__)
        return f"<{type_name(value)} whose repr raised {type_name(error)}>"


def equal(left: object, right: object) -> bool:
    """Return whether two values are equal; raises what their ``__eq__`` raises."""
    return bool(left == right)
