"""What modules keep, as text by name: to tell what an interrupt changed for good.

A fingerprint goes from the names of modules through classes, instances and containers, to a small depth. It runs no code of the
user's: values are read from namespaces, and only those of built-in types are printed.
"""

from __future__ import annotations

import collections
import enum
import functools
import io
import re
import reprlib
import sys
import types
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_DEPTH = 5
_MANY = 50
"""Items above which only the size of a container counts."""

_MOST = 20_000
"""Entries of a fingerprint; what lies deeper is left out."""

_SHOWN = 5
"""Differences named."""

_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")
_PLAIN = (int, float, complex, bool, str, bytes, type(None), type(Ellipsis), range)
_CONTAINERS: tuple[Any, ...] = (dict, list, tuple, collections.deque, set, frozenset)
_SILENT = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType)
_SUSPENDED = {types.GeneratorType: "gi_frame", types.CoroutineType: "cr_frame", types.AsyncGeneratorType: "ag_frame"}

Fingerprint = dict[str, str]
"""Name, such as ``store.STATE['open']`` -> value, such as ``1``."""


class Fingerprints:
    """Takes fingerprints of the modules in scope.

    Parameters:
        in_scope: tells whether the file of a module is.
        named: puts names in place of directories that differ from run to run.
    """

    def __init__(self, in_scope: Callable[[str], bool], named: Callable[[str], str] = str) -> None:
        self._in_scope = in_scope
        self._named = named
        self._modules: list[tuple[str, object]] = []
        self._of = 0

    def take(self) -> Fingerprint:
        """Return what the modules keep now."""
        if self._of != len(sys.modules):
            self._modules = [
                (name, module) for name, module in list(sys.modules.items()) if _is_wanted(module, self._in_scope)
            ]
            self._of = len(sys.modules)
        found: Fingerprint = {}
        seen: set[int] = set()
        queue: collections.deque[tuple[str, object, int]] = collections.deque(
            (name, module, 0) for name, module in self._modules
        )
        while queue and len(found) < _MOST:
            name, thing, depth = queue.popleft()
            value = _value(thing)
            if value:
                found[name] = self._named(_ADDRESS.sub("0x...", value))
            if depth < _DEPTH and id(thing) not in seen:
                seen.add(id(thing))
                queue += [(name + step, part, depth + 1) for step, part in _parts(thing)]
        return found


def _is_wanted(module: object, in_scope: Callable[[str], bool]) -> bool:
    file = _namespace(module).get("__file__")
    return isinstance(file, str) and in_scope(file)


def _value(thing: Any) -> str:
    """Return a short text for a thing by itself; ``""`` if its parts say all."""
    kind = type(thing)
    if kind in _PLAIN:
        return reprlib.repr(thing)
    if issubclass(kind, _SILENT):
        return ""
    for base in _CONTAINERS:
        if issubclass(kind, base):
            return f"a {kind.__name__} of {base.__len__(thing)}"
    return f"a {kind.__qualname__}{_condition(thing, kind)}"


def _condition(thing: Any, kind: type) -> str:  # noqa: PLR0911  (one for each sort of object)
    """Return what can be said of objects of a few built-in types."""
    if issubclass(kind, enum.Enum):
        return f" {vars(thing).get('_name_')}"
    if issubclass(kind, io.IOBase) and kind.__module__ == "_io":  # of others it may be the user's code that tells
        return ", closed" if thing.closed else ", open"
    if kind in _SUSPENDED:
        return ", ended" if getattr(thing, _SUSPENDED[kind]) is None else ", suspended"
    if kind is weakref.ref:
        return ", dead" if thing() is None else ", alive"
    if kind is functools._lru_cache_wrapper:  # noqa: SLF001  (the type has no other name)
        return f" of {thing.cache_info().currsize}"
    if kind.__module__ == "_thread" and kind.__name__ in {"lock", "RLock"}:
        return ", unlocked" if repr(thing).startswith("<unlocked") else ", locked"
    return ""


def _parts(thing: Any) -> Iterator[tuple[str, object]]:
    """Yield (how a name goes on, value) for what a thing keeps."""
    kind = type(thing)
    if issubclass(kind, dict):
        if dict.__len__(thing) <= _MANY:
            yield from ((f"[{reprlib.repr(key)}]", value) for key, value in dict.items(thing) if _printable(key))
    elif issubclass(kind, (list, tuple, collections.deque)):
        base = next(base for base in _CONTAINERS if issubclass(kind, base))
        if base.__len__(thing) <= _MANY:
            yield from ((f"[{position}]", value) for position, value in enumerate(base.__iter__(thing)))
    elif issubclass(kind, (set, frozenset)):
        members: Any = set if issubclass(kind, set) else frozenset
        if members.__len__(thing) <= _MANY:
            yield from ((f"[{member!r}]", True) for member in members.__iter__(thing) if type(member) in _PLAIN)
    if issubclass(kind, types.ModuleType):
        yield from _attributes(thing, _namespace(thing), thing.__name__)
    elif issubclass(kind, type):
        yield from _attributes(thing, dict(vars(thing)), thing.__module__)
    elif kind is types.FunctionType:
        yield from _attributes(thing, vars(thing), thing.__module__)
        for name, cell in zip(thing.__code__.co_freevars, thing.__closure__ or (), strict=False):
            yield from ((f".<{name}>", value) for value in _contents(cell))
    elif not issubclass(kind, (*_SILENT, enum.Enum)):
        yield from _attributes(thing, _namespace(thing), "")


def _printable(key: object) -> bool:
    return type(key) in _PLAIN or (type(key) is tuple and all(type(part) in _PLAIN for part in key))


def _attributes(owner: object, names: Mapping[str, object], module: str) -> Iterator[tuple[str, object]]:
    """Yield what a namespace keeps, without what is imported into it."""
    for name, value in list(names.items()):
        if name.startswith(("__", "@")) or name == "pytestmark":
            continue
        kind = type(value)
        if issubclass(kind, (types.ModuleType, property, staticmethod, classmethod, types.MemberDescriptorType)):
            continue
        if issubclass(kind, (type, types.FunctionType)) and module and getattr(value, "__module__", "") != module:
            continue
        yield f".{name}", value
    if issubclass(type(owner), type):
        return
    for base in type(owner).__mro__:
        for name, member in vars(base).items():
            if type(member) is types.MemberDescriptorType and not name.startswith("__"):
                try:
                    yield f".{name}", member.__get__(owner)
                except AttributeError:
                    continue


def _namespace(thing: object) -> Mapping[str, object]:
    try:
        names = object.__getattribute__(thing, "__dict__")
    except AttributeError:
        return {}
    return names if type(names) is dict else {}


def _contents(cell: types.CellType) -> list[object]:
    try:
        return [cell.cell_contents]
    except ValueError:
        return []


def differences(now: Fingerprint, ordinary: Fingerprint, again: Fingerprint) -> str:
    """Return in words what is not as after an uninterrupted run, ``""`` if nothing is.

    Parameters:
        now: as it is.
        ordinary, again: after two uninterrupted runs; what differs between them says nothing.
    """
    names = [
        name
        for name in {**ordinary, **now}
        if ordinary.get(name) == again.get(name) and now.get(name) != ordinary.get(name)
    ]
    # What is new, gone or something else says it all of its parts; of a container that grew, its parts say it.
    strong = {name for name in names if not _is_size(now.get(name, ""), ordinary.get(name, ""))}
    deepest = [
        name
        for name in names
        if not any(_within(name, other) for other in strong)
        and (name in strong or not any(_within(other, name) for other in names))
    ]
    if not deepest:
        return ""
    texts = [_told(name, now.get(name), ordinary.get(name)) for name in deepest]
    more = len(texts) - _SHOWN
    return "; ".join(texts[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def _is_size(now: str, ordinary: str) -> bool:
    return now.rpartition(" of ")[0] == ordinary.rpartition(" of ")[0] != ""


def _within(name: str, other: str) -> bool:
    return name != other and name.startswith((other + ".", other + "["))


def _told(name: str, now: str | None, ordinary: str | None) -> str:
    is_now = "is not there" if now is None else f"is {now}"
    return f"{name} {is_now}, after an uninterrupted run it is {'not there' if ordinary is None else ordinary}"
