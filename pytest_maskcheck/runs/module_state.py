"""Check whether modules keep what they keep after an uninterrupted run. This is done after each run, so it has to be quick.

A fingerprint shows that, too, but takes longer than most runs. Here the namespaces of modules are compared level by level
(:mod:`.levels`).

Rules:

1. What a fingerprint covers is covered here, under the same names, except for modules that do not concern the test.
2. Nothing but plain values, types and namespaces is kept from one look to the next: an object that only this module kept alive
   would be a leftover of the run that dropped it.
3. What differs between uninterrupted runs (:meth:`ModuleState.learn`) is ignored. In a dictionary or namespace that has such entries,
   the others are still compared; any other container that grows with each run is left out as a whole.
4. No code of the user's is run: only plain values are compared.
5. For modules out of scope, see :mod:`.library_state`.
6. A false alarm costs one more run, but is no finding: a change is followed by a run that shows whether it matters.

What does not work: objects whose state cannot be read from outside (``unseen``), and what lies behind too many values (``beyond``).
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from typing import Any

from pytest_maskcheck.runs.fingerprint import Fingerprint, Fingerprints
from pytest_maskcheck.runs.levels import Level, Look, found_in, level_of
from pytest_maskcheck.runs.library_state import LibraryState
from pytest_maskcheck.runs.namespaces import PLAIN, class_dict, identity, namespace
from pytest_maskcheck.runs.parts import step
from pytest_maskcheck.runs.value_texts import is_opaque
from pytest_maskcheck.runs.warning_registries import WarningRegistries

_MOST = 8_000
"""Values compared, in about a millisecond; what lies deeper is left out, and ``beyond`` is the name of the first such thing."""

_LARGE = 10_000
"""Items above which a container is left out, too: each takes some 50 ns in every comparison."""

_LEARNING = 3
"""Rounds of :meth:`ModuleState.learn`; what still varies after them is not ignored."""


@dataclass(slots=True, repr=False)
class ModuleState:
    """What modules and other roots keep after an uninterrupted run.

    Parameters:
        fingerprints: finds the modules and the roots, and gives names to what they keep.
        is_near: returns whether the module in scope with this file concerns the test.
        has_run: returns whether the test ran code of the module out of scope with this file.
        words: returns the names and texts in code in scope, which may be names of modules.
        plugins: names of modules that are plugins of pytest.
        candidates: returns the names of all modules out of scope whose code the test ran, and perhaps of others.

    Attributes:
        unseen: the name of an object whose state cannot be compared, or ``""``.
        beyond: the name of the first thing that is left out because there are too many, or ``""``.
    """

    fingerprints: Fingerprints
    is_near: Callable[[str], bool] = lambda _: True
    has_run: Callable[[str], bool] = lambda _: False
    words: Callable[[], Iterable[str]] = tuple
    plugins: frozenset[str] = frozenset()
    candidates: Callable[[], Iterable[str]] = lambda: [*sys.modules]
    unseen: str = ""
    beyond: str = ""
    _levels: list[Level] = field(default_factory=list)
    _namespaces: list[Any] = field(default_factory=list)
    _looks: list[tuple[Any, Look]] = field(default_factory=list)
    _varying: set[str] = field(default_factory=set)
    _libraries: LibraryState = field(init=False)
    _registries: WarningRegistries = field(default_factory=WarningRegistries)

    def __post_init__(self) -> None:
        self._libraries = LibraryState(self.fingerprints, self.has_run, self.words, self.plugins, self.candidates)

    def holds(self) -> bool:
        """Return whether modules keep what they kept when :meth:`take` was called, registries of warnings apart: these are put back."""
        return self._is_as_taken() or (self._registries.put_back() and self._is_as_taken())

    def _is_as_taken(self) -> bool:
        into: Sequence[Any] = [*self._namespaces, self._roots()]
        instances: Sequence[Any] = ()
        dicts: Sequence[Any] = self._namespaces
        looks: Iterable[tuple[Any, Look]] = self._looks
        try:
            for level in self._levels:
                found = found_in(into, instances, dicts, looks)
                if not level.holds(found):
                    return False
                into, looks = level.into(found), zip(level.partly(found), level.looks, strict=True)
                instances, dicts = level.instances(into), level.dicts(into)
        except (TypeError, AttributeError, IndexError):  # something else has taken the place of a container
            return False
        return self._libraries.holds()

    def learn(self, run: Callable[[], object]) -> None:
        """Find what varies between uninterrupted runs, and ignore it from now on.

        Call this after :meth:`take` and one more uninterrupted run.

        Parameters:
            run: makes an uninterrupted run.
        """
        for _ in range(_LEARNING):
            self._registries.put_back()
            self._libraries.learn(self._near())
            if self.holds():
                return
            # A fingerprint can name what differs; the levels cannot.
            before = self.fingerprints.take()
            run()
            self._varying |= _varying(before, self.fingerprints.take())
            self.take()
            run()  # the next round compares with the state before this run

    def take(self) -> None:
        """Record what is kept now as usual."""
        near = self._near()
        self._libraries.take(near)
        self._registries.take([*map(namespace, near), *self._libraries.namespaces()])
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
        while into or partly:  # the steps must be those of holds(), which relies on the positions
            found = found_in(into, instances, dicts, partly)
            chosen = []
            for position, each in enumerate(found):
                if identity(each) in wanted and identity(each) not in seen:  # each thing at one level only
                    seen.add(identity(each))
                    chosen.append(position)
            level = level_of(found, chosen, looks)
            self._levels.append(level)
            into, partly = level.into(found), list(zip(level.partly(found), level.looks, strict=True))
            instances, dicts = level.instances(into), level.dicts(into)

    def _near(self) -> list[types.ModuleType]:
        """Return the modules that the test may change: those whose code it ran, those that these import, and those without code."""
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
        """Return the ids of the things to look into, and looks at those of which only some entries count."""
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
        """Return a function that returns those entries of a dictionary or namespace that do not vary."""
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


def _has_code(module: types.ModuleType) -> bool:
    values = namespace(module).values()
    return any(type(value) is types.FunctionType and value.__module__ == module.__name__ for value in values)


def _is_large(thing: Any) -> bool:
    """Return whether a thing is a container of very many items."""
    sized = (base for base in (dict, list, tuple, set, frozenset) if issubclass(type(thing), base))
    return any(base.__len__(thing) > _LARGE for base in sized)


def _between(thing: Any) -> list[object]:
    """Return the containers that lie between a thing and its parts: the thing refers to these instead of its parts."""
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
