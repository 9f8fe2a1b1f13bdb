"""Functions registered to run later, with ``atexit`` and with ``weakref.finalize``."""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

from pytest_maskcheck.resources.kind import Kind, Leftover
from pytest_maskcheck.resources.surroundings import Surroundings
from pytest_maskcheck.resources.user_objects import label_of
from pytest_maskcheck.system.untrusted import attempt, read

_count = getattr(atexit, "_ncallbacks", None)
HAS_ATEXIT_COUNT = _count is not None


class _Probe:
    """Equal to nothing; records what it is compared with."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __eq__(self, other: object) -> bool:
        self.seen.append(other)
        return False

    __hash__ = None  # type: ignore[assignment]


def _registered() -> list[Any]:
    """Return the registered functions.

    ``atexit`` cannot list them. But ``unregister`` compares its argument with each of them, until a comparison raises.
    """
    probe = _Probe()
    attempt(lambda: atexit.unregister(cast("Any", probe)), None)
    return probe.seen


class ExitFunctions(Kind):
    """Functions registered with ``atexit`` and not unregistered: they and their arguments live as long as the process."""

    name = "atexit"
    available = HAS_ATEXIT_COUNT
    repeatable = True

    def __init__(self, surroundings: Surroundings | None = None) -> None:
        super().__init__(surroundings)
        self._known: tuple[int, list[Any]] = (-1, [])

    def snapshot(self) -> object:
        count = cast("Any", _count)()
        if count != self._known[0]:
            self._known = (count, _registered())
        return self._known

    def compare(self, before: object) -> list[Leftover]:
        count, functions = cast("tuple[int, list[Any]]", before)
        if cast("Any", _count)() == count:
            return []
        # The count may differ although the functions are the same: some versions count unregistered ones, too.
        left = list(functions)
        found = []
        there = _registered()
        if len(there) < len(left) and cast("Any", _count)() > count:
            detail = (
                "a function is registered with atexit and was not unregistered; which one, its __eq__ does not tell"
            )
            found.append(Leftover(self.name, "function", detail, "function"))
        for function in there:
            at = next((at for at, known in enumerate(left) if known is function or _is_same(known, function)), None)
            if at is None:
                found.append(self._leftover(function))
            else:
                del left[at]
        return found

    def _leftover(self, function: object) -> Leftover:
        name = label_of(function)
        return Leftover(self.name, name, f"{name} is registered with atexit and was not unregistered", id(function))

    def repair(self, leftover: Leftover) -> bool:
        for function in _registered():
            if id(function) == leftover.token:
                with suppress(Exception):
                    atexit.unregister(function)
        return leftover.token not in set(map(id, _registered()))

    @contextmanager
    def canary(self) -> Iterator[None]:
        def canary() -> None:
            return

        atexit.register(canary)
        try:
            yield
        finally:
            atexit.unregister(canary)


def _is_same(one: object, other: object) -> bool:
    """Return whether both are the same method of the same object. They need not be identical, as each access makes a new one."""
    own: Any = read(one, "__self__")
    return own is not None and own is read(other, "__self__") and label_of(one) == label_of(other)


class Finalizers(Kind):
    """Live ``weakref.finalize`` objects that the run made. One whose object lives on may be intended, so this kind is off by default."""

    name = "finalize"
    default = False

    def snapshot(self) -> object:
        return frozenset(map(id, _finalizers()))

    def compare(self, before: object) -> list[Leftover]:
        known = cast("frozenset[int]", before)
        if len(_finalizers()) == len(known) and known.issuperset(map(id, _finalizers())):
            return []
        return [self._leftover(one) for one in list(_finalizers()) if id(one) not in known]

    def _leftover(self, finalizer: Any) -> Leftover:
        _, function, _, _ = finalizer.peek() or (None, None, None, None)
        name = label_of(function)
        detail = f"a finalizer is alive that calls {name}: what it is for lives on"
        return Leftover(self.name, name, detail, cast("Hashable", id(finalizer)))

    def repair(self, leftover: Leftover) -> bool:
        for finalizer in list(_finalizers()):
            if id(finalizer) == leftover.token:
                with suppress(Exception):
                    cast("Any", finalizer)()
        return leftover.token not in set(map(id, _finalizers()))

    @contextmanager
    def canary(self) -> Iterator[None]:
        class Canary:
            pass

        living = Canary()
        finalizer = weakref.finalize(living, int)
        try:
            yield
        finally:
            finalizer.detach()


def _finalizers() -> dict[Any, Any]:
    return cast("dict[Any, Any]", getattr(weakref.finalize, "_registry", {}))
