"""What the kinds for Python objects share: those made by a run that are still alive and open."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from contextlib import suppress
from typing import Any, cast

from pytest_maskcheck.resources.base import Kind, Leftover
from pytest_maskcheck.resources.heap import made


class Objects(Kind):
    """A kind that looks at the objects of a few types. The token is the object's id.

    Only objects made since the heap was frozen are seen; those made by fixtures, before the body began, are known by
    then. A subclass names the types without importing the module that defines them: what nobody has imported has no objects.
    """

    @abstractmethod
    def types(self) -> Collection[type]:
        """Return the exact types; asked anew each time, and so to be cheap."""

    @abstractmethod
    def is_open(self, thing: Any) -> bool:
        """Tell whether ``thing`` still has to be closed, ended or awaited. Runs no code of the user's, and never raises."""

    @abstractmethod
    def told(self, thing: Any) -> tuple[str, str]:
        """Return the key of ``thing``, alike in every run, and what to say of it."""

    @abstractmethod
    def close(self, thing: Any) -> None:
        """Close ``thing`` without waiting for anything. May raise."""

    def _open(self) -> list[object]:
        return [thing for thing in made(self.types()) if self.is_open(thing)]

    def snapshot(self) -> object:
        return frozenset(map(id, self._open()))

    def compare(self, before: object) -> list[Leftover]:
        known = cast("frozenset[int]", before)
        return [self._leftover(thing) for thing in self._open() if id(thing) not in known]

    def _leftover(self, thing: object) -> Leftover:
        key, detail = self.told(thing)
        return Leftover(self.name, key, detail, id(thing))

    def thing(self, leftover: Leftover) -> object | None:
        return next((thing for thing in self._open() if id(thing) == leftover.token), None)

    def repair(self, leftover: Leftover) -> bool:
        for thing in self._open():
            if id(thing) == leftover.token:
                with suppress(Exception):
                    self.close(thing)
                return not self.is_open(thing)
        return True  # gone
