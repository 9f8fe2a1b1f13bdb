"""The base class of the kinds for process state: read it before and after a run, and restore the former value."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

from pytest_maskcheck.resources.kind import Kind, Leftover
from pytest_maskcheck.resources.user_objects import same

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Former:
    """The token of an alteration: the part of the state, and its former value."""

    of: Hashable
    value: object = field(compare=False)


class ProcessState(Kind, Generic[T]):
    """A kind that reads process state; ``T`` is the type of a reading."""

    repeatable = True

    @abstractmethod
    def read(self) -> T:
        """Return the state as it is now."""

    @abstractmethod
    def differences(self, before: T, now: T) -> Iterator[Leftover]:
        """Yield a leftover for each difference between two readings that are not equal."""

    @abstractmethod
    def put_back(self, of: Hashable, value: object) -> None:
        """Restore ``value`` in the part of the state called ``of``. May raise."""

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
        """Return the leftover for the part ``of`` of the state, whose former value was ``former``."""
        return Leftover(self.name, key, detail, Former(of, former), altered=True)

    def repair(self, leftover: Leftover) -> bool:
        token = leftover.token
        if isinstance(token, Former):
            with suppress(Exception):
                self.put_back(token.of, token.value)
                return True
        return False


class IdentityState(ProcessState["tuple[object, ...]"]):
    """A kind whose state is a tuple of objects that may be the user's."""

    def compare(self, before: object) -> list[Leftover]:
        now = self.read()
        if same(before, now):
            return []
        return list(self.differences(cast("tuple[object, ...]", before), now))
