"""Adapt resources of other plugins (:class:`pytest_maskcheck.resource.Resource`) to the protocol of a kind.

Their methods are the user's code. If one raises, or returns something invalid, the audit goes on without the resource.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pytest_maskcheck.reasons import Note, Reason
from pytest_maskcheck.resources.kind import Kind, Leftover
from pytest_maskcheck.system.plain import described, is_text, quoted
from pytest_maskcheck.system.stopwatch import their_time

if TYPE_CHECKING:
    from pytest_maskcheck.resource import Resource

T = TypeVar("T")

RESERVED = ("test", "fixture", "process", "in_handler", "exception", "finalizer", "invariant", "unchanged", "atomic")
"""Words that reports use in place of a kind's name. No resource may have one of them as its name."""


@dataclass(frozen=True, slots=True)
class _Token:
    """Identifies the n-th thing with one description. ``thing`` returns the thing itself as long as others keep it alive."""

    key: str
    number: int
    thing: Callable[[], Any] = field(compare=False)


class UserKind(Kind):
    """A kind that calls a resource of another plugin. Once a call has failed, the resource is not called any more.

    Parameters:
        resource: the resource.
        plugin: the plugin's name.
    """

    name = ""
    settles = True
    outlives = True

    def __init__(self, resource: Resource, plugin: str) -> None:
        super().__init__()
        vars(self)["name"] = resource.name  # on the instance, as each has its own
        self._resource = resource
        self._plugin = plugin

    @property
    def has_canary(self) -> bool:
        """Whether the kind takes part in the self-test."""
        return callable(getattr(self._resource, "canary", None))

    def prepare(self) -> None:
        self.snapshot()  # so that what only the first call does, such as imports, is done before the runs

    def snapshot(self) -> object:
        return self._taken()

    def _taken(self) -> Counter[Hashable]:
        nothing: Counter[Hashable] = Counter()
        return self._tried("snapshot", self._things, nothing)

    def _things(self) -> Counter[Hashable]:
        things = list(self._resource.snapshot())
        unhashable = next((thing for thing in things if type(thing).__hash__ is None), None)
        if unhashable is not None:
            message = f"it returned things of type {type(unhashable).__qualname__}, which cannot be hashed"
            raise TypeError(message)
        return Counter(things)

    def compare(self, before: object) -> list[Leftover]:
        # Resources may return equal things several times, so they are counted.
        surplus = self._taken() - cast("Counter[Hashable]", before)
        return self._tried("describe", lambda: self._leftovers(surplus), [])

    def _leftovers(self, surplus: Counter[Hashable]) -> list[Leftover]:
        found: list[Leftover] = []
        numbers: Counter[str] = Counter()
        for thing in surplus.elements():
            key = self._key(thing)
            numbers[key] += 1
            found.append(
                Leftover(
                    self.name, key, f"{self.name} {key} is still there", _Token(key, numbers[key], _reference(thing))
                )
            )
        return found

    def _key(self, thing: Hashable) -> str:
        key: object = self._resource.describe(thing)
        if not is_text(key) or not key or "\n" in key:
            message = f"it returned {quoted(key)}, which is not one line of text"
            raise TypeError(message)
        return str.__str__(key)

    def repair(self, leftover: Leftover) -> bool:
        token = cast("_Token", leftover.token)

        def repair() -> bool:
            thing = token.thing()
            alike = [other for other in self._things() if self._key(other) == token.key]
            if alike:  # else it is gone
                # The thing of the token if it is still there, else any with the same description: equal things need not be identical.
                self._resource.repair(thing if thing in alike else alike[-1])
            return True

        return self._tried("repair", repair, False)

    def canary(self) -> AbstractContextManager[None]:
        resource: Any = self._resource
        canary: AbstractContextManager[None] = resource.canary()
        return canary

    def _tried(self, method: str, call: Callable[[], T], otherwise: T) -> T:
        if self.complaint:
            return otherwise
        try:
            with their_time:
                return call()
        except (Exception, SystemExit) as error:  # noqa: BLE001  (somebody else's code)
            values = {"resource": self.name, "plugin": self._plugin, "method": method, "error": described(error)}
            self.complaint = Reason(Note.RESOURCE_FAILED, **values)
            return otherwise


def _reference(thing: Any) -> Callable[[], Any]:
    """Return a function that returns ``thing``. It does not keep ``thing`` alive if that supports weak references."""
    try:
        return weakref.ref(thing)
    except TypeError:
        return lambda: thing
