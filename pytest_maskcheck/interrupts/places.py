"""Places, where an interrupt can arrive, and hits, the times that a run reaches a place.

A *place* is an instruction (code object and offset) together with a kind. A *hit* is the n-th time in one run that the victim reaches a
place, in a calling context. A *trigger* is the event where an engine acts in order to strike there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.interrupts.cpython.codes import number_of
from pytest_maskcheck.interrupts.cpython.frames import stack
from pytest_maskcheck.interrupts.cpython.positions import line_of

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import CodeType, FrameType

Mode = Literal["checkpoint", "line", "raise"]
"""Where interrupts go: to every checkpoint; left pending when a line begins; raised by force when a line begins."""

PlaceKind = Literal["entry", "resume", "call", "jump", "line", "into", "back"]
"""In order: function entry; after a ``yield``; at a call (after it, in it, or in the ``str`` of an f-string); backward jump.

``line`` is the kind of all places in the two line modes. ``into`` and ``back`` are the first and the last checkpoint of a stretch of
code out of scope, and belong to the instruction in scope that called it; see ``signals/excursions.py``.
"""

BEYOND = frozenset[str]({"into", "back"})
"""The kinds of places that stand for a stretch of code out of scope."""

InScope = Callable[[str], bool]
"""Whether the file with this ``co_filename`` is in scope."""

Context = tuple[tuple["CodeType", int], ...]
"""The lines in scope that led to a place, innermost first, with direct repetitions folded.

These are lines and not instructions because ``f_lasti`` of a calling frame depends on how the call was specialised.
"""

_LEAVING = {"PY_RETURN", "PY_YIELD", "PY_UNWIND", "leave"}
"""Events, by the engines' names for them, that fire when a frame ends or is suspended."""


@dataclass(frozen=True, slots=True)
class Detour:
    """Where to strike instead of at the trigger: the next time that the same frame reaches an instruction.

    Parameters:
        offset: the instruction.
        raises: the instruction begins a line, and the handler is called there, within the ``try`` of that instruction. If false,
            the signal is left pending there and arrives at the next checkpoint.
    """

    offset: int
    raises: bool


@dataclass(slots=True, eq=False, repr=False)
class Trigger:
    """The event where an engine acts: the n-th of its sort in a run.

    Parameters:
        event: the engine's name for the event.
        code: the code object whose event is awaited.
        offset: the instruction, in bytes.
        count: 1 for the first such event on the main thread.
        callee: for events of a callee, the code object that ``code`` calls, or that returns to ``code``, at ``offset``.
        since: the event that ``count`` is counted from; ``None``: the beginning of the run.
        detour: where to strike instead; see ``known_defects.py``.
    """

    event: str
    code: CodeType
    offset: int
    count: int
    callee: CodeType | None = None
    since: Trigger | None = None
    detour: Detour | None = None

    def codes(self) -> tuple[CodeType, ...]:
        """Return the code objects that have to run before the trigger can come."""
        since = self.since.codes() if self.since is not None else ()
        return (self.code, *((self.callee,) if self.callee is not None else ()), *since)

    def with_code(self, absent: CodeType, code: CodeType) -> Trigger:
        """Return the trigger with ``code`` in place of its stand-in, ``absent``."""
        return replace(
            self,
            code=code if self.code is absent else self.code,
            callee=code if self.callee is absent else self.callee,
            since=self.since and self.since.with_code(absent, code),
        )

    @property
    def leaves(self) -> bool:
        """Whether the event is the end or suspension of a frame in scope; an interrupt sent there arrives at the next checkpoint."""
        return self.callee is None and self.event in _LEAVING


@dataclass(slots=True, eq=False, repr=False)
class Hit:
    """One time that the victim reached a place."""

    code: CodeType
    offset: int
    kind: PlaceKind
    number: int
    context: Context
    trigger: Trigger
    state: tuple[object, ...] = ()
    """What decides the fate of interrupts there, such as handlers in force and masked signals. Empty if nothing is unusual."""
    aside: bool = False
    """The test had paused interrupts there."""
    stands_for: int = 1
    """How many hits it represents: itself, and those before it that were not kept; see :attr:`.recording.Recording.own`."""
    after: tuple[int, ...] = ()
    """For a stretch of code out of scope: what begins it. Stretches that differ in this are as distinct as calling contexts are."""
    before: Trigger | None = None
    """The trigger of the hit that the run reached just before this one; ``None``: there was none."""

    @property
    def line(self) -> int:
        """The line of the instruction."""
        return line_of(self.code, self.offset)

    @property
    def is_suspended(self) -> bool:
        """Whether the code is a coroutine that is suspended there; it is then on no stack, so the stack is not its context."""
        since = self.trigger.since or self.trigger
        return since.leaves and facts.suspends(self.code, self.offset)


INNERMOST = 4
"""Number of callers, innermost first, that distinguish the calling contexts of hits for the setting ``hits``.

How code reacts to an interrupt is decided near the place: by the ``with`` and ``try`` blocks around it and around the calls that
led there. A caller further out is interrupted at its own places, and in the functions it calls, which have it among their innermost
callers. There can be as many whole contexts as there are hits: in a recursion, each level is a new one.
"""


@dataclass(frozen=True, slots=True)
class Site:
    """An instruction in scope, in its calling context; for a stretch of code out of scope, the one that called it."""

    code: CodeType
    offset: int
    context: Context

    @property
    def line(self) -> int:
        """The line of the instruction."""
        return line_of(self.code, self.offset)

    @property
    def near(self) -> tuple[tuple[int, int], ...]:
        """The key of its calling context; see :func:`near`."""
        return near(self.context)


def near(context: Context) -> tuple[tuple[int, int], ...]:
    """Return the key of a calling context; contexts that count as the same have equal keys."""
    return tuple((number_of(code), line) for code, line in context[:INNERMOST])


def is_own(code: CodeType, context: Context, files: Collection[str]) -> bool:
    """Return whether ``code`` is in one of these files, or was called from one of them."""
    return code.co_filename in files or any(caller.co_filename in files for caller, _ in context)


OUTERMOST: set[int] = set()
"""Code of the harness that calls the test, by ``id``. Its callers are not part of a context."""


def context_of(frame: FrameType, in_scope: InScope) -> Context:
    """Return the call sites in scope that led to ``frame``."""
    sites: list[tuple[CodeType, int]] = []
    caller = frame.f_back
    while caller is not None:
        code = caller.f_code
        if id(code) in OUTERMOST:
            break
        if in_scope(code.co_filename):
            site = (code, line_of(code, caller.f_lasti))
            # Repetitions are folded; otherwise each level of a recursion would be a context of its own.
            if not sites or sites[-1] != site:
                sites.append(site)
        caller = caller.f_back
    return tuple(sites)


def site_of(frame: FrameType | None, in_scope: InScope) -> FrameType | None:
    """Return the innermost frame in scope among ``frame`` and its callers; ``None`` if the harness comes first."""
    for running in stack(frame):
        code = running.f_code
        if in_scope(code.co_filename):
            return running
        if id(code) in OUTERMOST:
            return None
    return None
