"""The modules in ``sys.modules``, found without looking at each of them in every forked process.

A forked process that looks at a module copies the memory in which that lies, so that a look at all of them takes milliseconds. The session
remembers names, files and identities of modules, and adds those that are new before it forks. What a run loads later comes at the end.

What does not work: a module that is loaded in place of another one with the same name counts as what the former one was, until the
session looks again; so callers check what is found. It is noticed that names were added or removed, unless the last name is one that
was removed and added again.
"""

from __future__ import annotations

import sys
from itertools import count
from types import ModuleType
from typing import TYPE_CHECKING

from pytest_maskcheck.system.untrusted import namespace_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_identity: Callable[[object], int] = object.__hash__
_FROZEN = "<frozen "


def last_loaded() -> tuple[int, object]:
    """Return a value that changes as modules are added or removed."""
    try:
        return len(sys.modules), next(reversed(sys.modules), None)
    except TypeError:  # a test has put another mapping in its place
        return len(sys.modules), [*sys.modules]


class LoadedModules:
    """Names, files and identities of modules.

    Attributes:
        files: name -> file, ``""`` if there is none; in the order in which they were found.
        looks: number of looks that have found something new.
    """

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.looks = 0
        self._state: tuple[int, object] | None = None
        self._identities: dict[str, int] = {}
        self._names: dict[int, list[str]] = {}
        self._by_file: dict[str, list[str]] = {}
        self._odd: list[str] = []  # those whose ``__file__`` is no text
        self._positions: dict[str, int] = {}
        self._counter = count()

    def note(self) -> None:
        """Look at what is new. Call this in the process that forks others."""
        state = last_loaded()
        if state == self._state:
            return
        for name, module in list(sys.modules.items()):
            identity = _identity(module)
            if self._identities.get(name) != identity:
                self._identities[name] = identity
                self._names.setdefault(identity, []).append(name)
                file = (namespace_of(module) or {}).get("__file__")
                self.files[name] = str.__getitem__(file, slice(None)) if isinstance(file, str) else ""
                self._by_file.setdefault(self.files[name], []).append(name)
                if not (file is None or self.files[name]):
                    self._odd.append(name)
                self._positions.setdefault(name, next(self._counter))
        self._state = state
        self.looks += 1

    def new(self) -> list[str]:
        """Return the names that were added since the last :meth:`note`."""
        return [] if last_loaded() == self._state else [name for name in list(sys.modules) if name not in self.files]

    def of_files(self, files: Iterable[str]) -> Iterator[str]:
        """Yield the names of the modules with these files, which may be ``co_filename`` of frozen ones, and perhaps of others."""
        yield from self._odd
        for file in files:
            if file.startswith(_FROZEN):
                yield file.removeprefix(_FROZEN).removesuffix(">")
            yield from self._by_file.get(file, ())

    def names_of(self, thing: object) -> list[str]:
        """Return the names that a module has in ``sys.modules``; none if it is no module, or not there."""
        names: list[object] = [*self._names.get(_identity(thing), ())]
        # Most objects are no modules, and of those that are, most have been there before.
        if not names and issubclass(type(thing), ModuleType):
            names = [(namespace_of(thing) or {}).get("__name__")]
        names += self.new()
        return [name for name in dict.fromkeys(names) if type(name) is str and sys.modules.get(name) is thing]

    def among(self, things: dict[int, object]) -> dict[int, object]:
        """Return those of the things, given by identity, that are modules in ``sys.modules``, and perhaps a few others."""
        if self.new():  # these may be objects of any type
            return things
        known = self._names
        return {at: thing for at, thing in things.items() if at in known or issubclass(type(thing), ModuleType)}

    def in_order(self, names: Iterable[str]) -> list[str]:
        """Return names in the order in which they were found, each once; new ones come last."""
        given = dict.fromkeys(names)
        return sorted(given, key=lambda name: self._positions.get(name, len(self._positions)))


LOADED = LoadedModules()
