"""All live objects of some types, although the heap is frozen: the old ones by weak references, the new ones by looking.

A frozen object does not show up as a referrer. Naming the owner of something therefore needs a thawed heap. Freezing it
again at once would be wrong: it would freeze what the run has just made as well, which would then be neither seen nor
collected any more. So a heap that was thawed stays so until the next run begins; most processes end before that.
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


class Census:
    """All live objects of some types: the old ones by census, the new ones by calling ``made``."""

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
        """Return whether ``test`` holds for any, cheaply. Only for types whose objects are all true, such as locks."""
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
        """Return ``leftover`` under the name that the whole heap, frozen objects included, gives its object."""
        thing = self.of(leftover)
        if thing is None or is_named(leftover):
            return leftover
        if FrozenHeap.is_frozen():
            FrozenHeap.thaw()
            Census._thawed = True
        name = owner(thing)
        # The detail contains the key, so that is replaced there, too.
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
        """Freeze the heap again if naming something has thawed it; one walk serves every census."""
        if cls._thawed:
            cls._thawed = False
            # What was new to a census is about to be frozen, and would be missed.
            with at_once:
                for census in list(cls._all):
                    census.take()
            FrozenHeap.freeze()
