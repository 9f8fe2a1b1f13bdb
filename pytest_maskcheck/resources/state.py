"""What the kinds for process state share: read it before, read it after, put the former value back."""

from __future__ import annotations

import types
from abc import abstractmethod
from collections.abc import Hashable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

from pytest_maskcheck.resources.base import Kind, Leftover
from pytest_maskcheck.system.untrusted import attempt, name_of, read

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Former:
    """The token of an alteration: which one it is, and the value that was there before."""

    of: Hashable
    value: object = field(compare=False)


class State(Kind, Generic[T]):
    """A kind that reads process state; ``T`` is what a reading looks like."""

    repeatable = True

    @abstractmethod
    def read(self) -> T:
        """Return the state as it is now."""

    @abstractmethod
    def differences(self, before: T, now: T) -> Iterator[Leftover]:
        """Yield what differs between two readings that are not equal."""

    @abstractmethod
    def put_back(self, of: Hashable, value: object) -> None:
        """Set the part of the state called ``of`` to ``value`` again."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "read" in vars(cls) and "snapshot" not in vars(cls):
            cls.snapshot = vars(cls)["read"]  # type: ignore[method-assign]  # one call less

    def snapshot(self) -> object:
        return self.read()

    def compare(self, before: object) -> list[Leftover]:
        now = self.read()
        return [] if same(now, before) else list(self.differences(cast("T", before), now))

    def altered(self, key: str, detail: str, of: Hashable, former: object) -> Leftover:
        """Return the leftover for the part ``of`` of the state, which was ``former``."""
        return Leftover(self.name, key, detail, Former(of, former), altered=True)

    def repair(self, leftover: Leftover) -> bool:
        token = leftover.token
        if isinstance(token, Former):
            with suppress(Exception):
                self.put_back(token.of, token.value)
                return True
        return False


class Identities(State["tuple[object, ...]"]):
    """A kind whose state is a row of objects that may be the user's."""

    def compare(self, before: object) -> list[Leftover]:
        now = self.read()
        if same(before, now):
            return []
        return list(self.differences(cast("tuple[object, ...]", before), now))


def same(old: object, now: object) -> bool:
    """Tell whether two rows, or rows of rows, hold the same objects in the same order.

    What is identical is found equal without asking it. Only an object that took the place of another may be asked.
    """
    try:
        return bool(old == now)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  (an object that cannot be compared is another one)
        return False


def changes(old: Iterable[object], now: Iterable[object]) -> tuple[list[object], list[object]]:
    """Return which objects are new and which are gone, by identity."""
    old, now = list(old), list(now)
    before, after = set(map(id, old)), set(map(id, now))
    return [thing for thing in now if id(thing) not in before], [thing for thing in old if id(thing) not in after]


def described(thing: object) -> str:
    """Return a name for ``thing``: its own if it has one, else that of its type. Runs no code of its class."""
    if thing is None:
        return "None"
    if type(thing) is types.MethodType:
        thing = thing.__func__
    name, module = read(thing, "__qualname__"), read(thing, "__module__")
    if type(name) is not str or not (module is None or type(module) is str):
        kind = type(thing)
        name, module = name_of(kind), attempt(lambda: kind.__module__, None)
    return name if type(module) is not str or module == "builtins" else f"{module}.{name}"
