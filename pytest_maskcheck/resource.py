"""The protocol of the resources that the hook ``pytest_maskcheck_resources`` returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable


class Resource(Protocol):
    """One kind of thing that a run can leave behind, and that only you know how to find.

    A thing is whatever identifies what is there: a name, a number, a tuple, an object. The audit compares the things before and
    after a run by ``==``, duplicates included. It keeps what it compares alive: return names rather than objects that reference
    counting is to release.

    A class may also have a method ``canary()`` that returns a context manager, within which ``snapshot`` returns one thing more.
    The audit uses it to prove that the resource detects what it is there to detect.

    Attributes:
        name: its name in reports and in ``allow``, such as ``connection``: letters, digits, ``_``, ``-``.
        cost: microseconds that one snapshot takes, as measured; cheap resources are snapshotted first.
    """

    name: str
    cost: float

    def snapshot(self) -> Iterable[Hashable]:
        """Return what is there now. Called two to ten times for each run, so it must be cheap; it must not change anything."""
        ...

    def describe(self, thing: Any) -> str:
        """Return one line that is the same in every run: findings with equal lines are one defect, and ``allow`` globs match it."""
        ...

    def repair(self, thing: Any) -> None:
        """Undo one thing that was left, so that later runs do not find it."""
        ...
