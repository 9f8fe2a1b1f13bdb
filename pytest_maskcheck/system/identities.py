"""Which objects a tuple holds: a comparison of many objects by identity, in one call of C.

``all(map(is_, these, those))`` takes some 40 ns for each object, which is most of what it costs to look at the modules after each run.
The items of a tuple are pointers, one after the other in memory; ``memcmp`` compares two thousand of them in a microsecond.

Rules:

1. The layout of tuples is not taken for granted: a tuple of known objects is read first. Where that shows something else, or there is no
   ``ctypes`` or no ``memcmp``, objects are compared one by one.
2. No object is kept alive here. An object that may die has to be kept by the caller, or another one may get its address.
3. ``id`` is not called for each object, as that raises an audit event, and the code under test may have a hook. A call of a function of
   C raises one, too, on CPython 3.14 and later.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from typing import Any

_WIDTH = struct.calcsize("P")
_BITS = 8 * _WIDTH
_ROTATED = 4
"""Bits by which CPython rotates an address to make the hash of an object from it."""

_hash: Callable[[object], int] = object.__hash__

_Compare = Callable[[int, bytes, int], int]


class Identities:
    """The identities of the objects in a tuple."""

    __slots__ = ("_compare", "_number", "_pointers", "_singly")

    def __init__(self, things: tuple[Any, ...]) -> None:
        self._number = len(things)
        self._compare = _memcmp()
        self._singly = None if self._compare else list(map(_hash, things))
        self._pointers = b"" if self._compare is None else _copied(_items(things), self._number * _WIDTH)

    def are_those_of(self, things: tuple[Any, ...]) -> bool:
        """Return whether a tuple holds the same objects in the same order."""
        if len(things) != self._number:
            return False
        if self._compare is None:
            return list(map(_hash, things)) == self._singly
        return not self._compare(_items(things), self._pointers, self._number * _WIDTH)


def _address(thing: object) -> int:
    rotated = _hash(thing) % (1 << _BITS)
    return (rotated << _ROTATED) % (1 << _BITS) | rotated >> (_BITS - _ROTATED)


def _items(things: tuple[Any, ...]) -> int:
    """Return where in memory the items of a tuple begin."""
    return _address(things) + tuple.__basicsize__


def _copied(address: int, size: int) -> bytes:
    import ctypes

    return ctypes.string_at(address, size)


@cache
def _memcmp() -> _Compare | None:
    """Return the function of C, ``None`` if tuples cannot be read with it."""
    try:
        import ctypes

        compare: Any = ctypes.PyDLL(None).memcmp  # PyDLL: no other thread runs meanwhile
        compare.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
        compare.restype = ctypes.c_int
        sample = (object(), 1, "one", None, (), object)
        expected = struct.pack(f"{len(sample)}P", *map(id, sample))
        is_as_known = (
            _address(sample) == id(sample)
            and _copied(_items(sample), len(expected)) == expected
            and not compare(_items(sample), expected, len(sample) * _WIDTH)
        )
    except (ImportError, AttributeError, OSError, TypeError, struct.error):
        return None
    return compare if is_as_known else None
