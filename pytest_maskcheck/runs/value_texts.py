"""What can be printed of one thing by itself: a plain value, the size of a container, the state of a lock or a generator."""

from __future__ import annotations

import array
import collections
import enum
import functools
import itertools
import operator
import reprlib
import types
import weakref
from typing import Any, NamedTuple

from pytest_maskcheck.runs.namespaces import PLAIN, identity, ids, module_of, qualname_of
from pytest_maskcheck.system.unpatched import gc, io

MANY = 1000
"""Items above which a container counts as a whole: by its size and a digest."""

CONTAINERS: tuple[Any, ...] = (dict, list, tuple, collections.deque, set, frozenset)
SILENT = (type, types.ModuleType, types.BuiltinFunctionType, types.MethodType)
"""Types of things that have no text of their own: only their parts count."""

_SETS: tuple[Any, ...] = (set, frozenset)
_ITERATED: tuple[Any, ...] = ([], (), "", "é", b"", bytearray(), {}, {}.values(), {}.items(), set(), range(0))
_ITERATORS = ids(*(type(iter(each)) for each in _ITERATED), type(reversed([])), type(reversed({})))
_BYTES = ids(bytearray, array.array)
_OTHERS = ids(weakref.ref, itertools.count, functools._lru_cache_wrapper)  # noqa: SLF001  (the type has no other name)
_OPAQUE = {
    ("itertools", "cycle"),
    ("sqlite3", "Connection"),
    ("_queue", "SimpleQueue"),
    ("_io", "BytesIO"),
    ("_io", "StringIO"),
}
"""Module and name of types whose objects have state that cannot be read from outside."""

_SUSPENDED = {
    identity(types.GeneratorType): "gi_frame",
    identity(types.CoroutineType): "cr_frame",
    identity(types.AsyncGeneratorType): "ag_frame",
}


class Value(NamedTuple):
    """What can be printed of one thing by itself.

    Parameters:
        text: what it is, such as ``1`` or ``a list``.
        size: the number of its parts, where these have values of their own; else ``None``.
    """

    text: str
    size: int | None = None

    def __str__(self) -> str:
        return self.text if self.size is None else f"{self.text} of {self.size}"

    def differs_in_size(self, other: Value) -> bool:
        """Return whether both have parts, and are the same but for the number of these."""
        return self.text == other.text and None not in {self.size, other.size}


def value_of(thing: Any) -> Value | None:
    """Return the value of a thing by itself; ``None`` if only its parts count."""
    kind = type(thing)
    if identity(kind) in PLAIN:
        return Value(reprlib.repr(thing))
    if issubclass(kind, SILENT):
        return None
    if kind is types.FunctionType:
        return Value(f"the function {thing.__qualname__}")
    named = f"a {qualname_of(kind)}"
    for base in CONTAINERS:
        if issubclass(kind, base):
            size = base.__len__(thing)
            return Value(f"{named} of {size}{_digest(thing, base)}") if size > MANY else Value(named, size)
    if kind is functools._lru_cache_wrapper:  # noqa: SLF001  (the type has no other name)
        return Value(named, thing.cache_info().currsize)
    return Value(f"{named}{_condition(thing, kind)}")


def _digest(thing: Any, base: Any) -> str:
    """Return a digest of the plain items of a big container."""
    items = base.__iter__(thing) if base is not dict else itertools.chain.from_iterable(dict.items(thing))
    plain = [(identity(type(item)), item if identity(type(item)) in PLAIN else None) for item in items]
    return f" with digest {(hash(frozenset(plain)) if base in _SETS else hash(tuple(plain))) & 0xFFFFFFFF:08x}"


def _condition(thing: Any, kind: type) -> str:  # noqa: PLR0911  (one for each sort of object)
    """Return the state of an object, for those of a few built-in types."""
    if issubclass(kind, enum.Enum):
        return f" {vars(thing).get('_name_')}"
    if module_of(kind) == "_io" and issubclass(kind, io.IOBase):  # other classes may run code of the user's
        return ", closed" if thing.closed else ", open"
    if identity(kind) in _SUSPENDED:
        frame = getattr(thing, _SUSPENDED[identity(kind)])
        return ", ended" if frame is None else f", suspended at line {frame.f_lineno}"
    if kind is weakref.ref:
        return ", dead" if thing() is None else ", alive"
    if module_of(kind) == "_thread" and kind.__name__ in {"lock", "RLock"}:  # an RLock has no locked() up to 3.13
        return ", unlocked" if repr(thing).startswith("<unlocked") else ", locked"
    if identity(kind) in _BYTES:
        return f" of {len(thing)} with digest {hash(bytes(thing)) & 0xFFFFFFFF:08x}"
    if kind is itertools.count and all(
        identity(type(part)) in PLAIN or part is kind for part in gc.get_referents(thing)
    ):
        return f" at {thing!r}"
    if identity(kind) in _ITERATORS:  # of built-in containers: their length hints run no code of the user's
        return f" with {operator.length_hint(thing)} to come"
    return ""


def is_opaque(kind: type) -> bool:
    """Return whether objects of a built-in type have state that cannot be read from outside."""
    return (module_of(kind), qualname_of(kind)) in _OPAQUE


def is_stateful(kind: type) -> bool:
    """Return whether objects of a built-in type have state that their parts do not show, but :func:`value_of` does."""
    return (
        any(identity(kind) in kinds for kinds in (_SUSPENDED, _ITERATORS, _BYTES, _OTHERS))
        or (module_of(kind) == "_thread" and kind.__name__ in {"lock", "RLock"})
        or (module_of(kind) == "_io" and issubclass(kind, io.IOBase))
    )
