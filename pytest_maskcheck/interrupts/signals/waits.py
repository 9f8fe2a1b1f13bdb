"""Counts the events that several triggers await in one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.cpython import facts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType

    from pytest_maskcheck.interrupts.places import Trigger

Awaited = tuple[str, int, int, int]
"""Event, code, offset and callee; code objects are given by ``id``."""


class Wait:
    """A counter of one event, with the counts where triggers await it.

    Attributes:
        due: count of the event, from 1 on -> positions of the triggers that await it.
    """

    __slots__ = ("_count", "due")

    def __init__(self) -> None:
        self._count = 0
        self.due: dict[int, list[int]] = {}

    def come(self) -> Sequence[int]:
        """Count the event; return the positions of the triggers that awaited it."""
        self._count += 1
        return self.due.pop(self._count, ())


class Waits:
    """Counters for all events that several triggers depend on.

    Parameters:
        triggers: each counted from the beginning of the run, or from another event on.

    Attributes:
        following: triggers that are counted from the latest of those other events on.
        changed: ``following`` has changed; the code that acts on the change resets this.
    """

    def __init__(self, triggers: Sequence[Trigger]) -> None:
        self._triggers = triggers
        self._from_start: dict[Awaited, Wait] = {}
        self._since: dict[Awaited, Wait] = {}
        self._begins: dict[Awaited, Wait] = {}
        self.following: list[Trigger] = []
        self.changed = False
        for position, trigger in enumerate(triggers):
            if trigger.since is None:
                _wait_for(self._from_start, trigger, position)
            else:
                _wait_for(self._begins, trigger.since, position)

    def wants(self, event: str, code: CodeType, offset: int) -> bool:
        """Return whether an event like this may be awaited at present."""
        key = (event, id(code), offset, _NOBODY)
        return key in self._from_start or key in self._since or key in self._begins

    def come(self, event: str, code: CodeType, offset: int, callee: CodeType | None = None) -> Sequence[int]:
        """Count an event; return the positions of the triggers that awaited it.

        Parameters:
            event: the event that has come.
            code: the code where it came.
            offset: the instruction where it came.
            callee: for events of callees, the code that ``code`` has called there.
        """
        key = (event, id(code), offset if callee is None else facts.calling(code, offset), id(callee))
        due = [position for waits in (self._from_start, self._since) if key in waits for position in waits[key].come()]
        begin = self._begins[key].come() if key in self._begins else ()
        if begin or (self.following and key in self._begins):  # another stretch of this sort restarts the count
            # Counts within the previous stretch mean nothing in this one.
            self.following = [self._triggers[position] for position in begin]
            self._since = {}
            for position in begin:
                _wait_for(self._since, self._triggers[position], position)
            self.changed = True
        return due


_NOBODY = id(None)


def _wait_for(waits: dict[Awaited, Wait], trigger: Trigger, position: int) -> None:
    callee = trigger.callee
    offset = trigger.offset if callee is None else facts.calling(trigger.code, trigger.offset)
    wait = waits.setdefault((trigger.event, id(trigger.code), offset, id(callee)), Wait())
    wait.due.setdefault(trigger.count, []).append(position)
