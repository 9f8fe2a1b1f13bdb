"""Whether modules keep what they keep after an uninterrupted run: asked after each run, so it has to be quick.

A fingerprint tells that, too, but takes longer than most runs. Here the namespaces of modules are looked at level by level, each
with one call of :func:`gc.get_referents`, and what that returns is compared with what it returned before: by type and, of plain values,
by value. From a level, the positions of what is to be looked into make the next one.

Rules:

1. What a fingerprint sees is seen here, under the same names, but for modules that the test has nothing to do with.
2. Nothing but plain values, types and namespaces is kept from one look to the next: an object that only this module kept alive
   would be a leftover of the run that dropped it.
3. What differs between uninterrupted runs (:meth:`Usual.learn`) says nothing. Of a dictionary or namespace that has such entries, the
   others are still looked at; of another container that grows with each run, nothing.
4. No code of the user's is run: only plain values are compared.
5. Of modules out of scope see :mod:`.touched`.
6. A wrong alarm costs one more run. It is no finding: what is unusual is followed by a run that shows whether it matters.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, repeat
from operator import attrgetter, is_
from typing import Any

from pytest_maskcheck.runs.fingerprint import (
    PLAIN,
    Fingerprint,
    Fingerprints,
    class_dict,
    identity,
    is_opaque,
    is_stateful,
    namespace,
    step,
    value_of,
)
from pytest_maskcheck.runs.touched import Touched, picker
from pytest_maskcheck.system.unpatched import gc
from pytest_maskcheck.system.untrusted import namespace_of

_MOST = 8_000
"""Values looked at, in about a millisecond; what lies deeper is left out, and said to be."""

_LARGE = 10_000
"""Items above which a container is left out, too: each takes some 50 ns in every look."""

_LEARNING = 3
"""Uninterrupted runs after which what still differs is not learned."""

_code = attrgetter("__code__")
_namespace_of = object.__getattribute__

Look = Callable[[Any], "list[object]"]
"""Returns the values of some entries of a dictionary, of a class or of an instance."""


@dataclass(slots=True, repr=False)
class _Level:
    """What is expected of things that are the same number of references away from a root.

    Parameters:
        types: of all that they refer to, and what it is where it is plain.
        stateful: positions of objects that keep something which references do not show, and how they are.
        into: picks what is looked into next; ``instances`` and ``dicts`` pick from that.
        partly: picks things of which only some entries are looked at, by the functions in ``looks``.
    """

    types: list[type]
    plain: Callable[[Sequence[Any]], Sequence[Any]]
    values: Sequence[Any]
    functions: Callable[[Sequence[Any]], Sequence[Any]]
    codes: list[int]
    stateful: list[tuple[int, str]]
    into: Callable[[Sequence[Any]], Sequence[Any]]
    instances: Callable[[Sequence[Any]], Sequence[Any]]
    dicts: Callable[[Sequence[Any]], Sequence[Any]]
    partly: Callable[[Sequence[Any]], Sequence[Any]]
    looks: list[Look]

    def holds(self, found: Sequence[Any]) -> bool:
        """Tell whether the things refer to what is expected."""
        return (
            len(found) == len(self.types)
            and all(map(is_, map(type, found), self.types))  # by ==, metaclasses would be asked
            and self.plain(found) == self.values
            and list(map(identity, map(_code, self.functions(found)))) == self.codes
            and all(value_of(found[position]) == expected for position, expected in self.stateful)
        )


@dataclass(slots=True, repr=False)
class Usual:
    """What modules and other roots keep after an uninterrupted run.

    Parameters:
        fingerprints: knows the modules and the roots, and gives names to what they keep.
        is_near: tells whether the test has to do with a module in scope, by its file.
        has_run: tells whether the test ran code of a module out of scope, by the name of its file there.
        words: returns what code in scope may call a module by: its names and texts.

    Attributes:
        unseen: the name of something that keeps what cannot be compared, or ``""``.
        beyond: the name of the first thing that is left out as there are too many, or ``""``.
    """

    fingerprints: Fingerprints
    is_near: Callable[[str], bool] = lambda _: True
    has_run: Callable[[str], bool] = lambda _: False
    words: Callable[[], Iterable[str]] = tuple
    unseen: str = ""
    beyond: str = ""
    _levels: list[_Level] = field(default_factory=list)
    _namespaces: list[Any] = field(default_factory=list)
    _looks: list[tuple[Any, Look]] = field(default_factory=list)
    _varying: set[str] = field(default_factory=set)
    _touched: Touched = field(init=False)

    def __post_init__(self) -> None:
        """Know the modules out of scope, too."""
        self._touched = Touched(self.fingerprints, self.has_run, self.words)

    def holds(self) -> bool:
        """Tell whether all is as it was when :meth:`take` was called."""
        into: Sequence[Any] = [*self._namespaces, self._roots()]
        instances: Sequence[Any] = ()
        dicts: Sequence[Any] = self._namespaces
        looks: Iterable[tuple[Any, Look]] = self._looks
        try:
            for level in self._levels:
                found = _found(into, instances, dicts, looks)
                if not level.holds(found):
                    return False
                into, looks = level.into(found), zip(level.partly(found), level.looks, strict=True)
                instances, dicts = level.instances(into), level.dicts(into)
        except (TypeError, AttributeError, IndexError):  # another object is where the one that was looked into had been
            return False
        return self._touched.holds()

    def learn(self, run: Callable[[], object]) -> None:
        """Find out what varies, an uninterrupted run after :meth:`take`; ``run`` makes further ones."""
        for _ in range(_LEARNING):
            self._touched.learn()
            self._touched.take(self._near())
            if self.holds():
                return
            before = self.fingerprints.take()
            run()
            self._varying |= _varying(before, self.fingerprints.take())
            self.take()
            run()

    def take(self) -> None:
        """Take what is kept now as usual."""
        near = self._near()
        self._touched.take(near)
        wanted, looks = self._wanted(near)
        roots = self._roots()
        namespaces = [namespace(module) for module in near]
        self._namespaces = [names for names in namespaces if identity(names) not in looks]
        self._looks = [(names, looks[identity(names)]) for names in namespaces if identity(names) in looks]
        self._levels = []
        seen = {identity(names) for names in namespaces}
        into: Sequence[Any] = [*self._namespaces, roots]
        instances: Sequence[Any] = ()
        dicts: Sequence[Any] = self._namespaces
        partly: Iterable[tuple[Any, Look]] = self._looks
        while into or partly:
            found = _found(into, instances, dicts, partly)
            chosen = []
            for position, each in enumerate(found):
                if identity(each) in wanted and identity(each) not in seen:
                    seen.add(identity(each))
                    chosen.append(position)
            level = _level(found, chosen, looks)
            self._levels.append(level)
            into, partly = level.into(found), list(zip(level.partly(found), level.looks, strict=True))
            instances, dicts = level.instances(into), level.dicts(into)

    def _near(self) -> list[types.ModuleType]:
        """Return the modules that the test may change: those it ran code of, what these import, and those that have no code."""
        scope = {
            identity(module): module
            for _, module in self.fingerprints.modules()
            if isinstance(module, types.ModuleType)
        }
        near = {
            identity(each): each for each in scope.values() if self.is_near(str(namespace(each).get("__file__", "")))
        }
        for module in list(near.values()):
            near |= {
                identity(value): scope[identity(value)]
                for value in namespace(module).values()
                if identity(value) in scope
            }
        return list((near | {identity(each): each for each in scope.values() if not _has_code(each)}).values())

    def _roots(self) -> tuple[object, ...]:
        return tuple(value for _, value in self.fingerprints.roots())

    def _wanted(self, near: list[types.ModuleType]) -> tuple[set[int], dict[int, Look]]:
        """Return the ids of what is looked into, and how to look into that of which only some entries count."""
        self.unseen = self.beyond = ""
        values = 0
        wanted: set[int] = set()
        looks: dict[int, Look] = {}
        modules = [(module.__name__, module) for module in near]
        for name, thing, parts in self.fingerprints.walk([*modules, *self.fingerprints.roots()]):
            if is_opaque(type(thing)):
                self.unseen = name
            if parts is None:
                continue
            values += len(parts)
            if values > _MOST:
                self.beyond = self.beyond or name
                break
            if _is_large(thing):
                self.beyond = self.beyond or name
            elif name in self._varying or any(longer in self._varying for longer, _ in parts):
                if look := self._look(name, thing, dict(parts)):
                    owner = namespace(thing) if isinstance(thing, types.ModuleType) else thing
                    looks[identity(owner)] = look
                    wanted.add(identity(owner))
            elif parts or type(thing) is not types.FunctionType:  # most functions keep nothing
                wanted.add(identity(thing))
                wanted.update(map(identity, _between(thing)))
        return wanted, looks

    def _look(self, name: str, thing: Any, parts: dict[str, object]) -> Look | None:
        """Return what looks at those entries of a dictionary or namespace that do not vary."""
        kind = type(thing)
        find: Callable[[Any], Any] = namespace
        if issubclass(kind, dict):
            find = _itself
            entries = {name + step(key): key for key in dict.__iter__(thing) if identity(type(key)) in PLAIN}
        else:
            find = class_dict if issubclass(kind, type) else namespace
            entries = {f"{name}.{key}": key for key in find(thing)}
        keys = [
            key
            for longer, key in entries.items()
            if longer in parts and (longer not in self._varying or issubclass(type(parts[longer]), dict))
        ]
        if issubclass(kind, types.ModuleType):
            return partial(_entries, _itself, keys)
        return partial(_entries, find, keys) if keys else None


def _entries(find: Callable[[Any], Any], keys: list[Any], thing: Any) -> list[object]:
    return list(map(dict.get, repeat(find(thing)), keys))


def _itself(thing: Any) -> Any:
    return thing


def _found(
    into: Sequence[Any], instances: Sequence[Any], dicts: Sequence[Any], looks: Iterable[tuple[Any, Look]]
) -> list[Any]:
    """Return what things refer to, with the keys of dictionaries: those that are texts are not referred to."""
    for _ in map(_namespace_of, instances, repeat("__dict__")):
        pass  # up to CPython 3.12, an instance refers to its dictionary, if it has been asked for, else to the values
    found = gc.get_referents(*into)
    found += chain.from_iterable(map(dict.__iter__, dicts))
    for thing, look in looks:
        found += look(thing)
    return found


def _level(found: list[Any], chosen: list[int], looks: dict[int, Look]) -> _Level:
    plain = [position for position, each in enumerate(found) if identity(type(each)) in PLAIN]
    functions = [position for position, each in enumerate(found) if type(each) is types.FunctionType]
    partly = [position for position in chosen if identity(found[position]) in looks]
    whole = [position for position in chosen if identity(found[position]) not in looks]
    into = [found[position] for position in whole]
    return _Level(
        types=list(map(type, found)),
        plain=picker(plain),
        values=picker(plain)(found),
        functions=picker(functions),
        codes=list(map(identity, map(_code, picker(functions)(found)))),
        stateful=[(at, value_of(each)) for at, each in enumerate(found) if is_stateful(type(each))],
        into=picker(whole),
        instances=picker([at for at, each in enumerate(into) if _is_instance(each)]),
        dicts=picker([at for at, each in enumerate(into) if issubclass(type(each), dict)]),
        partly=picker(partly),
        looks=[looks[identity(found[position])] for position in partly],
    )


def _is_instance(thing: object) -> bool:
    """Tell whether a thing has a dictionary of its own that it may not have asked for yet."""
    if issubclass(type(thing), type):
        return False
    return namespace_of(thing) is not None


def _has_code(module: types.ModuleType) -> bool:
    values = namespace(module).values()
    return any(type(value) is types.FunctionType and value.__module__ == module.__name__ for value in values)


def _is_large(thing: Any) -> bool:
    """Tell whether a thing is a container of very many items."""
    sized = (base for base in (dict, list, tuple, set, frozenset) if issubclass(type(thing), base))
    return any(base.__len__(thing) > _LARGE for base in sized)


def _between(thing: Any) -> list[object]:
    """Return the containers by way of which a thing refers to its parts."""
    kind = type(thing)
    if kind is types.FunctionType:
        closure = thing.__closure__
        return [
            each for each in (closure, *(closure or ()), thing.__defaults__, thing.__kwdefaults__, vars(thing)) if each
        ]
    if issubclass(kind, type):
        names = class_dict(thing)
        return [names, *(value for value in names.values() if isinstance(value, (staticmethod, classmethod)))]
    return [namespace(thing)]


def _varying(before: Fingerprint, after: Fingerprint) -> set[str]:
    """Return the names of what differs between two uninterrupted runs."""
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
