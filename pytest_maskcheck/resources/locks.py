"""Locks that are held: ``threading.Lock``, ``RLock``, and whatever is built of them.

Nobody can ask a plain lock who holds it. One that a living thread holds for itself (its own end, its
place in a ``Condition.wait``) is told by where it is kept; one that a running thread holds for a moment
is told by looking again. A thread that keeps a plain lock for as long as it lives is not told apart.
"""

from __future__ import annotations

import _thread
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import cast

from pytest_maskcheck.resources.base import Kind, Leftover
from pytest_maskcheck.resources.heap import Census, Exactly, name_of
from pytest_maskcheck.unpatched import threading, time

_LOCK = type(_thread.allocate_lock())
_RLOCK = type(_thread.RLock())
_PAUSES = (0.0005, 0.001, 0.002, 0.004)

_locked: Callable[[object], bool] = _LOCK.locked  # type: ignore[assignment]

# An RLock counts for the thread that looks: what other threads hold is no leak of the interrupted one.
# The first patch releases of 3.11 cannot count and only tell whether it is held.
_DEPTH = "_recursion_count" if hasattr(_RLOCK, "_recursion_count") else "_is_owned"
_depth: Callable[[object], int] = getattr(_RLOCK, _DEPTH)

_Held = dict[int, tuple["weakref.ref[object]", int]]
_NONE: _Held = {}


class Locks(Kind):
    """Locks held now and not before. The token is the lock's id."""

    name = "lock"
    repeatable = True
    dies_with_frames = True

    blocks = True

    def __init__(self) -> None:
        self._locks, self._rlocks = (Census(Exactly(kind).made) for kind in (_LOCK, _RLOCK))

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
        held = self._held()
        if not held:
            return []
        known = cast("_Held", before)
        found = []
        for lock, depth in held:
            ref, former = known.get(id(lock), (None, 0))
            if ref is None or ref() is not lock or depth > former:
                found.append(lock)
        if found and _thread._count():  # noqa: SLF001
            found = _without_those_of_threads(found)
        return [self._leftover(lock) for lock in found]

    def _leftover(self, lock: object) -> Leftover:
        noun = "lock" if type(lock) is _LOCK else "rlock"
        key = name_of(lock, noun)
        what = "a lock" if type(lock) is _LOCK else "a reentrant lock"
        return Leftover(self.name, key, f"{what} is still held: {key}", id(lock))

    def describe(self, leftover: Leftover) -> Leftover:
        return self._rlocks.renamed(self._locks.renamed(leftover))

    def thing(self, leftover: Leftover) -> object | None:
        return self._locks.of(leftover) or self._rlocks.of(leftover)

    def finish(self, before: object) -> None:  # noqa: ARG002
        self._locks.settle()

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


def _without_those_of_threads(locks: list[object]) -> list[object]:
    """Return those of ``locks`` that no other thread is seen to hold."""
    kept = {id(getattr(thread, "_tstate_lock", None)) for thread in threading.enumerate()}  # before 3.13
    frames = sys._current_frames()  # noqa: SLF001
    del frames[threading.get_ident()]  # a frame with itself as a variable would outlive its call, and keep the locks
    for top in frames.values():
        frame: types.FrameType | None = top
        while frame is not None:
            if frame.f_code is threading.Condition.wait.__code__:
                kept.add(id(frame.f_locals.get("waiter")))
            frame = frame.f_back
    locks = [lock for lock in locks if id(lock) not in kept]
    for pause in _PAUSES:
        if not any(type(lock) is _LOCK for lock in locks):
            break
        time.sleep(pause)
        locks = [lock for lock in locks if type(lock) is not _LOCK or _locked(lock)]
    return locks
