"""Objects that are older than an auditing process, found without a walk through the whole heap for each test.

Kinds must see what was there before the first audited run, such as a lock of a module. To find it in the forked process, the heap would
have to be thawed and walked through, and a process that looks at an object copies the page of memory that it lies in: some 15
milliseconds. So the session keeps weak references to the objects that kinds look for, and adds new ones before each audit.

Theory of operation. A full walk finds everything. From then on, new objects are in the two young generations, until one of these is
collected into the old one. CPython counts these collections. As long as the counts are the same, only the young generations are walked
through; otherwise, it is a full walk again. Where one of the objects has no weak references, or code under test has frozen objects by
itself, the elders are not known, and the auditing process walks as before.
"""

from __future__ import annotations

import weakref

from pytest_maskcheck.resources.heap import number_wanted, show, wanted_in
from pytest_maskcheck.system.frozen_heap import HAS_GENERATIONS
from pytest_maskcheck.system.unpatched import gc, os


class Elders:
    """The objects that are older than the processes that this one forks.

    Attributes:
        walks: the number of full walks so far.
    """

    def __init__(self) -> None:
        self._refs: list[weakref.ref[object]] = []
        self._counts: tuple[int, ...] = ()
        self._number = 0
        self._of = 0
        self._inherited_by = 0
        self.walks = 0

    def note(self) -> None:
        """Find them. Call this in the process that forks, just before it does."""
        self._of = 0
        if not HAS_GENERATIONS or gc.get_freeze_count():
            self._counts = ()
            return
        counts = _counts()
        old: list[object] = []
        if counts == self._counts and self._number == number_wanted():
            objects = gc.get_objects(
                generation=0
            )  # in this order: an object that moves meanwhile is found twice, not missed
            objects += gc.get_objects(generation=1)
            if counts == _counts():
                old = [thing for thing in (ref() for ref in self._refs) if thing is not None]
            else:
                self._counts = ()
        if not self._counts or counts != self._counts or self._number != number_wanted():
            self.walks += 1
            counts, objects = _counts(), gc.get_objects()
        found = {id(thing): thing for thing in (*old, *wanted_in(objects))}
        try:
            self._refs = [weakref.ref(thing) for thing in found.values()]
        except TypeError:  # an object without weak references
            self._counts, self._refs = (), []
            return
        self._counts, self._number, self._of = counts, number_wanted(), os.getpid()

    def inherit(self) -> None:
        """Use what was found. Call this in a process that was forked just after :meth:`note`, and froze its heap at once."""
        if self._of:
            self._inherited_by = os.getpid()

    def show(self) -> bool:
        """Within :data:`.heap.at_once`, let kinds see them as if they were new; return whether they are known in this process."""
        if self._inherited_by != os.getpid() or self._number != number_wanted():
            return False
        show(thing for thing in (ref() for ref in self._refs) if thing is not None)
        return True

    def were_all(self) -> bool:
        """Return whether kinds still look for the same types as when the elders were found."""
        return self._number == number_wanted()


def _counts() -> tuple[int, ...]:
    """Return how often each generation but the youngest was collected."""
    return tuple(each["collections"] for each in gc.get_stats()[1:])


ELDERS = Elders()
