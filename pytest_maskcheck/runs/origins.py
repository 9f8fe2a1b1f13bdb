"""Find where leftovers came from, in a run that is watched call by call.

Theory of operation. CPython calls a profile function at every call and every return, of functions in Python and in C. There, the
kinds in question compare with their snapshot. What is seen for the first time has appeared since the previous look: in the call that
has just returned, whether it raised an audit event or not. So a pipe, an epoll object and a lock are traced like a file.

Rules:

1. Only runs that are made to explain findings are watched.
2. Watching ends before the interrupt is sent: no code of this module may run where the interrupt arrives.
3. Looks have a budget. When it is spent, only every second call is looked at, then every fourth, and so on. A second run then
   looks at each call of the one stretch where the leftover appeared. If a kind has a pulse, each change of it causes a look, too.
4. An uninterrupted run can pass points; what is there at each of them is recorded (:mod:`.passing`).
5. A leftover that counts only from its first use on has its origin where it was made. One that is new after a call that only waits
   was made by another thread, and has no origin.

What does not work: a leftover that appears only after the interrupt, on the way out, has no origin. What another thread makes while
the main thread does not wait is seen at the main thread's next call. For calls that raise no event, the line is an estimate
(:mod:`.last_calls`).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.cpython.frames import stack
from pytest_maskcheck.interrupts.cpython.lines import Lines
from pytest_maskcheck.interrupts.cpython.positions import line_of
from pytest_maskcheck.resources.heap import at_once
from pytest_maskcheck.results import Frame, Origin
from pytest_maskcheck.runs.last_calls import last_call
from pytest_maskcheck.runs.passing import Passing
from pytest_maskcheck.runs.sightings import Sighting
from pytest_maskcheck.runs.tracebacks import is_harness
from pytest_maskcheck.system.other_threads import has_other_threads
from pytest_maskcheck.system.own_code import is_our_module
from pytest_maskcheck.system.stopwatch import own_time
from pytest_maskcheck.system.unpatched import sys_functions, time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import CodeType, FrameType

    from pytest_maskcheck.interrupts import InScope
    from pytest_maskcheck.points.ids import Names
    from pytest_maskcheck.resources import Kind, Leftover
    from pytest_maskcheck.resources.kind import Identity
    from pytest_maskcheck.runs.sightings import Stretch

_WAITS = {"acquire", "join", "sleep", "select", "poll", "connect", "recv", "recv_into", "send", "sendall"}
"""Functions in C that wait, and make nothing (but acquire a lock): anything else that is new after them was made by another thread."""

BUDGET = 0.25
"""Seconds that looks take before only every second call is looked at."""


@dataclass(slots=True, repr=False)
class Watch:
    """Watches one run; a context manager around its body.

    Parameters:
        names: names of files in reports.
        in_scope: whether a file is in scope.
        kinds: names of the kinds to compare.
        ahead: the interrupt is sent before the call at whose end it arrives, so what is not seen by then is attributed to that call.
        stretch: calls to look at, if they are known.

    Attributes:
        seen: what was there at the last look, and how it came to be.
        places: name of a leftover, or its kind and key -> all places where such a leftover came to be in the run.
        passing: what was there at points that the run passed.
    """

    names: Names
    in_scope: InScope
    kinds: frozenset[str]
    ahead: bool = False
    stretch: Stretch | None = None
    seen: dict[Identity, Sighting] = field(default_factory=dict)
    places: dict[str | tuple[str, str], dict[Frame, None]] = field(default_factory=dict)
    passing: Passing = field(init=False)
    _compared: list[tuple[Kind, object]] = field(default_factory=list)
    _count: int = 0
    _looked: int = 0
    _due: int = 0
    _stride: int = 1
    _spent: float = 0.0
    _before: tuple[CodeType | None, int] = (None, 0)
    _last: Origin | None = None
    _pulses: dict[str, Callable[[], object]] = field(default_factory=dict)
    _beats: list[object] = field(default_factory=list)
    _lines: Lines = field(init=False)
    _early: frozenset[Identity] = frozenset()
    _unused: dict[Identity, Sighting] = field(default_factory=dict)
    _waited: bool = False
    _blocking: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._lines = Lines(self.in_scope)
        self.passing = Passing(self.in_scope)

    def compare_with(self, kinds: Sequence[Kind], befores: Sequence[object]) -> None:
        """Set the snapshots to compare with."""
        self._compared = [pair for pair in zip(kinds, befores, strict=True) if pair[0].name in self.kinds]
        self._blocking = {kind.name for kind, _ in self._compared if kind.blocks}
        self._pulses = {kind.name: kind.pulse for kind, _ in self._compared if kind.pulse is not None}
        self._early = frozenset(self._find_unused())
        self._beats = self._feel()
        self._due = self.stretch[0] + 1 if self.stretch else 1

    def __enter__(self) -> None:
        """Begin."""
        self._lines.start()
        sys_functions.setprofile(self._event)

    def __exit__(self, *_: object) -> None:
        """End, unless an interrupt has ended it already."""
        if sys_functions.getprofile() == self._event:
            sys_functions.setprofile(None)
        self._lines.stop()

    def interrupt(self) -> None:
        """Look for the last time: the interrupt is about to be sent."""
        if sys_functions.getprofile() == self._event:
            sys_functions.setprofile(None)
            self._count += 1
            frame = next(frame for frame in stack(sys_functions._getframe()) if not _is_ours(frame))  # noqa: SLF001
            self._look(frame)
            self._last = self._origin(frame)
        self._lines.stop()

    def go_by(self, point: str) -> None:
        """Look, and record what is there at a point that the run passes."""
        if sys_functions.getprofile() != self._event:
            return
        self._count += 1
        frame = next(frame for frame in stack(sys_functions._getframe()) if not _is_ours(frame))  # noqa: SLF001
        kinds = {kind.name: kind for kind, _ in self._compared}
        now = self._look(frame)
        self.passing.note(point, frame, now, self.seen, kinds)

    def _feel(self) -> list[object]:
        return [pulse() for pulse in self._pulses.values()]

    def sighting(self, leftover: Leftover, *, at_once: bool) -> Sighting | None:
        """Return how ``leftover``, which is there at the end of the run, came to be.

        Parameters:
            leftover: what is there.
            at_once: the interrupt ended the call where it arrived; if not, what was not seen by then may have been made later.
        """
        seen = self.seen.get(leftover.identity)
        if seen is None and self.ahead and at_once and self._last is not None:
            return self._unused.get(leftover.identity) or Sighting(
                _name(leftover.identity), (self._count, self._count), self._last
            )
        return seen

    def _event(self, frame: FrameType, event: str, called: object) -> None:
        # Not a call of the test's. A kind replaces, for example, Python's list of warning filters, whose methods are called here.
        if _is_ours(frame):
            return
        self._count += 1
        self._waited = event == "c_return" and getattr(called, "__name__", "") in _WAITS and has_other_threads()
        ends = event == "return" and id(frame) in self.passing.under_way
        due = ends or self._count >= self._due or (bool(self._pulses) and self._feel() != self._beats)
        if due:
            # What is new when a function begins was made by its caller.
            self._look(frame.f_back if event == "call" and frame.f_back is not None else frame)
        if ends:
            self.passing.end(frame, self.seen)
        after = frame.f_back if event == "return" and frame.f_back is not None else frame
        self._before = after.f_code, after.f_lasti
        self._lines.forget()  # from here on, lines between this event and the next are collected
        if event == "call":
            self._lines.enters(frame.f_code)

    def _look(self, frame: FrameType) -> list[Leftover]:
        """Compare, and record that what is new was made in this frame or by what it called; return what is there."""
        begun = time.perf_counter()
        with own_time, at_once:
            unused = self._find_unused()
            now = [leftover for kind, before in self._compared for leftover in kind.compare(before)]
        beats = self._feel()
        # What is still there keeps its sighting; what vanished and came back gets a new one.
        new = [leftover for leftover in now if leftover.identity not in self.seen]
        self.seen = {leftover.identity: self.seen[leftover.identity] for leftover in now if leftover not in new}
        here: Origin | None = None
        if new or not unused <= self._unused.keys():
            here = self._origin(frame)
            self._unused = {
                each: self._unused.get(each) or Sighting(_name(each), (self._looked, self._count), here)
                for each in unused
            }
        for leftover in new:
            assert here is not None
            # Pulses are read at each call, so a change happened in the last one; without it, the thing appeared since the last look.
            felt = leftover.kind in self._pulses and beats != self._beats
            since = self._count - 1 if felt else self._looked
            foreign = self._waited and leftover.kind not in self._blocking
            sighting = Sighting(_name(leftover.identity), (since, self._count), here, foreign)
            self.seen[leftover.identity] = sighting = self._unused.get(leftover.identity, sighting)
            for name in () if sighting.foreign else (sighting.name, (leftover.kind, leftover.key)):
                self.places.setdefault(name, {})[sighting.origin.place] = None
        self._looked, self._beats = self._count, beats
        # Looks become rarer when they have cost too much; a second run looks at each call of a stretch.
        self._spent += time.perf_counter() - begun
        if self._spent > BUDGET and not self.stretch:
            self._spent, self._stride = 0.0, self._stride * 2
        self._due = self._count + self._stride
        if self.stretch:
            # Before the stretch and after it there is nothing to look for.
            later = self._count >= self.stretch[1]
            self._due = sys.maxsize if later else max(self._due, self.stretch[0] + 1)
        return now

    def _find_unused(self) -> set[Identity]:
        return {each for kind, before in self._compared for each in kind.unused(before)} - self._early

    def _origin(self, frame: FrameType) -> Origin:
        frames = [caller for caller in stack(frame) if not is_harness(caller)]
        scoped = [at for at, caller in enumerate(frames) if self.in_scope(caller.f_code.co_filename)]
        frames = frames[: scoped[-1] + 1] if scoped else frames[:1]
        named = [self.names.frame(caller.f_code, self._line(caller, top=caller is frame)) for caller in frames]
        return Origin(tuple(reversed(named)), named[scoped[0]] if scoped else named[0])

    def _line(self, frame: FrameType, *, top: bool) -> int:
        """Return the line of a frame; for the frame that was looked at (``top``), the line of the last call without an event."""
        code, now = frame.f_code, frame.f_lasti
        # Only if there was a look at the previous event, too, is it certain that the thing appeared after that.
        if top and self._before[0] is code and self._count - self._looked == 1:
            now = last_call(code, self._before[1], now, self._lines)
        return line_of(code, now)


def _name(identity: Identity) -> str:
    """Return what identifies a leftover within the process, as text."""
    kind, token = identity
    return f"{kind} {token!r}"


def _is_ours(frame: FrameType) -> bool:
    return is_our_module(frame.f_globals.get("__name__"))
