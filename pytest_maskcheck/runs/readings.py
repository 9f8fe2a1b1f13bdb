"""Readings: what is there after a body and was not before it, once what vanishes by itself has had time to do so.

Up to three readings distinguish a leak from a release by reference counting:

1. The first is taken while the traceback is alive, which keeps frames, and so locals, alive.
2. If anything is left, the frames of the code under test are dropped, and the second is taken. The test's own frame is kept: it stands
   for the program that catches the interrupt and goes on.
3. If anything is still left, the test's frame is dropped, and the third is taken.

What is there at the last reading is leaked. What is there only at earlier ones was released because CPython counts references. A lock
that is still held once the interrupted frames are gone is leaked even if it dies with the test, as nobody would release it.

:mod:`.after_body` takes the readings in their order; this module contains how each of them is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_maskcheck.resources.kinds.interval_timers import IntervalTimers
from pytest_maskcheck.system.other_threads import has_other_threads
from pytest_maskcheck.system.unpatched import time

if TYPE_CHECKING:
    from collections.abc import Collection

    from pytest_maskcheck.resources import Kind, Leftover
    from pytest_maskcheck.resources.kind import Identity
    from pytest_maskcheck.resources.kind_set import KindSet

_PATIENCE = (1e-6, 1e-4, 1e-3, 4e-3, 15e-3, 30e-3)
"""Seconds between looks at what may vanish by itself: 50 ms in all."""


@dataclass(frozen=True, slots=True, repr=False)
class Readings:
    """Takes the readings of one run.

    Parameters:
        kind_set: compares all kinds at once.
        befores: their snapshots from before the body.
    """

    kind_set: KindSet
    befores: list[object]

    def kinds(self) -> dict[str, Kind]:
        """Return the kinds by name."""
        return {kind.name: kind for kind in self.kind_set.kinds}

    def read(self) -> list[Leftover]:
        """Return what is left now."""
        return self.kind_set.compare(self.befores)

    def lasting(self, leftovers: Collection[Leftover]) -> set[Identity]:
        """Return which of these leftovers are there now."""
        return self.kind_set.lasting(self.befores, leftovers)

    def finish(self, *, listening: bool) -> None:
        """Give back what the snapshots installed: those of kinds that listen, or those of the others."""
        self.kind_set.finish(self.befores, listening=listening)

    def settling(self) -> set[str]:
        """Return the names of the kinds whose leftovers may vanish by themselves now."""
        alone = not has_other_threads()
        return {kind.name for kind in self.kind_set.kinds if kind.settles and not (alone and kind.settled_by_threads)}

    def settled(self, settling: Collection[str]) -> list[Leftover]:
        """Return what is left after leftovers of these kinds have had time to vanish by themselves.

        Meanwhile only the kinds that still have leftovers are read; then all, as other threads may have closed something else.
        """
        found = self.read()
        waited_for = self._waited_for(found, settling)
        if not waited_for:  # as after most runs
            return found
        for pause in _PATIENCE:
            time.sleep(pause)
            waited_for = self._waited_for(self.kind_set.compare_some(self.befores, waited_for), waited_for)
            if not waited_for:
                break
        return self.read()

    def _waited_for(self, found: Collection[Leftover], settling: Collection[str]) -> set[str]:
        """Return those of the kinds in ``settling`` that have a leftover that may vanish by itself."""
        kinds = {kind.name: kind for kind in self.kind_set.kinds if kind.name in settling}
        return {
            leftover.kind for leftover in found if leftover.kind in kinds and not kinds[leftover.kind].stays(leftover)
        }

    def remaining(self, leftovers: Collection[Leftover]) -> set[Identity]:
        """Return which of these leftovers are there after those that vanish by themselves have had time to do so."""
        settling = self.settling()
        found = self.lasting(leftovers)
        for pause in _PATIENCE:
            if not any(name in settling for name, _ in found):
                break
            time.sleep(pause)
            found = self.lasting(leftovers)
        return found


@dataclass(slots=True, repr=False)
class BodyEnd:
    """What is known from the end of a test's body until its fixtures are torn down.

    Parameters:
        readings: those of the run.
        described: what was there at any reading.
        last: what was there at the last one.
        kept: what counts as leaked.
    """

    readings: Readings
    described: dict[Identity, Leftover] = field(default_factory=dict)
    last: list[Leftover] = field(default_factory=list)
    kept: set[Identity] = field(default_factory=set)

    @property
    def timers(self) -> set[str]:
        """The names of interval timers that the body left in another state than it found them in."""
        return {leftover.key for leftover in self.last if leftover.kind == IntervalTimers.name}
