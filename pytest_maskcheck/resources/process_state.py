"""What the kinds for process state share: read it before, read it after, put the former value back."""

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
    """The token of an alteration: which one it is, and the value that was there before."""

    of: Hashable
    value: object = field(compare=False)


class ProcessState(Kind, Generic[T]):
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


class IdentityState(ProcessState["tuple[object, ...]"]):
    """A kind whose state is a row of objects that may be the user's."""

    def compare(self, before: object) -> list[Leftover]:
        now = self.read()
        if same(before, now):
            return []
        return list(self.differences(cast("tuple[object, ...]", before), now))
