"""The base class of the kinds for locks and semaphores: objects, new and old, that are acquired and released.

Another thread may release what this one acquired; an example is a thread of a pool that is about to announce that it is idle. So
acquired objects are checked again as long as other threads move. Meanwhile the audit holds no reference to them.
"""

from __future__ import annotations

import weakref
from abc import abstractmethod
from functools import partial
from typing import Any, ClassVar, cast

from pytest_maskcheck.resources.census import Census
from pytest_maskcheck.resources.heap import Family, at_once
from pytest_maskcheck.resources.kind import Kind, Leftover
from pytest_maskcheck.resources.owner_names import is_named, name_of
from pytest_maskcheck.resources.surroundings import Surroundings
from pytest_maskcheck.system.other_threads import while_others_move
from pytest_maskcheck.system.untrusted import attempt

_Counts = dict[int, tuple["weakref.ref[object]", Any]]
_NONE: _Counts = {}


class Acquisitions(Kind):
    """A kind that counts how often objects were acquired. The token is (object's id, how many times more than before)."""

    repeatable = True
    blocks = True
    noun: ClassVar[str]
    """The word for an object without a name."""

    family: ClassVar[Family]

    per_thread: ClassVar[bool] = False
    """True if ``count`` counts what this thread acquired, which no other thread can release."""

    def __init__(self, surroundings: Surroundings | None = None) -> None:
        super().__init__(surroundings)
        self._census = Census(self.family.made)
        self._stay: set[object] = set()  # tokens of what no other thread released in the time it had

    @abstractmethod
    def count(self, thing: Any) -> Any:
        """Return the current count of ``thing``, in whatever form ``more`` needs. May raise if it cannot be read."""

    @abstractmethod
    def more(self, thing: Any, former: Any) -> int:
        """Return how many times more ``thing`` is acquired now than when ``count`` returned ``former`` (``None``: a new object)."""

    @abstractmethod
    def detail(self, thing: Any, times: int) -> str:
        """Return a sentence about ``thing``, which was acquired ``times`` times and not released."""

    def release(self, thing: Any) -> None:
        """Release once. May raise."""
        thing.release()

    def alive(self) -> list[Any]:
        """Return the objects to look at."""
        return self._census.alive()

    def _counted(self) -> list[tuple[Any, Any]]:
        """Return the objects to look at, each with its count. Half-made objects are left out: they cannot have been acquired."""
        counts = ((thing, attempt(partial(self.count, thing), _NONE)) for thing in self.alive())
        return [(thing, count) for thing, count in counts if count is not _NONE]

    def prepare(self) -> None:
        self._census.take()

    def snapshot(self) -> object:
        counted = self._counted()
        return {id(thing): (weakref.ref(thing), count) for thing, count in counted} if counted else _NONE

    def compare(self, before: object) -> list[Leftover]:
        found = self._taken(cast("_Counts", before))
        if found and not self.per_thread:
            found = self._settled(found, cast("_Counts", before))
        return [self._leftover(thing, times) for thing, times in found]

    def _taken(self, before: _Counts) -> list[tuple[Any, int]]:
        """Return what was acquired since the snapshot, and how often."""
        found = []
        for thing, _ in self._counted():
            ref, former = before.get(id(thing), (None, None))
            # An address may be reused: the former count applies only if the recorded object is still the one there.
            times = attempt(partial(self.more, thing, former if ref is not None and ref() is thing else None), 0)
            if times > 0:
                found.append((thing, times))
        return found

    def _settled(self, found: list[tuple[Any, int]], before: _Counts) -> list[tuple[Any, int]]:
        """Return what is still acquired after other threads, as long as they move, have had time to release it."""
        waiting = while_others_move()
        while any((id(thing), times) not in self._stay for thing, times in found):
            found.clear()  # a reference of ours may be all that keeps the object alive
            at_once.forget()
            # ``waiting`` is exhausted when no other thread moves any more; ``self`` is the default that marks its end.
            ended = next(waiting, self) is self
            found = self._taken(before)
            if ended:
                # The threads have had their time: later comparisons of this run do not wait for these objects again.
                self._stay |= {(id(thing), times) for thing, times in found}
        return found

    def _leftover(self, thing: Any, times: int) -> Leftover:
        key = name_of(thing, self.noun)
        detail = f"{attempt(partial(self.detail, thing, times), self.noun)}: {key}"
        return Leftover(self.name, key, detail, (id(thing), times))

    def describe(self, leftover: Leftover) -> Leftover:
        return self._census.renamed(leftover)

    def is_named(self, leftover: Leftover) -> bool:
        return is_named(leftover)

    def thing(self, leftover: Leftover) -> object | None:
        return self._census.of(leftover)

    def finish(self, before: object) -> None:  # noqa: ARG002
        self._stay.clear()

    def repair(self, leftover: Leftover) -> bool:
        ident, times = cast("tuple[int, int]", leftover.token)
        thing = next((thing for thing in self.alive() if id(thing) == ident), None)

        def release() -> bool:
            for _ in range(times if thing is not None else 0):
                self.release(thing)
            return True

        return attempt(release, False)  # somebody else may have released it since
