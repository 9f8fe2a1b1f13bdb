"""Find out why an object is still alive: the shortest path of references to it from a module, a class, a frame or a fixture.

The search goes breadth-first from the object to what refers to it. No code of the objects it visits runs.
"""

from __future__ import annotations

import re
import sys
import types
from collections import deque
from enum import Enum
from typing import Any

from pytest_maskcheck.resources.owner_names import attributes, frame_of, is_our_look, variables
from pytest_maskcheck.system.frozen_heap import FrozenHeap
from pytest_maskcheck.system.plain import quoted
from pytest_maskcheck.system.unpatched import gc, threading
from pytest_maskcheck.system.untrusted import namespace_of, read, text_of

_DEPTH = 8
"""The longest path, in references."""

_WIDTH = 500
"""The most objects that are visited at each step."""

_SEQUENCES = (list, tuple, deque)
_KEY = re.compile(r"^\['(\w+)'\]")
_POSITION = re.compile(r"^\[(\d+)\]")
_DIGITS = re.compile(r"\d+")
_ACTIVE: dict[int, Any] = getattr(threading, "_active", {})
_CONTAINERS = (dict, set, frozenset, *_SEQUENCES)
_WRITTEN = (str, int, float, bool, bytes, types.NoneType)
_OF_EXCEPTIONS = ("args", "__cause__", "__context__", "__traceback__")


def held_by(thing: object | None) -> str:
    """Return the shortest path to ``thing``, such as ``pool.POOL._idle[0]``; ``""`` if none is found.

    Thaws the heap, as the garbage collector does not return frozen objects as referrers.
    """
    if thing is None:
        return ""
    FrozenHeap.thaw()
    level: list[tuple[Any, str]] = [(thing, "")]
    seen = {id(thing), id(level)}
    for _ in range(_DEPTH):
        holders = gc.get_referrers(*(each for each, _ in level))
        # The search's own lists refer to what they contain, but are not what keeps it alive.
        seen |= {id(holders), id(level)}
        roots, following = [], []
        for holder in holders:
            if id(holder) in seen or is_our_look(holder):
                continue
            seen.add(id(holder))
            referents = set(map(id, gc.get_referents(holder)))
            # A holder may refer to several objects of this level; one path is enough.
            for held, path in [each for each in level if id(each[0]) in referents][:1]:
                if root := _root(holder, held):
                    roots.append(root + _rest(holder, held, path))
                else:
                    following.append((holder, _step(holder, held) + _rest(holder, held, path)))
        if roots:
            # Local variables are the least informative roots, so they come last.
            return min(roots, key=lambda path: (path.startswith("local"), len(path), path))
        level = following[:_WIDTH]
        seen |= {id(roots), id(level)}
    return ""


def _rest(holder: Any, held: object, path: str) -> str:
    """Return ``path`` as it is written after ``holder``, which may keep its attributes or variables in a dictionary or a tuple."""
    kind = type(holder)
    if namespace_of(holder) is held or (issubclass(kind, type) and type(held) is dict):
        return _KEY.sub(r".\1", path)
    if kind is types.FunctionType:
        return _of_function(holder, held, path)
    if _is_fixture(holder) and holder.cached_result is held:
        return path.removeprefix("[0]")
    return path


def _of_function(holder: types.FunctionType, held: object, path: str) -> str:
    """Return ``path``, which begins in ``held``, a part of a function, with the variable's name in the style of ``f.<locals>.g``."""
    code = holder.__code__
    if held is holder.__kwdefaults__:
        return _KEY.sub(r".<defaults>.\1", path)
    named: dict[int, tuple[str, tuple[str, ...]]] = {
        id(holder.__defaults__): (
            "<defaults>",
            code.co_varnames[: code.co_argcount][-len(holder.__defaults__ or ()) :],
        ),
        id(holder.__closure__): ("<closure>", code.co_freevars),
    }
    part, names = named.get(id(held), ("", ()))
    found = _POSITION.match(path)
    if not found or int(found[1]) >= len(names):
        return path
    return f".{part}.{names[int(found[1])]}{path[found.end() :]}"


def _is_fixture(holder: Any) -> bool:
    kind = type(holder)
    return kind.__module__ == "_pytest.fixtures" and kind.__name__ == "FixtureDef"


def _root(holder: Any, held: object) -> str:
    """Return the name of ``held`` if ``holder`` is where a path begins, else ``""``."""
    kind = type(holder)
    if kind is dict:
        name = holder.get("__name__")
        module = sys.modules.get(name) if isinstance(name, str) else None
        if module is not None and vars(module) is holder:
            return next((f"{name}.{key}" for key, value in holder.items() if value is held), "")
        return ""
    if issubclass(kind, type):
        names = [name for name, value in vars(holder).items() if value is held]
        return ".".join([holder.__module__, holder.__qualname__, *names[:1]])
    frame = frame_of(holder)
    if frame is not None:
        names = variables(frame, held)
        where = f"local variable {names[0]} of" if names else "a temporary value of"
        return f"{where} {frame.f_code.co_qualname}"
    return f"fixture {holder.argname}" if _is_fixture(holder) else ""


def _step(holder: Any, held: object) -> str:
    """Return how Python code would write the reference from ``holder`` to ``held``; ``""`` if nothing is written."""
    kind = type(holder)
    if namespace_of(holder) is held or kind in {types.CellType, types.FunctionType}:
        return ""  # see _rest
    if issubclass(kind, _CONTAINERS):
        return _item(holder, held) or _among_attributes(holder, held) or "[...]"
    if kind in {types.MethodType, types.BuiltinMethodType}:
        return ".__self__" if holder.__self__ is held else ""
    if issubclass(kind, BaseException):
        names = [name for name in _OF_EXCEPTIONS if vars(BaseException)[name].__get__(holder) is held]
        return f".{names[0]}" if names else _among_attributes(holder, held)
    return _among_attributes(holder, held)


def _item(holder: Any, held: object) -> str:
    """Return how ``held`` is written as an item of a container; ``""`` if it is not an item, or cannot be written."""
    kind = type(holder)
    if issubclass(kind, dict):
        keys = [key for key, value in dict.items(holder) if value is held]
        return f"[{_number(keys[0], held) or _key(keys[0])}]" if keys else ""
    for base in _SEQUENCES:
        places = (
            [at for at, value in enumerate(base.__iter__(holder)) if value is held] if issubclass(kind, base) else []
        )
        if places:
            names = vars(kind).get("_fields") if base is tuple else None  # of a named tuple
            return f".{names[places[0]]}" if type(names) is tuple and len(names) > places[0] else f"[{places[0]}]"
    return ""


def _among_attributes(holder: Any, held: object) -> str:
    names = [name for _, name in attributes(holder, held)]
    return f".{names[0].rpartition('.')[2]}" if names else ""


def _number(key: object, held: object) -> str:
    """Return what a key stands for if it is an id or the identifier of a thread, which differ by session; else ``""``."""
    if type(key) is not int:
        return ""
    if key == id(held):
        return "its id"
    thread = _ACTIVE.get(key)
    if thread is None:
        return ""
    return f"ident of thread {_DIGITS.sub('#', text_of(read(thread, '_name')))}"


def _key(key: object) -> str:
    """Return a key of a dictionary as Python code would write it. Runs no code of its class."""
    if type(key) in _WRITTEN:
        return quoted(key)
    if type(key) is tuple:
        return f"({', '.join(map(_key, key))}{',' if len(key) == 1 else ''})"
    if issubclass(type(key), Enum):
        return f"{type(key).__name__}.{object.__getattribute__(key, '_name_')}"
    return type.__getattribute__(key, "__name__") if type(key) is type else "..."
