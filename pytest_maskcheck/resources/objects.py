"""What the kinds for Python objects share: those made by a run that are still alive and open."""

from __future__ import annotations

import weakref
from abc import abstractmethod
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Any, ClassVar, cast

from pytest_maskcheck.resources.base import Kind, Leftover
from pytest_maskcheck.resources.heap import Family, made

_Known = dict[int, "weakref.ref[object] | None"]
_NOTHING: _Known = {}


class Objects(Kind):
    """A kind that looks at the objects of a few types. The token is the object's id.

    Only objects made since the heap was frozen are seen; those made by fixtures, before the body began, are known by
    then. A subclass names the types without importing the module that defines them: what nobody has imported has no objects.
    Of types without weak references, a new object at the address of one that was known is not told apart from it.
    """

    repeatable = True

    family: ClassVar[Family | None] = None
    """The types, with all that are derived of them; or else ``types`` says which."""

    def types(self) -> Collection[type]:
        """Return the exact types; asked anew each time, and so to be cheap."""
        return ()

    @abstractmethod
    def is_open(self, thing: Any) -> bool:
        """Tell whether ``thing`` still has to be closed, ended or awaited. Runs no code of the user's, and never raises."""

    @abstractmethod
    def told(self, thing: Any) -> tuple[str, str]:
        """Return the key of ``thing``, alike in every run, and what to say of it."""

    @abstractmethod
    def close(self, thing: Any) -> None:
        """Close ``thing`` without waiting for anything. May raise."""

    def __init_subclass__(cls) -> None:
        if cls.family is not None:
            cls._made = staticmethod(cls.family.made)  # type: ignore[method-assign, assignment]
            cls.absent = staticmethod(cls.family.members.isdisjoint) if cls.snapshot is Objects.snapshot else None

    def _made(self) -> Collection[object]:
        return made(self.types())

    def _open(self) -> list[object]:
        return [thing for thing in self._made() if self.is_open(thing)]

    def snapshot(self) -> object:
        things = self._made()
        return {id(thing): _ref(thing) for thing in things if self.is_open(thing)} if things else _NOTHING

    def compare(self, before: object) -> list[Leftover]:
        things = self._made()
        return [self._leftover(thing) for thing in self._new(things, before)] if things else []

    def _new(self, things: Collection[object], before: object) -> list[object]:
        known = cast("_Known", before)
        return [thing for thing in things if self.is_open(thing) and not _is_known(thing, known)]

    def descriptors(self, thing: Any) -> Iterable[Any]:  # noqa: ARG002  (most have none that can be asked for)
        """Return what has a descriptor of ``thing``, or is one. May raise."""
        return ()

    def _leftover(self, thing: object) -> Leftover:
        key, detail = self.told(thing)
        descriptors: list[int] = []
        with suppress(Exception):
            descriptors += [each if isinstance(each, int) else each.fileno() for each in self.descriptors(thing)]
        return Leftover(self.name, key, detail, id(thing), descriptors=tuple(descriptors))

    def thing(self, leftover: Leftover) -> object | None:
        return next((thing for thing in self._open() if id(thing) == leftover.token), None)

    def repair(self, leftover: Leftover) -> bool:
        for thing in self._open():
            if id(thing) == leftover.token:
                with suppress(Exception):
                    self.close(thing)
                return not self.is_open(thing)
        return True  # gone


def _ref(thing: object) -> weakref.ref[object] | None:
    try:
        return weakref.ref(thing)
    except TypeError:
        return None


def _is_known(thing: object, known: _Known) -> bool:
    if id(thing) not in known:
        return False
    ref = known[id(thing)]
    return ref is None or ref() is thing
