"""Drive all kinds through a run together. A run that leaves nothing behind, as most do, is recognised cheaply.

For most kinds, two equal snapshots mean that nothing is left. After a run, their snapshots are taken again and compared all at
once. Each kind is compared by itself only if they differ.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import compress

from pytest_maskcheck.resources.census import Census
from pytest_maskcheck.resources.heap import at_once, look
from pytest_maskcheck.resources.kind import Identity, Kind, Leftover
from pytest_maskcheck.resources.user_objects import same
from pytest_maskcheck.system.unpatched import os

_NOTHING: dict[int, object] = {}

_Snapshots = list[tuple[Callable[[Collection[type]], bool] | None, Callable[[], object]]]


def _taken(snapshots: _Snapshots) -> list[object]:
    found = look() if snapshots else {}
    return [_NOTHING if absent and absent(found) else snapshot() for absent, snapshot in snapshots]


class KindSet:
    """Drives ``kinds`` through a run. Snapshots are in the order of the kinds."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self.kinds = kinds
        # Method lookups are done once: these lists are walked before and after every run.
        self._snapshots: _Snapshots = [(kind.absent, kind.snapshot) for kind in kinds]
        self._compares = [kind.compare for kind in kinds]
        self._repeatable = [kind.repeatable for kind in kinds]
        self._repeated: _Snapshots = list(compress(self._snapshots, self._repeatable))
        self._others = [(at, kind.compare) for at, kind in enumerate(kinds) if not kind.repeatable]
        self._equal: list[object] | None = None
        self._pid = 0
        self._finishing = [(at, kind) for at, kind in enumerate(kinds) if type(kind).finish is not Kind.finish]

    def snapshot(self, *, still: bool = False) -> list[object]:
        """Return the snapshots of all kinds.

        Parameters:
            still: only the audit has run since the last comparison. If that comparison found no difference, its snapshots are
                reused, except in a process that was forked since.
        """
        # Describing a leftover may have thawed the heap.
        Census.settle()
        with at_once:
            if not still or self._equal is None or self._pid != os.getpid():
                return _taken(self._snapshots)
            return [
                before if repeatable else kind.snapshot()
                for before, repeatable, kind in zip(self._equal, self._repeatable, self.kinds, strict=True)
            ]

    def forget(self) -> None:
        """Forget the last comparison, so that the next call of ``snapshot`` takes all snapshots again."""
        self._equal = None

    def compare_some(self, befores: list[object], names: Collection[str]) -> list[Leftover]:
        """Return the leftovers that the kinds with these names find."""
        with at_once:
            asked = [(before, kind) for before, kind in zip(befores, self.kinds, strict=True) if kind.name in names]
            return [found for before, kind in asked for found in kind.compare(before)]

    def compare(self, befores: list[object]) -> list[Leftover]:
        """Return the leftovers that all kinds find."""
        with at_once:
            equal = same(_taken(self._repeated), list(compress(befores, self._repeatable)))
            self._equal, self._pid = befores if equal else None, os.getpid()
            if equal:
                asked = [(befores[at], compare) for at, compare in self._others]
            else:
                # Unequal snapshots do not prove a leftover: each kind must be compared.
                asked = list(zip(befores, self._compares, strict=True))
            return [found for before, compare in asked for found in compare(before)]

    def lasting(self, befores: list[object], leftovers: Collection[Leftover]) -> set[Identity]:
        """Return which leftovers are still there. Those of kinds that listen always count, as those kinds have finished by then."""
        names = {leftover.kind for leftover in leftovers}
        found = {leftover.identity for leftover in leftovers}
        with at_once:
            for kind, before in zip(self.kinds, befores, strict=True):
                if kind.name in names and not kind.listens:
                    now = {leftover.identity for leftover in kind.compare(before)}
                    found = {identity for identity in found if identity[0] != kind.name or identity in now}
        return found

    def finish(self, befores: list[object], *, listening: bool) -> None:
        """Remove what the snapshots installed, either of the kinds that listen or of the others."""
        for at, kind in self._finishing:
            if kind.listens is listening:
                kind.finish(befores[at])
