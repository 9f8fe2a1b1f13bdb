"""Semaphores that were acquired and not released."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from pytest_maskcheck.resources.base import Kind, Leftover
from pytest_maskcheck.resources.heap import Census, Family, name_of

_Values = dict[int, tuple["weakref.ref[object]", int]]
_NONE: _Values = {}


_SEMAPHORES = Family("threading:Semaphore")


class Semaphores(Kind):
    """Semaphores whose value is lower than before; new bounded ones lower than they began. The token is the id."""

    name = "semaphore"
    repeatable = True
    dies_with_frames = True

    blocks = True

    def __init__(self) -> None:
        self._census = Census(_SEMAPHORES.made)

    def prepare(self) -> None:
        self._census.take()

    def _alive(self) -> list[threading.Semaphore]:
        return cast("list[threading.Semaphore]", self._census.alive())

    def snapshot(self) -> object:
        alive = self._alive()
        return {id(each): (weakref.ref(each), each._value) for each in alive} if alive else _NONE  # noqa: SLF001

    def compare(self, before: object) -> list[Leftover]:
        alive = self._alive()
        if not alive:
            return []
        return [
            self._leftover(semaphore, missing)
            for semaphore in alive
            if (missing := _missing(semaphore, cast("_Values", before))) > 0
        ]

    def _leftover(self, semaphore: threading.Semaphore, missing: int) -> Leftover:
        key = name_of(semaphore, "semaphore")
        detail = f"a {type(semaphore).__qualname__} was acquired and not released ({missing}): {key}"
        return Leftover(self.name, key, detail, (id(semaphore), missing))

    def describe(self, leftover: Leftover) -> Leftover:
        return self._census.renamed(leftover)

    def thing(self, leftover: Leftover) -> object | None:
        return self._census.of(leftover)

    def finish(self, before: object) -> None:  # noqa: ARG002
        self._census.settle()

    def repair(self, leftover: Leftover) -> bool:
        ident, missing = cast("tuple[int, int]", leftover.token)
        for semaphore in self._alive():
            if id(semaphore) == ident:
                try:
                    semaphore.release(missing)
                except ValueError:  # somebody else has released it since
                    return False
        return True

    @contextmanager
    def canary(self) -> Iterator[None]:
        semaphore = threading.BoundedSemaphore()
        with semaphore:
            yield


def _missing(semaphore: threading.Semaphore, before: _Values) -> int:
    """Return by how much the semaphore is lower than before; a new one that is not bounded cannot be told."""
    ref, former = before.get(id(semaphore), (None, 0))
    if ref is None or ref() is not semaphore:
        former = getattr(semaphore, "_initial_value", 0)
    return former - semaphore._value  # noqa: SLF001
