"""Finding live objects of a few types without walking the heap, and naming who holds them.

The audit freezes the heap before its runs, so that :func:`gc.get_objects` returns only what was made
since. What is older is remembered in a *census* of weak references, taken just before the freeze.

A frozen object does not show up as a referrer. Naming the holder of something therefore needs a thawed
heap, and freezing it again at once would be wrong: it would freeze what the run has just made as well,
which then would no longer be seen or collected. So a heap that was thawed stays so until the next run
begins; most processes end before that.
"""

from __future__ import annotations

import sys
import types
import weakref
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import replace
from operator import call
from typing import ClassVar, cast

from pytest_maskcheck.resources.base import Leftover
from pytest_maskcheck.system.own_code import is_in_package
from pytest_maskcheck.system.unpatched import gc
from pytest_maskcheck.system.untrusted import attempt, dict_of, mro_of, namespace_of
from pytest_maskcheck.system.untrusted import name_of as type_name

_CAN_FREEZE = hasattr(gc, "freeze")  # CPython only
_DEPTH = 4  # containers between a thing and an object with a name for it

# Ranks of names, the best first: a module's variable, an attribute, an attribute of what the standard
# library builds of locks, the same by way of a container, a local variable.
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


_Found = dict[type, list[object]]

_WANTED: set[type] = set()
"""All types that were ever asked for, and those of the families."""

_SEEN: set[type] = set()
"""Types that are known to belong to a family or to none, of those that stay."""

_IGNORED: set[type] = set()
"""Those of them that were not asked for."""

_PASSING: list[tuple[set[type], type]] = []
"""Classes that may go when nobody else needs them, and the families they were put in until the next look."""

_FLAGS: Callable[[type], int] = vars(type)["__flags__"].__get__
_HEAP, _IMMUTABLE = 1 << 9, 1 << 8  # Py_TPFLAGS_HEAPTYPE, Py_TPFLAGS_IMMUTABLETYPE


def _walk() -> _Found:
    objects = gc.get_objects()
    try:
        return _sorted(objects, type)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  (the metaclass of a type is the user's, and raises where it is asked for a hash)
        return _sorted(objects, _usable)


def _usable(thing: object) -> type:
    """Return the type of a thing, or the first of its bases that can be looked up without asking a metaclass of the user's."""
    return next(kind for kind in mro_of(type(thing)) if _compares_as_usual(type(kind)))


def _compares_as_usual(metaclass: type) -> bool:
    return metaclass is type or all(
        "__eq__" not in dict_of(base) and "__hash__" not in dict_of(base)
        for base in mro_of(metaclass)
        if base is not type and base is not object
    )


def _sorted(objects: list[object], kind_of: Callable[[object], type]) -> _Found:
    """Return those objects that are wanted, by type."""
    things = [thing for thing in objects if kind_of(thing) not in _IGNORED]
    while _PASSING:
        family, kind = _PASSING.pop()
        family.discard(kind)
    if not things:
        return {}
    kinds = set(map(kind_of, things))
    if not kinds <= _SEEN:
        _classify(kinds - _SEEN)
        _IGNORED.update(kinds & _SEEN - _WANTED)
    found: _Found = {kind: [] for kind in kinds & _WANTED}
    for thing in things:
        if (kind := kind_of(thing)) in found:
            found[kind].append(thing)
    return found


def rehearse() -> None:
    """Look once as after an interrupt, so that the types that there are then are known to all processes forked from here."""
    try:
        _interrupted()
    except KeyboardInterrupt:  # with the frame of a call that has ended
        look()


def _interrupted() -> None:
    raise KeyboardInterrupt


def _classify(kinds: set[type]) -> None:
    """Put types into the families they belong to."""
    bases: dict[object, list[Family]] = {}
    for module, word, family in _FAMILIES:
        base = (namespace_of(sys.modules.get(module)) or {}).get(word)
        if issubclass(type(base), type):
            bases.setdefault(base, []).append(family)
    for kind in kinds:
        lasts = _lasts(kind)
        if lasts:
            _SEEN.add(kind)
        for base in mro_of(kind):
            for members in [_WANTED, *(family.members for family in bases[base])] if base in bases else ():
                members.add(kind)
                if not lasts:
                    _PASSING.append((members, kind))


def _lasts(kind: type) -> bool:
    """Tell whether a type stays for as long as the process: it is written in C, or a module has it."""
    flags = _FLAGS(kind)
    if not flags & _HEAP or flags & _IMMUTABLE:
        return True
    return attempt(lambda: _place_of(kind) is kind, otherwise=False)  # a metaclass, or a module, may be the user's


def _place_of(kind: type) -> object:
    place: object = sys.modules.get(kind.__module__)
    for word in kind.__qualname__.split("."):
        place = getattr(place, word, None)
    return place


class Family:
    """Types by name (``module:Class``) and all that are derived of them. Nothing is imported to find them."""

    def __init__(self, *names: str) -> None:
        self.members: set[type] = set()
        for name in names:
            module, _, word = name.partition(":")
            _FAMILIES.append((module, word, self))
        _SEEN.clear()
        _IGNORED.clear()

    def __call__(self) -> frozenset[type]:
        """Return those of its types that there are objects of."""
        look()
        return frozenset(self.members)

    def made(self) -> Collection[object]:
        """Return what was made since the heap was frozen."""
        found = at_once.found
        if found is None:
            found = look()
        members = self.members
        if members.isdisjoint(found):
            return ()
        return [thing for kind in members if kind in found for thing in found[kind]]


_FAMILIES: list[tuple[str, str, Family]] = []


class _AtOnce:
    """See :data:`at_once`."""

    __slots__ = ("active", "found")

    def __init__(self) -> None:
        self.found: _Found | None = None
        self.active = False

    def __enter__(self) -> None:
        self.active = True

    def __exit__(self, *_: object) -> None:
        self.active = False
        self.found = None

    def forget(self) -> None:
        """Let go of what was found, which it keeps alive; who asks next looks again."""
        self.found = None


at_once = _AtOnce()
"""Within ``with at_once:`` the heap is looked through once for all that ask; what is made meanwhile is not seen."""


def look(types: Collection[type] = ()) -> _Found:
    """Return what there is; within ``at_once`` what there was, if these types were looked for."""
    found = at_once.found
    if found is None or not _WANTED.issuperset(types):
        _WANTED.update(types)
        _IGNORED.difference_update(types)
        found = _walk()
        if at_once.active:
            at_once.found = found
    return found


def made(types: Collection[type]) -> Collection[object]:
    """Return what was made since the heap was frozen, of exactly these types; all of it if it is not frozen."""
    found = at_once.found
    if found is None or not _WANTED.issuperset(types):
        found = look(types)
    if found.keys().isdisjoint(types):
        return ()
    return [thing for kind in types if kind in found for thing in found[kind]]


class Exactly:
    """One type, without those derived of it."""

    def __init__(self, kind: type) -> None:
        self.kind = kind
        _WANTED.add(kind)
        _IGNORED.discard(kind)

    def made(self) -> Collection[object]:
        """Return what was made since the heap was frozen."""
        found = at_once.found
        if found is None:
            found = look()
        return found.get(self.kind, ())


class Census:
    """All live objects of some types: the old by census, the new by looking, for which there is the function ``made``."""

    _all: ClassVar[weakref.WeakSet[Census]] = weakref.WeakSet()
    _thawed: ClassVar[bool] = False

    def __init__(self, made: Callable[[], Collection[object]]) -> None:
        self.made = made
        self._old: list[weakref.ref[object]] = []
        self._ids: set[int] = set()
        Census._all.add(self)

    def take(self) -> None:
        """Remember what is alive, before the heap is frozen."""
        things = self.alive()
        self._old, self._ids = list(map(weakref.ref, things)), set(map(id, things))

    def references(self) -> list[weakref.ref[object]]:
        """Return references to what was alive when the census was taken."""
        return self._old

    def any(self, test: Callable[[object], object]) -> bool:
        """Tell whether ``test`` holds for any, at little cost; for types whose objects are all true, such as locks."""
        return any(map(test, filter(None, map(call, self._old)))) or any(map(test, self.made()))

    def alive(self) -> list[object]:
        """Return what is alive, each once."""
        new = self.made()
        if not self._old:
            return [*new]
        found = [thing for thing in map(call, self._old) if thing is not None]
        if new:
            if not self._ids.isdisjoint(map(id, new)):  # the heap was thawed, or an address was used again
                known = set(map(id, found))
                new = [thing for thing in new if id(thing) not in known]
            found += new
        return found

    def renamed(self, leftover: Leftover) -> Leftover:
        """Return ``leftover`` under the name that the whole heap has for its object, frozen parts too."""
        thing = self.of(leftover)
        if thing is None or is_named(leftover):
            return leftover
        if _CAN_FREEZE and gc.get_freeze_count():
            gc.unfreeze()
            Census._thawed = True
        name = owner(thing)
        return (
            leftover
            if name is None
            else replace(leftover, key=name, detail=leftover.detail.replace(leftover.key, name))
        )

    def of(self, leftover: Leftover) -> object | None:
        """Return the object of a leftover whose token is its id, or begins with it."""
        ident = leftover.token[0] if isinstance(leftover.token, tuple) else leftover.token
        return next((thing for thing in self.alive() if id(thing) == ident), None)

    @classmethod
    def settle(cls) -> None:
        """Freeze the heap again if naming something has thawed it; one look at all of it serves every census."""
        if cls._thawed:
            cls._thawed = False
            with at_once:
                for census in list(cls._all):
                    census.take()
            gc.freeze()


def is_named(leftover: Leftover) -> bool:
    """Tell whether a holder was found from which a leftover has its name."""
    return not leftover.key.startswith(_UNNAMED)


def name_of(thing: object, noun: str) -> str:
    """Return a name for ``thing`` by who holds it, such as ``Queue.mutex``, ``pool.LOCK``, ``<local lock>``.

    Holders that are frozen are not seen; :meth:`Census.renamed` asks them too.
    """
    return owner(thing) or f"{_UNNAMED}{noun}>"


def owner(thing: object) -> str | None:
    """Return the best name for ``thing`` among those its visible holders have, None if there is none."""
    ours = map(id, (at_once.found or {}).values())
    return min(_names(thing, "", _DEPTH, {id(thing), *ours}), default=(0, 0, None))[2]


def _names(thing: object, suffix: str, depth: int, seen: set[int]) -> list[tuple[int, int, str]]:
    """Return (rank, length, name) for each name of ``thing``, which is ``suffix`` deep in containers."""
    found = []
    for holder in gc.get_referrers(thing):
        if id(holder) in seen or is_our_look(holder):
            continue
        seen.add(id(holder))
        for rank, name in _direct(holder, thing):
            full = f"{_LOCAL_NAME}{name}{suffix}>" if rank == _LOCAL else name + suffix
            found.append((rank + _INDIRECT * bool(suffix), len(full), full))
        if depth and issubclass(type(holder), _CONTAINERS):
            found += _names(holder, _step(holder, thing) + suffix, depth - 1, seen)
    return found


def is_our_look(holder: object) -> bool:
    """Tell whether ``holder`` is a frame or function of this package, which looks at the thing, or what it found."""
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
    """Return the names that ``holder`` itself has for ``thing``, with their rank. Runs no code of its class."""
    kind = type(holder)
    if kind is dict:
        return [name for instance in _instances(holder) for name in attributes(instance, thing)]
    if kind is types.CellType:
        return [(_LOCAL, name) for name in _cell_names(holder, thing)]
    frame = frame_of(holder)
    if frame is not None:
        return [(_LOCAL, name) for name in variables(frame, thing)]
    return [] if issubclass(kind, _NAMELESS) else attributes(holder, thing)


def _step(container: object, thing: object) -> str:
    """Return the index of ``thing`` as far as it is alike in every run: the key of a dict if that is a string."""
    if issubclass(type(container), dict):
        keys = [
            key
            for key, value in dict.items(cast("dict[object, object]", container))
            if value is thing and type(key) is str
        ]
        return f"[{keys[0]!r}]" if keys else "[]"
    return "[]"


def frame_of(holder: object) -> types.FrameType | None:
    """Return the frame that ``holder`` is, or that it keeps suspended."""
    kind = type(holder)
    if kind is types.FrameType:
        return cast("types.FrameType", holder)
    for suspended, attribute in _SUSPENDED.items():
        if kind is suspended:
            return getattr(holder, attribute, None)
    return None


def variables(frame: types.FrameType, thing: object) -> list[str]:
    """Return the variables of a frame that are ``thing``."""
    return [name for name, value in frame.f_locals.items() if value is thing]


def _cell_names(cell: object, thing: object) -> list[str]:
    """Return the names under which functions know a variable they share."""
    names = []
    for holder in gc.get_referrers(cell):
        if is_our_look(holder):
            continue
        frame = frame_of(holder)
        if frame is not None:
            # On 3.11 a name that a comprehension binds by ``:=`` is a cell, in a frame of ours as well.
            names += [] if is_our_look(frame) else variables(frame, thing)
        elif type(holder) is tuple:
            for function in gc.get_referrers(holder):
                if (
                    type(function) is types.FunctionType
                    and function.__closure__ is holder
                    and not is_our_look(function)
                ):
                    names.append(function.__code__.co_freevars[holder.index(cell)])
    return names


def namespace(instance: object) -> dict[str, object] | None:
    """Return the ``__dict__`` of an object, if it has one. Runs no code of its class."""
    return namespace_of(instance)


def _instances(attributes_: object) -> list[object]:
    """Return the objects whose attributes live in ``attributes_``."""
    return [
        holder
        for holder in gc.get_referrers(attributes_)
        if issubclass(type(holder), type)
        or (not issubclass(type(holder), _NAMELESS) and namespace(holder) is attributes_)
    ]


def attributes(instance: object, thing: object) -> list[tuple[int, str]]:
    """Return the attributes of ``instance`` that are ``thing``."""
    kind = type(instance)
    if issubclass(kind, type):
        kind = cast("type", instance)
        names = {name for name, value in dict_of(kind).items() if value is thing}
    else:
        names = {name for name, value in (namespace(instance) or {}).items() if value is thing}
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
