"""How an object can still be reached: the shortest path of references to it from a module, a class or a suspended frame."""

from __future__ import annotations

import re
import sys
import types
from collections import deque
from typing import Any

from pytest_maskcheck.resources.heap import attributes, frame_of, is_ours, namespace, variables
from pytest_maskcheck.unpatched import gc

_DEPTH = 8
"""References between a root and the thing."""

_WIDTH = 500
"""Objects looked at in one step."""

_SEQUENCES = (list, tuple, deque)
_KEY = re.compile(r"^\['(\w+)'\]")
_PASSED = (types.CellType, types.MethodType, types.BuiltinMethodType, types.FunctionType)


def held_by(thing: object | None) -> str:
    """Return the shortest path to ``thing``, such as ``pool.POOL._idle[0]``; ``""`` if none is found.

    Thaws the heap, as the garbage collector does not tell of frozen objects. Runs no code of the objects it looks at.
    """
    if thing is None:
        return ""
    gc.unfreeze()
    level: list[tuple[Any, str]] = [(thing, "")]
    seen = {id(thing), id(level)}
    for _ in range(_DEPTH):
        holders = gc.get_referrers(*(each for each, _ in level))
        seen |= {id(holders), id(level)}
        roots, following = [], []
        for holder in holders:
            if id(holder) in seen or is_ours(holder):
                continue
            seen.add(id(holder))
            referents = set(map(id, gc.get_referents(holder)))
            for held, path in [each for each in level if id(each[0]) in referents][:1]:
                if root := _root(holder, held):
                    roots.append(root + _rest(holder, held, path))
                else:
                    following.append((holder, _step(holder, held) + _rest(holder, held, path)))
        if roots:
            return min(roots, key=lambda path: (path.startswith("local"), len(path), path))
        level = following[:_WIDTH]
        seen |= {id(roots), id(level)}
    return ""


def _rest(holder: Any, held: object, path: str) -> str:
    """Return ``path`` as it reads behind ``holder``: attributes may be kept in a dictionary, the value of a fixture in a row."""
    if _is_fixture(holder):
        return path.removeprefix("[0]")
    keeps = namespace(holder) is held or (issubclass(type(holder), type) and type(held) is dict)
    return _KEY.sub(r".\1", path) if keeps else path


def _root(holder: Any, held: object) -> str:
    """Return the name of ``held`` if ``holder`` is where a path begins."""
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


def _is_fixture(holder: object) -> bool:
    """Tell whether this is what pytest has of a fixture."""
    kind = type(holder)
    return kind.__module__ == "_pytest.fixtures" and kind.__name__ == "FixtureDef"


def _step(holder: Any, held: object) -> str:
    """Return how ``holder`` refers to ``held``, as Python would write it."""
    kind = type(holder)
    if issubclass(kind, dict):
        keys = [key for key, value in dict.items(holder) if value is held]
        return f"[{keys[0]!r}]" if keys and isinstance(keys[0], (str, int)) else "[...]"
    if issubclass(kind, _SEQUENCES):
        places = [at for at, value in enumerate(kind.__iter__(holder)) if value is held] if kind in _SEQUENCES else []
        return f"[{places[0]}]" if places else "[...]"
    if kind in _PASSED or namespace(holder) is held:
        return ""
    names = [name for _, name in attributes(holder, held)]
    return f".{names[0].rpartition('.')[2]}" if names else ""
