"""What modules out of scope keep, for those modules that concern the test.

These are the modules whose code the test ran, those that code in scope names, and those to which one of these, or a module in scope,
refers. Code of pytest and of its plugins runs in every test: their modules count only where code in scope names them.

Rules:

1. Objects are compared by identity, not by content. These are the objects bound to names of the module, so that a monkeypatch of
   ``os`` is seen; and, where the test ran code of the module or names it, those in its dictionaries, lists and sets, and in attributes
   of its objects.
2. Besides its namespace, and the functions, classes and plain values in it, only identities are kept of a module from one look to the
   next: see :mod:`.module_state`.
3. What differs between uninterrupted runs is ignored: either the whole module is left out, or only what lies deeper in it.

What does not work: what classes and functions of these modules keep is not compared, nor what lies deeper still. Comparing all
modules, or all that they keep, would take several times as long as most runs.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, ValuesView
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, chain
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.runs.levels import picker
from pytest_maskcheck.runs.namespaces import PLAIN, identity, ids, is_harness, module_of, namespace
from pytest_maskcheck.system.identities import Identities
from pytest_maskcheck.system.loaded_modules import LOADED
from pytest_maskcheck.system.own_code import PACKAGE
from pytest_maskcheck.system.unpatched import gc

if TYPE_CHECKING:
    from pytest_maskcheck.runs.fingerprint import Fingerprints

_SKIPPED = ("threading", "warnings", PACKAGE)
"""Modules whose namespaces change with each run (a fork renews a lock, pytest replaces the warning filters), and our own.

Kinds detect what code under test replaces in ``threading`` and ``warnings``.
"""

_LARGE = 1_000
"""Items above which a container is left out."""

_STAYING = PLAIN | ids(type, ModuleType, FunctionType, BuiltinFunctionType)
"""Ids of types whose objects are kept from one look to the next, as they own no resources: nothing else can get their addresses."""

_SEQUENCES = frozenset(map(identity, (list, set, deque)))
_DICT_OFFSET: Callable[[type], int] = type.__dict__["__dictoffset__"].__get__

_Names = Mapping[str, Any]
_Look = Callable[[_Names], Iterable[object]]
"""Returns objects that a module keeps, from its namespace."""


@dataclass(frozen=True, slots=True, repr=False)
class _Seen:
    """A look at a module, and the identities of what it found."""

    names: _Names
    look: _Look
    found: Identities

    @property
    def changed(self) -> bool:
        """Whether the look would find something else now."""
        try:
            return not self.found.are_those_of((*self.look(self.names),))
        except (KeyError, TypeError):  # something else has taken the place of a container
            return True

    @property
    def key(self) -> object:
        """What identifies the sort of look, and the module."""
        return identity(self.names), self.look is _values


@dataclass(slots=True, repr=False)
class LibraryState:
    """Modules out of scope, and what they keep after an uninterrupted run.

    Parameters:
        fingerprints: finds the modules in scope.
        has_run: returns whether the test ran code of the module with this file.
        words: returns the names and texts in code in scope, which may be names of modules.
        plugins: names of modules that are plugins of pytest.
        candidates: returns the names of all modules whose code the test ran, and perhaps of others.
    """

    fingerprints: Fingerprints
    has_run: Callable[[str], bool]
    words: Callable[[], Iterable[str]]
    plugins: frozenset[str] = frozenset()
    candidates: Callable[[], Iterable[str]] = lambda: [*sys.modules]
    _seen: list[_Seen] = field(default_factory=list)
    _restless: set[object] = field(default_factory=set)
    _number: int = 0
    _values: list[ValuesView[Any]] = field(default_factory=list)
    _sizes: list[int] = field(default_factory=list)
    _staying: list[object] = field(default_factory=list)
    _identities: Identities = field(default_factory=lambda: Identities(()))
    _deeper: list[_Seen] = field(default_factory=list)

    def take(self, near: Sequence[ModuleType]) -> None:
        """Record what is kept now as usual; ``near`` are the modules in scope that count."""
        self._number = len(sys.modules)
        scope = {identity(module) for _, module in self.fingerprints.modules()}
        named = {prefix for word in self.words() for prefix in accumulate(word.split("."), "{}.{}".format)}
        # Not all modules are looked at: a process that was forked just now would copy the memory of each.
        names = LOADED.in_order([*self.candidates(), *named])
        loaded = [(name, sys.modules[name]) for name in names if name in sys.modules]
        used = {
            identity(module): module
            for name, module in loaded
            if (name in named or self._has_run(name, module))
            and identity(module) not in scope
            and _counts(module, name)
        }
        # One step further: the test may have patched something in a module that one of these imports.
        referred = gc.get_referents(*map(namespace, (*near, *used.values())))
        each_once = {identity(thing): thing for thing in referred}
        modules = LOADED.among(each_once)
        others = {at: thing for at, thing in modules.items() if at not in scope and _counts(thing)}
        looks: list[tuple[_Names, _Look]] = [(namespace(module), _values) for module in (used | others).values()]
        own = map(namespace, used.values())
        looks += [(names, look) for names in own if not is_harness(_name(names)) and (look := _deeper(names))]
        seen = (_Seen(names, look, Identities((*look(names),))) for names, look in looks)
        self._seen = [each for each in seen if each.key not in self._restless]
        self._deeper = [each for each in self._seen if each.look is not _values]
        self._values = [each.names.values() for each in self._seen if each.look is _values]
        self._sizes = list(map(len, self._values))
        found = (*chain.from_iterable(self._values),)
        self._staying = [each for each in found if identity(type(each)) in _STAYING]
        self._identities = Identities(found)

    def namespaces(self) -> list[_Names]:
        """Return the namespaces of the modules that count."""
        return [each.names for each in self._seen if each.look is _values]

    def _has_run(self, name: str, module: ModuleType) -> bool:
        # Asked of every module, so the question that most of them answer with no comes first, and none makes a frame but has_run.
        file = (
            module.__dict__.get("__file__", "") if type(module) is ModuleType else namespace(module).get("__file__", "")
        )
        if not (self.has_run(file if type(file) is str else str(file)) or self.has_run(f"<frozen {name}>")):
            return False
        return not (name in self.plugins or is_harness(name))

    def holds(self) -> bool:
        """Return whether modules keep what they kept when :meth:`take` was called."""
        # All namespaces in one go: this is asked after each run, and a call for each of them would take longer than the comparison.
        if list(map(len, self._values)) != self._sizes:
            return False
        if not self._identities.are_those_of((*chain.from_iterable(self._values),)):
            return False
        return not any(each.changed for each in self._deeper)

    def learn(self, near: Sequence[ModuleType]) -> None:
        """Leave out from now on what has changed since :meth:`take`, as uninterrupted runs change it, and take the rest again."""
        if self._number == len(sys.modules) and self.holds():
            return
        self._restless.update(each.key for each in self._seen if each.changed)
        self.take(near)


def _counts(thing: object, *names: str) -> bool:
    """Return whether an object is a loaded module, and not one of those that are skipped; ``names`` are names that it is known to have."""
    return any(name.partition(".")[0] not in _SKIPPED for name in (*names, *LOADED.names_of(thing)))


def _values(names: _Names) -> Iterable[object]:
    return names.values()


def _name(names: _Names) -> str:
    return str(names.get("__name__", ""))


def _deeper(names: _Names) -> _Look | None:
    """Return a look at what the containers and objects of a module keep, ``None`` if it has none."""
    items = list(names.items())  # other threads may add some
    kinds = {name: type(value) for name, value in items if type(name) is str and not name.startswith("__")}
    dicts = [name for name, kind in kinds.items() if kind is dict and len(names[name]) <= _LARGE]
    sequences = [name for name, kind in kinds.items() if identity(kind) in _SEQUENCES and len(names[name]) <= _LARGE]
    objects = [
        name
        for name, kind in kinds.items()
        if not issubclass(kind, (type, ModuleType))
        and module_of(kind) != "builtins"
        and not is_harness(module_of(kind))
        and _DICT_OFFSET(kind)
    ]
    if not (dicts or sequences or objects):
        return None
    return partial(_inside, picker(dicts), picker(sequences), picker(objects))


def _inside(
    dicts: Callable[[_Names], Sequence[Any]],
    sequences: Callable[[_Names], Sequence[Any]],
    objects: Callable[[_Names], Sequence[Any]],
    names: _Names,
) -> Iterator[object]:
    kept = map(dict.values, chain(dicts(names), map(namespace, objects(names))))
    return chain(chain.from_iterable(kept), chain.from_iterable(sequences(names)))
