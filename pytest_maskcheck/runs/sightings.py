"""Sightings: how a leftover came to be, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_maskcheck.results import Origin

Stretch = tuple[int, int]
"""Two calls of a run, counted from 1: a leftover appeared after the first and not later than the second."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """How a leftover came to be.

    Parameters:
        name: identifies the leftover within the process.
        stretch: the calls between which it was seen for the first time.
        origin: where the main thread was then.
        foreign: another thread made it meanwhile.
    """

    name: str
    stretch: Stretch
    origin: Origin
    foreign: bool = False

    @property
    def exact(self) -> bool:
        """Whether it is certain which call made it: there was a look at each."""
        return self.stretch[1] - self.stretch[0] <= 1 and not self.foreign

    def held(self, by: str) -> Sighting:
        """Return this sighting for something that can still be reached; ``by`` describes the path to it."""
        return replace(self, origin=replace(self.origin, held_by=by))
