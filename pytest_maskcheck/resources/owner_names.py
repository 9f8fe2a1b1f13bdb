"""Name objects that have no name of their own after what refers to them: ``Queue.mutex``, ``pool.LOCK``, ``<local lock>``.

No code of the classes involved runs, as any of them may be the user's.
"""

from __future__ import annotations

import types
from collections import deque
from typing import cast

from pytest_maskcheck.resources.heap import at_once
from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.system.own_code import is_in_package
from pytest_maskcheck.system.unpatched import gc
from pytest_maskcheck.system.untrusted import attempt, dict_of, mro_of, namespace_of
from pytest_maskcheck.system.untrusted import name_of as type_name

_DEPTH = 4  # the most containers between a thing and an object that names it

# Ranks of names, the best first: a module's variable, an attribute, an attribute of what ``threading`` builds of locks, a local
# variable. A name that leads through a container has _INDIRECT added to its rank.
_MODULE, _ATTRIBUTE, _PART, _LOCAL = 0, 1, 2, 9
_INDIRECT = 3

_CONTAINERS = (dict, list, tuple, set, frozenset, deque)
_LOCAL_NAME = "<local "
_UNNAMED = "<unnamed "
_NAMELESS = (*_CONTAINERS, types.BuiltinMethodType, types.MethodType, types.FunctionType, types.FrameType)
_SUSPENDED = {
    types.GeneratorType: "gi_frame",
    types.CoroutineType: "cr_frame",
    types.AsyncGeneratorType: "ag_frame",
}


def is_named(leftover: Leftover) -> bool:
    """Return whether the key of a leftover is the name of an owner."""
    return not leftover.key.startswith(_UNNAMED)


def name_of(thing: object, noun: str) -> str:
    """Return a name for ``thing`` from its owner, such as ``Queue.mutex``, ``pool.LOCK``, ``<local lock>``.

    Frozen owners are not found; :meth:`Census.renamed` finds them too.
    """
    return owner(thing) or f"{_UNNAMED}{noun}>"


def owner(thing: object) -> str | None:
    """Return the best name that owners give ``thing``; ``None`` if there is none. Frozen owners are not found."""
    # The lists of the current walk refer to everything that it found; they are ours, and name nothing.
    ours = map(id, (at_once.found or {}).values())
    return min(_names(thing, "", _DEPTH, {id(thing), *ours}), default=(0, 0, None))[2]


def _names(thing: object, suffix: str, depth: int, seen: set[int]) -> list[tuple[int, int, str]]:
    """Return (rank, length, name) for each name of ``thing``, with ``suffix`` added.

    ``suffix``, such as ``['a'][]``, leads from ``thing`` to the object to be named; it is ``""`` if that is ``thing`` itself.
    """
    found = []
    holders = [each for each in gc.get_referrers(thing) if id(each) not in seen and not is_our_look(each)]
    seen.update(map(id, [holders, *holders]))
    for holder in holders:
        for rank, name in _direct(holder, thing):
            full = f"{_LOCAL_NAME}{name}{suffix}>" if rank == _LOCAL else name + suffix
            found.append((rank + _INDIRECT * bool(suffix), len(full), full))
    # No name that leads through a container is better than these, and each holder costs a walk through the whole heap.
    if not depth or any(rank < _INDIRECT for rank, _, _ in found):
        return found
    for holder in holders:
        # A container does not name what it contains; its own holders may.
        if issubclass(type(holder), _CONTAINERS):
            found += _names(holder, _step(holder, thing) + suffix, depth - 1, seen)
    return found


def is_our_look(holder: object) -> bool:
    """Return whether ``holder`` refers to a thing only because the audit looks at it: a frame or function of ours, or the walk's result."""
    if holder is at_once:
        return True
    if type(holder) is types.FrameType:
        names = holder.f_globals
    elif type(holder) is types.FunctionType:
        names = holder.__globals__
    else:
        return False
    return is_in_package(names.get("__package__"))


def _direct(holder: object, thing: object) -> list[tuple[int, str]]:
    """Return the names that ``holder`` itself gives ``thing``, with their rank. Runs no code of its class."""
    kind = type(holder)
    # A dictionary may be the ``__dict__`` of a module or an instance, which names what is in it.
    if kind is dict:
        return [name for instance in _instances(holder) for name in attributes(instance, thing)]
    if kind is types.CellType:
        return [(_LOCAL, name) for name in _cell_names(holder, thing)]
    frame = frame_of(holder)
    if frame is not None:
        return [(_LOCAL, name) for name in variables(frame, thing)]
    return [] if issubclass(kind, _NAMELESS) else attributes(holder, thing)


def _step(container: object, thing: object) -> str:
    """Return the index of ``thing`` in a container: a dict's key if that is a string, else ``[]``, as others may differ by run."""
    if issubclass(type(container), dict):
        keys = [
            key
            for key, value in dict.items(cast("dict[object, object]", container))
            if value is thing and type(key) is str
        ]
        return f"[{keys[0]!r}]" if keys else "[]"
    return "[]"


def frame_of(holder: object) -> types.FrameType | None:
    """Return ``holder`` if it is a frame, or the frame of a generator or coroutine; ``None`` for everything else."""
    kind = type(holder)
    if kind is types.FrameType:
        return cast("types.FrameType", holder)
    for suspended, attribute in _SUSPENDED.items():
        if kind is suspended:
            return getattr(holder, attribute, None)
    return None


def variables(frame: types.FrameType, thing: object) -> list[str]:
    """Return the variables of a frame whose value is ``thing``."""
    return [name for name, value in frame.f_locals.items() if value is thing]


def _cell_names(cell: object, thing: object) -> list[str]:
    """Return the names that frames and functions have for the variable that is stored in ``cell``."""
    names = []
    for holder in gc.get_referrers(cell):
        if is_our_look(holder):
            continue
        frame = frame_of(holder)
        if frame is not None:
            # On 3.11 a name that a comprehension binds with ``:=`` is stored in a cell, in our own frames as well.
            names += [] if is_our_look(frame) else variables(frame, thing)
        # A closure is a tuple of cells, and a function refers to that tuple.
        elif type(holder) is tuple:
            for function in gc.get_referrers(holder):
                if (
                    type(function) is types.FunctionType
                    and function.__closure__ is holder
                    and not is_our_look(function)
                ):
                    names.append(function.__code__.co_freevars[holder.index(cell)])
    return names


def _instances(attributes_: object) -> list[object]:
    """Return the objects whose attributes are stored in ``attributes_``."""
    return [
        holder
        for holder in gc.get_referrers(attributes_)
        if issubclass(type(holder), type)
        or (not issubclass(type(holder), _NAMELESS) and namespace_of(holder) is attributes_)
    ]


def attributes(instance: object, thing: object) -> list[tuple[int, str]]:
    """Return the attributes of ``instance`` whose value is ``thing``, with their rank."""
    kind = type(instance)
    if issubclass(kind, type):
        kind = cast("type", instance)
        names = {name for name, value in dict_of(kind).items() if value is thing}
    else:
        names = {name for name, value in (namespace_of(instance) or {}).items() if value is thing}
        for base in mro_of(kind):
            for name, member in dict_of(base).items():
                if type(member) is types.MemberDescriptorType and _slot(member, instance) is thing:
                    names.add(name)
    if issubclass(kind, types.ModuleType):
        return [(_MODULE, f"{cast('types.ModuleType', instance).__name__}.{name}") for name in names]
    rank = _PART if attempt(lambda: kind.__module__, "") == "threading" else _ATTRIBUTE
    return [(rank, f"{type_name(kind).rpartition('.')[2]}.{name}") for name in names]


def _slot(member: types.MemberDescriptorType, instance: object) -> object:
    try:
        return member.__get__(instance)
    except AttributeError:
        return None
