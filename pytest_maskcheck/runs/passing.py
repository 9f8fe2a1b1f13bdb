"""What is there at points that an uninterrupted run passes, and whether it outlasts the call under way."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType

    from pytest_maskcheck.interrupts import InScope
    from pytest_maskcheck.resources import Kind, Leftover
    from pytest_maskcheck.resources.kind import Identity
    from pytest_maskcheck.runs.sightings import Sighting

_SUSPENDING = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


@dataclass(slots=True, repr=False)
class Passing:
    """Records what is there at the points that a watched run passes.

    Parameters:
        in_scope: whether a file is in scope.

    Attributes:
        passed_by, outlasting: see :class:`pytest_maskcheck.runs.requests.RunResult`.
        under_way: frame, by ``id`` -> the points within its call, each with what was there.
    """

    in_scope: InScope
    passed_by: dict[str, dict[tuple[str, str], tuple[Sighting, ...]]] = field(default_factory=dict)
    outlasting: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    under_way: dict[int, list[tuple[str, dict[tuple[str, str], set[Identity]]]]] = field(default_factory=dict)

    def note(
        self,
        point: str,
        frame: FrameType,
        now: Sequence[Leftover],
        seen: Mapping[Identity, Sighting],
        kinds: Mapping[str, Kind],
    ) -> None:
        """Record what is there at a point.

        Parameters:
            point: its id.
            frame: the frame that runs.
            now: what is there.
            seen: how each leftover came to be.
            kinds: the kinds by name.
        """
        found: dict[tuple[str, str], tuple[Sighting, ...]] = {}
        there: dict[tuple[str, str], set[Identity]] = {}
        for leftover in now:
            name = leftover.kind, leftover.key if kinds[leftover.kind].is_named(leftover) else ""
            found[name] = (*found.get(name, ()), seen[leftover.identity])
            there.setdefault(name, set()).add(leftover.identity)
        self.passed_by[point] = found
        call = self._call_of(frame)
        # Generators do not count: their calls end, and begin again, at each yield.
        if there and not call.f_code.co_flags & _SUSPENDING:
            self.under_way.setdefault(id(call), []).append((point, there))

    def _call_of(self, frame: FrameType) -> FrameType:
        """Return the frame of the call under way: of a function in scope or, out of scope, of what a function in scope called."""
        while frame.f_back is not None and not self.in_scope(frame.f_code.co_filename):
            if self.in_scope(frame.f_back.f_code.co_filename):
                break
            frame = frame.f_back
        return frame

    def end(self, frame: FrameType, seen: Mapping[Identity, Sighting]) -> None:
        """Record what was there at points within a call and still is when the call returns."""
        for point, noted in self.under_way.pop(id(frame)):
            self.outlasting[point] = tuple(name for name, some in noted.items() if some <= seen.keys())
