"""Objects that are older than an auditing process, found without a walk through the whole heap for each test.

Kinds must see what was there before the first audited run, such as a lock of a module. To find it in the forked process, the heap would
have to be thawed and walked through, and a process that looks at an object copies the page of memory that it lies in: some 15
milliseconds. So the session keeps weak references to the objects that kinds look for, and adds new ones before each audit.

Theory of operation. A full walk finds everything. From then on, new objects are in the young generations of the garbage collector, until
a collection moves them on. It moves all objects of a generation at once. So as long as an object that was made just before the full walk
is young, all that were made since are, too, and only the young generations are walked through. Otherwise, it is a full walk again. Where
one of the objects has no weak references, or others have frozen objects, as code under test may and CPython 3.12 does at its start, the
elders are not known, and the auditing process walks as before.
"""

from __future__ import annotations

import weakref
from itertools import repeat
from operator import is_

from pytest_maskcheck.resources.heap import number_wanted, show, wanted_in
from pytest_maskcheck.system.unpatched import gc, os


class Elders:
    """The objects that are older than the processes that this one forks.

    Attributes:
        walks: the number of full walks so far.
    """

    def __init__(self) -> None:
        self._refs: list[weakref.ref[object]] = []
        self._youngest: list[object] | None = None  # made just before the last full walk
        self._number = 0
        self._of = 0
        self._inherited_by = 0
        self.walks = 0

    def note(self) -> None:
        """Find them. Call this in the process that forks, just before it does."""
        self._of = 0
        if gc.get_freeze_count():
            self._youngest = None
            return
        objects = self._new() if self._number == number_wanted() else None
        old = [] if objects is None else self._alive()
        if objects is None:
            self.walks += 1
            self._youngest = []
            objects = gc.get_objects()
        found = {id(thing): thing for thing in (*old, *wanted_in(objects))}
        try:
            self._refs = [weakref.ref(thing) for thing in found.values()]
        except TypeError:  # an object without weak references
            self._youngest = None
            return
        self._number, self._of = number_wanted(), os.getpid()

    def _new(self) -> list[object] | None:
        """Return all objects made since the last full walk, and others; ``None`` if they are no longer together."""
        collections = _collections()
        # In this order: an object that becomes older meanwhile is found twice, not missed.
        objects = gc.get_objects(generation=0) + gc.get_objects(generation=1)
        is_young = self._youngest is not None and any(map(is_, objects, repeat(self._youngest)))
        return objects if is_young and _collections() == collections else None

    def _alive(self) -> list[object]:
        return [thing for thing in (ref() for ref in self._refs) if thing is not None]

    def inherit(self) -> None:
        """Use what was found. Call this in a process that was forked just after :meth:`note`, and froze its heap at once."""
        if self._of:
            self._inherited_by = os.getpid()

    def show(self) -> bool:
        """Within :data:`.heap.at_once`, let kinds see them as if they were new; return whether they are known in this process."""
        if self._inherited_by != os.getpid() or self._number != number_wanted():
            return False
        show(self._alive())
        return True

    def were_all(self) -> bool:
        """Return whether kinds still look for the same types as when the elders were found."""
        return self._number == number_wanted()


def _collections() -> list[int]:
    """Return how often each generation was collected."""
    return [each["collections"] for each in gc.get_stats()]


ELDERS = Elders()
