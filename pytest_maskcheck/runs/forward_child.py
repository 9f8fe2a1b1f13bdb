"""A child of the run that goes forward: it is interrupted at its point and sends what came of that (rules: :mod:`.forward`)."""

from __future__ import annotations

import faulthandler
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from pytest_maskcheck.runs import effects
from pytest_maskcheck.system.descendants import die_with
from pytest_maskcheck.system.entered import ENTERED
from pytest_maskcheck.system.stopwatch import Page, own_time, watched_on
from pytest_maskcheck.system.unpatched import os, tempfile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_maskcheck.results import Point
    from pytest_maskcheck.runs.fork_hazards import ForkHazards
    from pytest_maskcheck.runs.requests import Last, RunResult

RETRY = -2
"""The number of the run after the interrupted one."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Message: what came of one point.

    Parameters:
        position: index of the point.
        ran: the interrupted run.
        again: the run after it, if it left modules in another state than an uninterrupted one does.
        effect: what the child did outside its process, or ``""``.
    """

    position: int
    ran: RunResult
    again: RunResult | None = None
    effect: str = ""


@dataclass(slots=True, repr=False)
class Slot:
    """Room for one child.

    Parameters:
        page: where the child records its progress.
        report: where faulthandler writes its stack.
        pid: that of the child, 0 if there is room.
        position: index of its point.
    """

    page: Page
    report: IO[bytes]
    pid: int = 0
    position: int = -1


@dataclass(slots=True, repr=False)
class Turns:
    """Sends messages of the run that goes forward and of its children through their one pipe, each message whole.

    Parameters:
        say: sends a message; no other process may send one meanwhile.
    """

    say: Callable[[object], None]
    _lock: IO[bytes] = field(default_factory=lambda: tempfile.TemporaryFile())  # noqa: PLW0108  (looked up late)

    def tell(self, message: object) -> None:
        """Send a message while no other process does."""
        # A lock taken by lockf belongs to the process; one by flock would be shared with all that inherited the descriptor.
        os.lockf(self._lock.fileno(), os.F_LOCK, 0)
        self.say(message)
        os.lockf(self._lock.fileno(), os.F_ULOCK, 0)


class ForwardChild:
    """What a process does once it is forked for a point. Made before the run begins, as the run must meet nothing new.

    Parameters:
        points: all of them, in the order the run reaches them.
        last: returns whether a run must be the last in its process.
        is_usual: returns whether modules keep what they keep after an uninterrupted run.
        again: makes the run after the interrupted one.
        turns: sends what came of the point.

    Attributes:
        slot: the child's own; ``None`` in the process that goes forward.
        ends: the pipe into which each child writes a byte as it ends, to wake up the process that goes forward.
    """

    def __init__(
        self,
        points: Sequence[Point],
        last: Last,
        is_usual: Callable[[], bool],
        again: Callable[[], RunResult],
        turns: Turns,
    ) -> None:
        self._points = points
        self._last = last
        self._again = again
        self._turns = turns
        self.is_usual = is_usual
        self.slot: Slot | None = None
        self.ends, self._writer = os.pipe()
        self._effects: list[str] = []
        self._listening = effects.watching(self._effects.append)
        self._listens = False

    def begin(self, slot: Slot, hazards: ForkHazards, parent: int) -> None:
        """Make this process a child of ``parent``: it dies with it, and shares nothing with it that the parent goes on using."""
        die_with(parent)
        self.slot = slot
        watched_on(slot.page)
        faulthandler.enable(slot.report, all_threads=True)
        hazards.own_positions()

    def listen(self) -> None:
        """Listen for effects outside this process, once the interrupt has landed: it might land in the hook, which is Python code."""
        if not self._listens:
            self._listens = True
            self._listening.__enter__()

    def strike(self) -> None:
        """Record that the interrupt is sent."""
        if self.slot is not None:
            self.slot.page.strike()

    def tell(self, ran: RunResult) -> None:
        """Make the retry if it is needed, and send what came of the point: the last thing that a child does."""
        slot = self.slot
        assert slot is not None
        again = None
        # If the process must not be used further, or nothing has changed, a retry would show nothing new.
        with own_time:
            ends = self._last(self._points[slot.position], ran) or self.is_usual()
        if not ends:
            slot.page.begin(RETRY)
            again = self._again()
        ENTERED.close()
        slot.page.finish()  # before the result is sent: from here on the time has no limit
        self._turns.tell(Snapshot(slot.position, ran, again, self._effects[0] if self._effects else ""))
        os.write(self._writer, b".")
