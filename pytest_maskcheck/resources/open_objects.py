"""The base class of the kinds for Python objects that a run made and that are still alive and open."""

from __future__ import annotations

import weakref
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any, ClassVar, cast

from pytest_maskcheck.resources.heap import Family, made
from pytest_maskcheck.resources.kind import Identity, Kind, Leftover
from pytest_maskcheck.system.untrusted import attempt, name_of

_Known = dict[int, "weakref.ref[object] | None"]
_NOTHING: _Known = {}


class OpenObjects(Kind):
    """A kind that looks at the objects of a few types. The token is the object's id.

    Only objects made since the heap was frozen are seen. The snapshot records those that fixtures made before the body began. A
    subclass must not import the module that defines its types: as long as it was not imported, there are no such objects.

    What does not work: if a type has no weak references, a new object at the address of a recorded one is taken for that one.
    """

    repeatable = True

    family: ClassVar[Family | None] = None
    """The types, subclasses included; ``None`` if ``types`` returns them."""

    counts_later: ClassVar[bool] = False
    """True if an object has nothing to close until it is used for the first time (executors)."""

    def types(self) -> Collection[type]:
        """Return the types, without their subclasses. Called for each snapshot and comparison, so it must be cheap."""
        return ()

    @abstractmethod
    def is_open(self, thing: Any) -> bool:
        """Return whether ``thing`` still has to be closed, ended or awaited. Must not run the user's code.

        May raise if ``thing`` is half-made, or not what its type promises. It then counts as not open.
        """

    @abstractmethod
    def key_and_detail(self, thing: Any) -> tuple[str, str]:
        """Return the key of ``thing``, the same in every run, and a sentence about it."""

    @abstractmethod
    def close(self, thing: Any) -> None:
        """Close ``thing`` without waiting for anything. May raise."""

    def __init_subclass__(cls) -> None:
        if "is_open" in vars(cls):
            cls.is_open = _never_raising(vars(cls)["is_open"])  # type: ignore[method-assign, assignment]
        if cls.family is not None:
            cls._made = staticmethod(cls.family.made)  # type: ignore[method-assign, assignment]
            # KindSet skips the snapshot if no new object is of the family. A subclass's own ``snapshot`` may return more than that.
            cls.absent = staticmethod(cls.family.members.isdisjoint) if cls.snapshot is OpenObjects.snapshot else None

    def _made(self) -> Collection[object]:
        return made(self.types())

    def _open(self) -> list[object]:
        return [thing for thing in self._made() if self.is_open(thing)]

    def snapshot(self) -> object:
        things = self._made()
        return {id(thing): _ref(thing) for thing in things if self.is_open(thing)} if things else _NOTHING

    def compare(self, before: object) -> list[Leftover]:
        things = self._made()
        if not things:
            return []
        found = [(thing, self._leftover(thing)) for thing in self._new(things, before)]
        # Another thread may have closed it meanwhile.
        return [leftover for thing, leftover in found if self.is_open(thing)]

    def _new(self, things: Collection[object], before: object) -> list[object]:
        known = cast("_Known", before)
        return [thing for thing in things if self.is_open(thing) and not _is_known(thing, known)]

    def unused(self, before: object) -> Collection[Identity]:
        if not self.counts_later:
            return ()
        known = cast("_Known", before)
        return [(self.name, id(thing)) for thing in self._made() if not _is_known(thing, known)]

    def descriptors(self, thing: Any) -> Iterable[Any]:  # noqa: ARG002  (most have none that can be found)
        """Return descriptors of ``thing``, or objects with a ``fileno`` method. May raise."""
        return ()

    def _leftover(self, thing: object) -> Leftover:
        name = name_of(type(thing))
        plain = name, f"{name} is still there; what else there is to say of it cannot be read"
        key, detail = attempt(lambda: self.key_and_detail(thing), plain)
        descriptors: list[int] = attempt(lambda: [*map(_number, self.descriptors(thing))], [])
        return Leftover(self.name, key, detail, id(thing), descriptors=tuple(descriptors))

    def thing(self, leftover: Leftover) -> object | None:
        return next((thing for thing in self._open() if id(thing) == leftover.token), None)

    def repair(self, leftover: Leftover) -> bool:
        for thing in self._open():
            if id(thing) == leftover.token:
                attempt(partial(self.close, thing), None)
                return not self.is_open(thing)
        return True  # gone


def _never_raising(is_open: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Return a method that returns false where ``is_open`` raises."""

    def found(self: Any, thing: Any) -> bool:
        try:
            return bool(is_open(self, thing))
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001  (code of the user's may raise anything)
            return False

    return found


def _number(thing: Any) -> int:
    return thing if isinstance(thing, int) else int(thing.fileno())


def _ref(thing: object) -> weakref.ref[object] | None:
    try:
        return weakref.ref(thing)
    except TypeError:
        return None


def _is_known(thing: object, known: _Known) -> bool:
    if id(thing) not in known:
        return False
    ref = known[id(thing)]
    # Without weak references, nothing tells a new object from a recorded one at the same address.
    return ref is None or ref() is thing
