"""Records stretches of code out of scope that code in scope has called: there a program spends its time, and most signals land.

What an interrupt in a stretch means for the code in scope depends on how much of its work the stretch has done by then: none, all, or
some. The code in scope can only handle the first two cases; partly done work is the responsibility of the code out of scope. So each
stretch has two places, both belonging to the instruction in scope that called it: ``into``, its first checkpoint, and ``back``, its last
one, where the effect has happened but the result has not been returned. (``tests/soundness`` measures that these two are enough.)

Rules:

1. A stretch begins when code in scope calls or resumes a function out of scope, and again whenever code in scope that was called from
   out of scope (a callback, a generator, a coroutine) returns, yields or raises. It ends when code in scope begins, resumes, or gets
   control back.
2. It belongs to the innermost instruction in scope on the stack; if a coroutine has just been suspended, it belongs to its ``await``.
3. Stretches are followed checkpoint by checkpoint. If there are many of them, only the first two of each sort (instruction, calling
   context, what was called or left) are. The last checkpoint of a later one is assumed to be where that of the one before was; a run
   where it is elsewhere is not proven.
4. Checkpoints within a stretch are counted from its beginning, because code out of scope may have run any number of times before.
5. Frames are identified by ``id``, and only while they are on the stack.

What does not work: after 20,000 checkpoints of one stretch, only function entries are followed, so that ``back`` may be a little early.
A loop out of scope that iterates a different number of times in each run has no stable last checkpoint if that lies in the loop; its
point then counts as not audited, with the reason. F-strings and ``%`` out of scope are not probed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.interrupts.cpython.codes import number_of
from pytest_maskcheck.interrupts.places import Site, Trigger, context_of

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from pytest_maskcheck.interrupts.places import InScope
    from pytest_maskcheck.interrupts.recording import Recording

_FOLLOWED = 2
"""Number of stretches of one sort that are always followed checkpoint by checkpoint."""

_ALL = 20_000
"""Number of checkpoints of the whole run up to which all stretches are followed."""

_MOST = 20_000
"""Number of checkpoints of one stretch after which only function entries are followed."""

_ENTRIES = {"PY_START", "PY_RESUME", "call"}
"""Events of functions that begin or resume, by the engines' names for them."""


_Checkpoint = tuple[str, "CodeType", int, int]
"""Event, code, offset, and its count among the equal events of the stretch."""


@dataclass(slots=True, repr=False)
class _Stretch:
    """One stretch, while it lasts.

    Attributes:
        site: the instruction in scope that called it.
        since: the trigger of its beginning.
        after: what began it; together with the site, this is its sort.
        followed: each of its checkpoints is recorded.
        begun: its first checkpoint has been recorded.
        last: the last checkpoint so far, other than the first.
        ahead: a call or jump that has begun; it is a checkpoint unless it runs Python code, whose checkpoint comes first.
        size: the number of checkpoints so far.
    """

    site: Site
    since: Trigger
    after: tuple[int, ...]
    followed: bool
    begun: bool = False
    last: _Checkpoint | None = None
    ahead: _Checkpoint | None = None
    size: int = 0
    counts: dict[tuple[str, int, int], int] = field(default_factory=dict)


@dataclass(slots=True, repr=False)
class _Shape:
    """The stretches of one sort so far: their number, and their first and last checkpoints."""

    number: int = 0
    first: _Checkpoint | None = None
    last: _Checkpoint | None = None


class Excursions:
    """Records the first and the last checkpoint of each stretch. An engine calls its methods as events happen on the main thread.

    Parameters:
        recording: receives the hits.
        in_scope: which code is in scope.
    """

    def __init__(self, recording: Recording, in_scope: InScope) -> None:
        self._recording = recording
        self._in_scope = in_scope
        self._open: list[tuple[int, Site]] = []  # frames out of scope that code in scope has called, by ``id``
        self._now: _Stretch | None = None
        self._shapes: dict[object, _Shape] = {}
        self._total = 0

    @property
    def follows(self) -> bool:
        """Whether function entries are to be reported at present."""
        return self._now is not None and self._now.followed

    @property
    def finely(self) -> bool:
        """Whether all checkpoints are to be reported at present."""
        return self._now is not None and self._now.followed and self._now.size < _MOST

    def calls(self, caller: FrameType, frame: FrameType, since: Trigger, *, checks: bool) -> None:
        """Record that ``caller``, in scope, has called or resumed ``frame``, out of scope; ``checks``: this is a checkpoint."""
        site = Site(caller.f_code, facts.calling(caller.f_code, caller.f_lasti), context_of(caller, self._in_scope))
        self._open.append((id(frame), site))
        self._begin(site, since, (number_of(frame.f_code),))
        if checks:
            assert self._now is not None
            self._now.begun = True
            self._recording.add_from(site, "into", since, self._now.after)

    def leaves(self, frame: FrameType, offset: int, since: Trigger) -> bool:
        """Record that ``frame``, in scope, gives control back to code out of scope; return whether that code is to be followed."""
        code = frame.f_code
        if facts.suspends(code, offset):
            site = Site(code, offset, context_of(frame, self._in_scope))
        elif self._open:
            site = self._open[-1][1]
        else:
            self._now = None  # to the harness
            return False
        self._begin(site, since, (number_of(code), offset))
        return self.finely

    def _begin(self, site: Site, since: Trigger, after: tuple[int, ...]) -> None:
        self.ends()  # ends the stretch under way, if there is one
        shape = self._shapes.setdefault(_sort(site, after), _Shape())
        shape.number += 1
        self._now = _Stretch(site, since, after, shape.number <= _FOLLOWED or self._total < _ALL)

    def passes(self, event: str, code: CodeType, offset: int) -> None:
        """Record a checkpoint out of scope."""
        now, checkpoint = self._now, self._count(event, code, offset)
        if now is not None and checkpoint is not None:
            now.ahead = None  # the call that had begun ran Python code, where this checkpoint is
            self._pass(now, checkpoint)

    def begins_call(self, event: str, code: CodeType, offset: int) -> None:
        """Record that a call or jump out of scope begins, for engines that do not see its end."""
        now, checkpoint = self._now, self._count(event, code, offset)
        if now is not None and checkpoint is not None:
            self._end_call(now)
            now.ahead = checkpoint

    def _count(self, event: str, code: CodeType, offset: int) -> _Checkpoint | None:
        now = self._now
        if now is None or not now.followed or (now.size >= _MOST and event not in _ENTRIES):
            return None
        key = (event, id(code), offset)
        count = now.counts[key] = now.counts.get(key, 0) + 1
        now.size += 1
        self._total += 1  # counted over all stretches: a run with few checkpoints is followed in full
        return (event, code, offset, count)

    def _end_call(self, now: _Stretch) -> None:
        """Record the end of the call that has begun, if there is one."""
        if now.ahead is not None:
            self._pass(now, now.ahead)
            now.ahead = None

    def _pass(self, now: _Stretch, checkpoint: _Checkpoint) -> None:
        if now.begun:
            now.last = checkpoint
            return
        now.begun = True
        self._shapes[_sort(now.site, now.after)].first = checkpoint
        self._enter(now, checkpoint)

    def ends(self) -> None:
        """Record that code in scope or the harness begins or resumes."""
        now = self._now
        if now is None:
            return
        shape = self._shapes[_sort(now.site, now.after)]
        if now.followed:
            shape.last = now.last
        elif not now.begun and shape.first is not None:
            self._enter(now, shape.first)  # assumed to be where that of earlier stretches was
        if shape.last is not None:
            self._recording.add_from(now.site, "back", _trigger(shape.last, now.since), now.after)
        self._now = None

    def left(self, frame: FrameType) -> bool:
        """Record that a frame ends or is suspended; return whether it was the frame that code in scope had called."""
        if self._now is not None:
            self._end_call(self._now)
        if not self._open or self._open[-1][0] != id(frame):
            return False
        self.ends()
        self._open.pop()
        return True

    def _enter(self, now: _Stretch, first: _Checkpoint) -> None:
        """Record the first checkpoint. If the stretch began as code in scope was left, a signal sent at that moment arrives there."""
        trigger = now.since if now.since.leaves else _trigger(first, now.since)
        self._recording.add_from(now.site, "into", trigger, now.after)


def _trigger(checkpoint: _Checkpoint, since: Trigger) -> Trigger:
    event, code, offset, count = checkpoint
    return Trigger(event, code, offset, count, since=since)


def _sort(site: Site, after: tuple[int, ...]) -> object:
    """Return the key that stretches of one sort share."""
    return (number_of(site.code), site.offset, site.near, after)
