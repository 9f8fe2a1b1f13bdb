"""The parts of a thing: what it keeps in items, attributes, closures and defaults, each with a name that shows the way to it."""

from __future__ import annotations

import collections
import enum
import functools
import itertools
import reprlib
import types
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_maskcheck.runs.namespaces import PLAIN, class_dict, identity, ids, is_harness, module_of, mro_of, namespace
from pytest_maskcheck.runs.value_texts import CONTAINERS, MANY, SILENT
from pytest_maskcheck.system.unpatched import gc

_BOUND = ids(staticmethod, classmethod)
_LAZY = ids(enumerate, filter, map, zip, *(each for each in vars(itertools).values() if isinstance(each, type)))
"""Ids of types whose objects keep other things but have no attributes for them."""


def parts_of(thing: Any) -> Iterator[tuple[str, object]]:
    """Yield each part of a thing as a pair: what to append to the thing's name, and the part."""
    kind = type(thing)
    if issubclass(kind, dict):
        if dict.__len__(thing) <= MANY:
            yield from ((step(key), value) for key, value in dict.items(thing) if _printable(key))
    elif issubclass(kind, (list, tuple, collections.deque)):
        base = next(base for base in CONTAINERS if issubclass(kind, base))
        if base.__len__(thing) <= MANY:
            yield from ((f"[{position}]", value) for position, value in enumerate(base.__iter__(thing)))
    elif issubclass(kind, (set, frozenset)):
        members: Any = set if issubclass(kind, set) else frozenset
        if members.__len__(thing) <= MANY:
            yield from (
                (f"[{member!r}]", True) for member in members.__iter__(thing) if identity(type(member)) in PLAIN
            )
    yield from _attached(thing, kind)


def _attached(thing: Any, kind: type) -> Iterator[tuple[str, object]]:
    """Yield what a thing keeps in attributes, closures and the like."""
    if issubclass(kind, types.ModuleType):
        yield from _attributes(thing, namespace(thing), thing.__name__)
    elif issubclass(kind, type):
        yield from _attributes(thing, class_dict(thing), module_of(thing))
    elif kind is types.FunctionType:
        yield from _attributes(thing, vars(thing), thing.__module__)
        for name, cell in zip(thing.__code__.co_freevars, thing.__closure__ or (), strict=False):
            yield from ((f".<{name}>", value) for value in _contents(cell))
        yield from _defaults(thing)
    elif kind is types.MethodType:
        yield ".__self__", thing.__self__
    elif kind is functools.partial:
        yield from ((".func", thing.func), (".args", thing.args), (".keywords", thing.keywords))
    elif identity(kind) in _LAZY:
        yield from ((f".<{position}>", value) for position, value in enumerate(gc.get_referents(thing)))
    elif not issubclass(kind, (*SILENT, enum.Enum)) and not is_harness(module_of(kind)):
        yield from _attributes(thing, namespace(thing), "")


def _defaults(function: types.FunctionType) -> Iterator[tuple[str, object]]:
    """Yield the default values of parameters, which outlive each call."""
    code, defaults = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[: code.co_argcount][-len(defaults) :] if defaults else ()
    yield from ((f"({name}=)", value) for name, value in zip(names, defaults, strict=False))
    yield from ((f"({name}=)", value) for name, value in (function.__kwdefaults__ or {}).items())


def step(key: object) -> str:
    """Return what to append to the name of a dictionary for the value of a key."""
    return f"[{reprlib.repr(key)}]"


def _printable(key: object) -> bool:
    return identity(type(key)) in PLAIN or (type(key) is tuple and all(identity(type(part)) in PLAIN for part in key))


def _attributes(owner: object, names: Mapping[str, object], module: str) -> Iterator[tuple[str, object]]:
    """Yield what a namespace keeps, without what is imported into it."""
    value: Any
    for name, value in list(names.items()):
        if name.startswith(("__", "@")) or name == "pytestmark":
            continue
        kind = type(value)
        if identity(kind) in _BOUND:
            kind, value = type(value.__func__), value.__func__  # noqa: PLW2901
        if issubclass(kind, (types.ModuleType, property, staticmethod, classmethod, types.MemberDescriptorType)):
            continue
        # An imported thing belongs to the module that defines it. But a closure may have been made there for this module.
        if issubclass(kind, type) and module and module_of(value) != module:
            continue
        if kind is types.FunctionType and module and value.__module__ != module and not value.__closure__:
            continue
        yield f".{name}", value
    if issubclass(type(owner), type):
        return
    for base in mro_of(type(owner)):  # slots
        for name, member in class_dict(base).items():
            if type(member) is types.MemberDescriptorType and not name.startswith("__"):
                try:
                    yield f".{name}", member.__get__(owner)
                except AttributeError:
                    continue


def _contents(cell: types.CellType) -> list[object]:
    try:
        return [cell.cell_contents]
    except ValueError:
        return []
