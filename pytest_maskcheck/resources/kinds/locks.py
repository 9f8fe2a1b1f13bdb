"""Locks that are held: ``threading.Lock``, ``RLock``, and whatever is built of them.

A plain lock does not show which thread holds it. Two sorts of locks that other threads hold are recognised in other ways:

1. A lock that a live thread holds for itself (to signal its end, or as its place in a ``Condition.wait``): by where it is stored.
2. A lock that a running thread holds for a moment: by looking again.

A thread that was woken from a wait still has the lock that is its place in it. Once the thread gets to run, it drops that lock
without releasing it. So held locks are checked again at a time when the audit has only weak references to them.

What does not work: a plain lock that another thread holds for as long as it lives is not recognised as that thread's.
"""

from __future__ import annotations

import _thread
import weakref
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, cast

from pytest_maskcheck.resources.census import Census
from pytest_maskcheck.resources.heap import Exactly, at_once
from pytest_maskcheck.resources.kind import Kind, Leftover
from pytest_maskcheck.resources.owner_names import is_named, name_of
from pytest_maskcheck.resources.surroundings import Surroundings
from pytest_maskcheck.system.other_threads import other_frames, while_others_move
from pytest_maskcheck.system.unpatched import threading

if TYPE_CHECKING:
    from types import FrameType

_LOCK = type(_thread.allocate_lock())
_RLOCK = type(_thread.RLock())

_locked: Callable[[object], bool] = _LOCK.locked  # type: ignore[assignment]

# The count of an RLock is that of the calling thread: what other threads hold is no leak of the interrupted one.
# In the first patch releases of 3.11 there is no count: they show only whether the calling thread holds the lock.
_DEPTH = "_recursion_count" if hasattr(_RLOCK, "_recursion_count") else "_is_owned"
_depth: Callable[[object], int] = getattr(_RLOCK, _DEPTH)

_Ref = weakref.ref[object]
_Held = dict[int, tuple[_Ref, int]]
_NONE: _Held = {}


class Locks(Kind):
    """Locks held now and not before. The token is the lock's id."""

    name = "lock"
    repeatable = True
    dies_with_frames = True
    passable = True

    blocks = True

    def __init__(self, surroundings: Surroundings | None = None) -> None:
        super().__init__(surroundings)
        self._locks, self._rlocks = (Census(Exactly(kind).made) for kind in (_LOCK, _RLOCK))
        # Locks that no other thread released in the time it had, by the id of their weak reference: each lock has only one.
        self._stay: dict[int, _Ref] = {}

    def prepare(self) -> None:
        self._locks.take()
        self._rlocks.take()

    def _held(self) -> list[tuple[object, int]]:
        """Return the held locks, each with how often it was acquired."""
        if not self._locks.any(_locked) and not self._rlocks.any(_depth):
            return []
        return [
            (lock, depth)
            for lock in self._locks.alive() + self._rlocks.alive()
            if (depth := _locked(lock) if type(lock) is _LOCK else _depth(lock))
        ]

    def snapshot(self) -> object:
        held = self._held()
        return {id(lock): (weakref.ref(lock), depth) for lock, depth in held} if held else _NONE

    def compare(self, before: object) -> list[Leftover]:
        found = self._taken(cast("_Held", before))
        if found:
            # Only weak references from here on: a lock that nothing else keeps alive must be freed.
            at_once.forget()
            found = self._without_those_of_threads(found)
        return [self._leftover(lock) for lock in (ref() for ref in found) if lock is not None]

    def _taken(self, known: _Held) -> list[_Ref]:
        """Return the locks that are held now and were not at the snapshot, or that are held more times than then."""
        found = []
        for lock, depth in self._held():
            ref, former = known.get(id(lock), (None, 0))
            # An address may be reused, so the former lock is compared by identity.
            if ref is None or ref() is not lock or depth > former:
                found.append(weakref.ref(lock))
        return found

    def _without_those_of_threads(self, refs: list[_Ref]) -> list[_Ref]:
        """Return the locks that no other thread seems to hold, after threads that move have had time to release theirs."""
        refs = _not_kept(refs)
        waiting = while_others_move()
        # RLocks need no second look: they count for this thread only.
        while any(id(ref) not in self._stay and type(ref()) is _LOCK for ref in refs):
            if next(waiting, self) is self:
                self._stay |= {id(ref): ref for ref in refs}
                break
            refs = _not_kept(refs)
        return refs

    def _leftover(self, lock: object) -> Leftover:
        noun = "lock" if type(lock) is _LOCK else "rlock"
        key = name_of(lock, noun)
        what = "a lock" if type(lock) is _LOCK else "a reentrant lock"
        return Leftover(self.name, key, f"{what} is still held: {key}", id(lock))

    def describe(self, leftover: Leftover) -> Leftover:
        return self._rlocks.renamed(self._locks.renamed(leftover))

    def is_named(self, leftover: Leftover) -> bool:
        return is_named(leftover)

    def thing(self, leftover: Leftover) -> object | None:
        return self._locks.of(leftover) or self._rlocks.of(leftover)

    def finish(self, before: object) -> None:  # noqa: ARG002
        self._stay.clear()

    def repair(self, leftover: Leftover) -> bool:
        for lock in self._locks.alive() + self._rlocks.alive():
            if id(lock) == leftover.token:
                with suppress(RuntimeError):
                    while _locked(lock) if type(lock) is _LOCK else _depth(lock):
                        cast("_thread.LockType", lock).release()
                return True
        return True  # gone

    @contextmanager
    def canary(self) -> Iterator[None]:
        lock = threading.Lock()
        with lock:
            yield


def _not_kept(refs: list[_Ref]) -> list[_Ref]:
    """Return the locks that still exist and are held, without those that other threads hold for themselves."""
    kept = _kept()
    return [ref for ref in refs if _is_held(ref(), kept)]


def _is_held(lock: object, kept: Collection[int]) -> bool:
    """Return whether a lock still exists and is held, and its id is not among ``kept``."""
    return id(lock) not in kept and bool(_locked(lock) if type(lock) is _LOCK else lock is not None and _depth(lock))


def _kept() -> set[int]:
    """Return the ids of locks that other threads hold for themselves: to signal their end, or as their place in a wait."""
    kept = {id(getattr(thread, "_tstate_lock", None)) for thread in threading.enumerate()}  # before 3.13
    for top in other_frames().values():
        frame: FrameType | None = top
        while frame is not None:
            if frame.f_code is threading.Condition.wait.__code__:
                kept.add(id(frame.f_locals.get("waiter")))
            frame = frame.f_back
    return kept
