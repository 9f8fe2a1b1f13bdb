"""Find all live objects of some types although the heap is frozen: old ones by weak reference, new ones by walking the heap.

The garbage collector does not return frozen objects as referrers, so the heap must be thawed to find the owner of an object. It
must not be frozen again at once: that would also freeze what the run has just made, which would then be neither found nor
collected. So a thawed heap stays thawed until the next run begins; most processes end before that.

The name of an object that is older than its process is the same in all processes forked from one. It is searched for once: the process
that found it sends it to its parent (:attr:`Census.found`), which remembers it for those that it forks later (:meth:`Census.learn`).

What does not work: a run that gives such an object another owner, and leaves it behind, reports it under its former name.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection
from dataclasses import replace
from operator import call
from typing import ClassVar

from pytest_maskcheck.resources.heap import at_once
from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.owner_names import is_named, owner
from pytest_maskcheck.system.frozen_heap import FrozenHeap
from pytest_maskcheck.system.unpatched import os


class Census:
    """Finds all live objects of some types: the census records the old ones, ``made`` returns the new ones."""

    _all: ClassVar[weakref.WeakSet[Census]] = weakref.WeakSet()
    _thawed: ClassVar[bool] = False
    _names: ClassVar[dict[int, tuple[weakref.ref[object], str]]] = {}
    found: ClassVar[dict[int, str]] = {}
    """Names found in this process of objects that are older: id of the object -> name."""

    def __init__(self, made: Callable[[], Collection[object]]) -> None:
        self.made = made
        self._old: list[weakref.ref[object]] = []
        self._ids: set[int] = set()
        self._inherited: set[int] = set()
        self._pid = 0
        Census._all.add(self)

    def take(self) -> None:
        """Record what is alive now. Call this just before the heap is frozen."""
        things = self.alive()
        if self._pid != os.getpid():
            self._inherited, self._pid = self._ids, os.getpid()
        self._old, self._ids = list(map(weakref.ref, things)), set(map(id, things))

    def references(self) -> list[weakref.ref[object]]:
        """Return weak references to what was alive when the census was taken."""
        return self._old

    def any(self, test: Callable[[object], object]) -> bool:
        """Return whether ``test`` is true for any live object. Fast, but only for types whose objects are truthy, such as locks."""
        return any(map(test, filter(None, map(call, self._old)))) or any(map(test, self.made()))

    def alive(self) -> list[object]:
        """Return the live objects, each once."""
        new = self.made()
        if not self._old:
            return [*new]
        found = [thing for thing in map(call, self._old) if thing is not None]
        if new:
            if not self._ids.isdisjoint(map(id, new)):  # the heap was thawed, or an address was reused
                known = set(map(id, found))
                new = [thing for thing in new if id(thing) not in known]
            found += new
        return found

    def renamed(self, leftover: Leftover) -> Leftover:
        """Return ``leftover`` under a name from the whole heap: frozen objects may own it, too. May thaw the heap; see ``settle``."""
        thing = self.of(leftover)
        if thing is None or is_named(leftover):
            return leftover
        name = self._known(thing)
        if name is None:
            if FrozenHeap.is_frozen():
                FrozenHeap.thaw()
                Census._thawed = True
            name = owner(thing)
            if name is not None and id(thing) in self._inherited:
                Census.found[id(thing)] = name
        # The detail contains the key, which is replaced there, too.
        return (
            leftover
            if name is None
            else replace(leftover, key=name, detail=leftover.detail.replace(leftover.key, name))
        )

    @classmethod
    def learn(cls, names: dict[int, str]) -> None:
        """Remember names of old objects, which a process forked from this one has found."""
        if names.keys() <= cls._names.keys():
            return
        for ref in (ref for census in cls._all for ref in census.references()):
            if (thing := ref()) is not None and id(thing) in names:
                cls._names[id(thing)] = ref, names[id(thing)]

    @classmethod
    def _known(cls, thing: object) -> str | None:
        ref, name = cls._names.get(id(thing), (None, None))
        return name if ref is not None and ref() is thing else None  # else its address was reused

    def of(self, leftover: Leftover) -> object | None:
        """Return the object of a leftover whose token is, or begins with, the object's id; ``None`` if it is gone."""
        ident = leftover.token[0] if isinstance(leftover.token, tuple) else leftover.token
        return next((thing for thing in self.alive() if id(thing) == ident), None)

    @classmethod
    def settle(cls) -> None:
        """Freeze the heap again if ``renamed`` has thawed it. One walk serves every census."""
        if cls._thawed:
            cls._thawed = False
            # Objects that are new to a census are about to be frozen; unless they are recorded first, they are not found again.
            with at_once:
                for census in list(cls._all):
                    census.take()
            FrozenHeap.freeze()
