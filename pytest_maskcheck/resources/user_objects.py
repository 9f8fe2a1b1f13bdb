"""Compare and name objects that may be the user's, without running their code."""

from __future__ import annotations

import types
from collections.abc import Iterable

from pytest_maskcheck.system.untrusted import attempt, name_of, read


def same(old: object, now: object) -> bool:
    """Return whether two sequences, or sequences of sequences, hold the same objects in the same order.

    ``==`` on containers takes identical objects for equal and does not call their ``__eq__``. Only where one object has replaced
    another may ``__eq__`` be called, which may raise anything.
    """
    try:
        return bool(old == now)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  (objects that cannot be compared are different)
        return False


def changes(old: Iterable[object], now: Iterable[object]) -> tuple[list[object], list[object]]:
    """Return which objects are new and which are gone, by identity."""
    old, now = list(old), list(now)
    before, after = set(map(id, old)), set(map(id, now))
    return [thing for thing in now if id(thing) not in before], [thing for thing in old if id(thing) not in after]


def label_of(thing: object) -> str:
    """Return a name for ``thing``: its own if it has one, else that of its type. Runs no code of its class."""
    if thing is None:
        return "None"
    # A bound method is made anew at each access; the name is its function's.
    if type(thing) is types.MethodType:
        thing = thing.__func__
    name, module = read(thing, "__qualname__"), read(thing, "__module__")
    if type(name) is not str or not (module is None or type(module) is str):
        kind = type(thing)
        name, module = name_of(kind), attempt(lambda: kind.__module__, None)
    return name if type(module) is not str or module == "builtins" else f"{module}.{name}"
