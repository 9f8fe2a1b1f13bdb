"""What an engine is: it records where CPython can run a signal handler, and strikes at one of those places.

Words: a *place* is an instruction (code object and offset) together with a kind; a *hit* is the n-th time
that the main thread comes by in one run. ``record`` watches one uninterrupted run and lists every hit in
order; ``strike`` arms exactly one hit and delivers the signal there. When an interrupt has *landed*, that is, just before
its handler runs, something else can begin: a recording of what the run reaches from there on, or the wait for a second strike.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import dis
import functools
from bisect import bisect_right
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import wraps
from sys import _getframe
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Generic, Literal, ParamSpec, Protocol, TypeVar, cast

from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.interrupts.cpython.codes import number_of, per_code
from pytest_maskcheck.system.unpatched import signal
from pytest_maskcheck.system.untrusted import HinderedError, is_a, name_of, read

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator, Sequence
    from types import CodeType, FrameType, TracebackType

    from pytest_maskcheck.interrupts.signals.catching import Catching
    from pytest_maskcheck.interrupts.signals.delivery import Delivery

P = ParamSpec("P")
T = TypeVar("T")

Mode = Literal["checkpoint", "line", "raise"]
"""Where interrupts go: every checkpoint; pending as a line begins; raised by force as a line begins."""

PlaceKind = Literal["entry", "resume", "call", "jump", "line", "into", "back"]
"""Function entry, after a ``yield``, at a call (after it, in it, or in the ``str`` of an f-string), backward jump.

``line`` stands for itself in the two line modes. ``into`` and ``back`` are the first and the last checkpoint of a stretch of
code out of scope, and belong to the instruction in scope that called it; see ``excursions.py``.
"""

InScope = Callable[[str], bool]
"""Tells whether the file with this ``co_filename`` is in scope."""

Context = tuple[tuple["CodeType", int], ...]
"""The lines within scope that called a place, innermost first, direct repetitions folded.

Lines, not instructions: ``f_lasti`` of a calling frame depends on how the call was specialised.
"""


_USUAL = signal.default_int_handler
handler_of = _signal.getsignal  # that of ``signal`` makes members of an enum, and takes a hundred times as long
change_mask = getattr(_signal, "pthread_sigmask", None)


class EngineUnavailableError(HinderedError):
    """Something that the engine needs is taken; the message says what, and what helps."""


_LEAVING = {"PY_RETURN", "PY_YIELD", "PY_UNWIND", "leave"}


@dataclass(frozen=True, slots=True)
class Detour:
    """Where to strike instead of at a trigger: next, in the same frame.

    Parameters:
        offset: the instruction.
        raises: it begins a line, and the handler is called there, within the ``try`` of that instruction. Otherwise the signal is
            left pending there, and arrives at the next checkpoint.
    """

    offset: int
    raises: bool


@dataclass(slots=True, eq=False, repr=False)
class Trigger:
    """The event at which an engine acts, and the how-manieth such event of the run it is.

    Parameters:
        event: the engine's word for the event.
        code: the code object whose event is awaited.
        offset: the instruction, in bytes.
        count: 1 for the first such event on the main thread.
        callee: the code object that ``code`` calls, or that returns into it, at ``offset``, for events of that sort.
        since: the event from which on ``count`` is counted; ``None``: the beginning of the run.
        detour: where to strike instead; see ``known.py``.
    """

    event: str
    code: CodeType
    offset: int
    count: int
    callee: CodeType | None = None
    since: Trigger | None = None
    detour: Detour | None = None

    def codes(self) -> tuple[CodeType, ...]:
        """Return the code that has to run for the trigger to come."""
        since = self.since.codes() if self.since is not None else ()
        return (self.code, *((self.callee,) if self.callee is not None else ()), *since)

    def with_code(self, absent: CodeType, code: CodeType) -> Trigger:
        """Return the trigger with ``code`` in place of what stands in for it."""
        return replace(
            self,
            code=code if self.code is absent else self.code,
            callee=code if self.callee is absent else self.callee,
            since=self.since and self.since.with_code(absent, code),
        )

    @property
    def leaves(self) -> bool:
        """Whether the event is that a frame in scope ends or is suspended; what is sent there arrives at the next checkpoint."""
        return self.callee is None and self.event in _LEAVING


@dataclass(slots=True, eq=False, repr=False)
class Hit:
    """One time that the main thread came by a place where a signal handler can run."""

    code: CodeType
    offset: int
    kind: PlaceKind
    number: int
    context: Context
    trigger: Trigger
    state: tuple[object, ...] = ()
    """What becomes of the signals there: the handlers in force, and the signals that are masked. Nothing: all as usual."""
    aside: bool = False
    """The test asked not to be interrupted there."""
    stands_for: int = 1
    """How many hits it is: itself, and those before it that were not kept; see :attr:`Recording.own`."""
    after: tuple[int, ...] = ()
    """Of a stretch of code out of scope: what begins it. Stretches that differ in it are told apart as calling contexts are."""

    @property
    def line(self) -> int:
        """The line of the instruction."""
        return line_of(self.code, self.offset)

    @property
    def is_suspended(self) -> bool:
        """Whether the code is a coroutine that is suspended there: it is on nobody's stack, and the stack is no context of it."""
        since = self.trigger.since or self.trigger
        return since.leaves and facts.suspends(self.code, self.offset)


INNERMOST = 4
"""So many callers, innermost first, make up the calling context of a hit as far as ``hits`` is concerned.

What code does about an interrupt is decided near the place: by the ``with`` and ``try`` blocks around it and around the calls that
led there. A caller further out is interrupted at its own places, and in the functions it calls, which have it among their innermost
callers. Of whole contexts there can be as many as there are hits: in a recursion each level is another one.
"""


@dataclass(frozen=True, slots=True)
class Site:
    """An instruction in scope that called code out of scope, in its calling context."""

    code: CodeType
    offset: int
    context: Context

    @property
    def near(self) -> tuple[tuple[int, int], ...]:
        """What is equal for calling contexts that are taken for the same."""
        return near(self.context)


def near(context: Context) -> tuple[tuple[int, int], ...]:
    """Return what is equal for calling contexts that are taken for the same."""
    return tuple((number_of(code), line) for code, line in context[:INNERMOST])


_KEPT = 2
"""So many hits are kept, besides the last one."""

_NO_HIT = cast("Hit", None)
"""In place of one that is not kept."""


_LONG = 100
"""Characters of a text that is no name."""


@dataclass(slots=True, repr=False)
class Recording:
    """All hits of one run in order, and the lines that only other threads reached."""

    hits: list[Hit] = field(default_factory=list)
    other_threads: set[tuple[str, int]] = field(default_factory=set)
    numbers: dict[tuple[int, int, PlaceKind], int] = field(default_factory=dict)
    paused: bool = False
    """The test asks not to be interrupted at present."""
    own: frozenset[str] | None = None
    """Files of the test's own code, if few hits are wanted: the first two and the last of each place near which all is the same.

    Those of code that the test did not call are kept apart from those after the next hit of code that it called.
    """
    signums: tuple[int, ...] = ()
    """The signals of which it is noted at each hit what would become of them."""
    outside: bool = False
    """Stretches of code out of scope are wanted, too."""
    masking: bool = False
    """Code that can change the signal mask has run: the mask is read at each hit from then on. A reading takes 0.2 to 1.7 us."""
    waking: bool = False
    """There may be a wakeup descriptor: one was set at the beginning, or code that can set one has run. Only then is it read
    before CPython is asked: reading takes it away for an instant."""
    files: set[str] = field(default_factory=set)
    """Files whose code has run, in scope or not."""

    running: int = 0
    """The frame of the last hit, by ``id``; 0 if a function began or went on since, so that another may have its ``id`` now."""
    _context: Context = ()
    _near: tuple[tuple[int, int], ...] = ()
    _called: bool = False
    _latest: dict[object, list[int]] = field(default_factory=dict)
    _others: dict[object, list[int]] = field(default_factory=dict)

    def words(self) -> set[str]:
        """Return the names and short texts in the code that has hits."""
        codes = {id(hit.code): hit.code for hit in self.hits}.values()
        constants = (each for code in codes for each in code.co_consts if type(each) is str and len(each) < _LONG)
        return {*constants, *(name for code in codes for name in code.co_names)}

    def begins(self, code: CodeType) -> None:
        """Learn that a function begins, in scope or not."""
        self.running = 0
        self.files.add(code.co_filename)
        if not self.masking and "pthread_sigmask" in code.co_names:
            self.masking = True
        if not self.waking and names_wakeup(code):
            self.waking = True

    def add(self, kind: PlaceKind, offset: int, frame: FrameType, in_scope: InScope, trigger: Trigger) -> None:
        """Note that the main thread came by ``offset`` of ``frame``."""
        code = frame.f_code
        if self.running != id(frame):
            self.running, self._context = id(frame), context_of(frame, in_scope)
            if self.own is not None:
                self._near, self._called = near(self._context), is_own(code, self._context, self.own)
        hit = self._append(kind, code, offset, self._context, trigger)
        if self.own is not None:
            self._thin(hit, self._near, called=self._called)

    def add_from(self, site: Site, kind: PlaceKind, trigger: Trigger, after: tuple[int, ...]) -> None:
        """Note that the main thread came by a checkpoint out of scope, in code that ``site`` called."""
        hit = self._append(kind, site.code, site.offset, site.context, trigger, after=after)
        if self.own is not None:
            self._thin(hit, site.near, called=is_own(site.code, site.context, self.own))

    def _append(
        self,
        kind: PlaceKind,
        code: CodeType,
        offset: int,
        context: Context,
        trigger: Trigger,
        *,
        after: tuple[int, ...] = (),
    ) -> Hit:
        place = (number_of(code), offset, kind)
        number = self.numbers[place] = self.numbers.get(place, 0) + 1
        hit = Hit(code, offset, kind, number, context, trigger, self._state(), self.paused, after=after)
        self.hits.append(hit)
        return hit

    def _thin(self, hit: Hit, around: tuple[tuple[int, int], ...], *, called: bool) -> None:
        """Forget the hit before this one, if it is one of many: neither the first nor the second."""
        key = (number_of(hit.code), hit.offset, hit.kind, around, hit.state, hit.aside, hit.after)
        groups = self._latest if called else self._others
        if called:
            self._others.clear()
        group = groups.get(key)
        if group is None:
            group = groups[key] = [0, 0]
        count, position = group
        if count > _KEPT:
            hit.stands_for += self.hits[position].stands_for
            self.hits[position] = _NO_HIT
        group[:] = count + 1, len(self.hits) - 1

    def settle(self) -> None:
        """Close the gaps that forgotten hits left; nothing is recorded any more."""
        self.hits = [hit for hit in self.hits if hit is not _NO_HIT]

    def _state(self) -> tuple[object, ...]:
        state: tuple[object, ...] = ()
        for signum in self.signums:
            handler = handler_of(signum)
            if handler is not _USUAL:
                state += ((signum, _sort(handler)),)
        if self.masking and change_mask is not None:
            state += tuple(sorted(change_mask(signal.SIG_BLOCK, ()).intersection(self.signums)))
        return state


@per_code
def wakeup_lines(code: CodeType) -> frozenset[int]:
    """Return the lines of code that name what sets the wakeup descriptor."""
    if not names_wakeup(code):
        return frozenset()
    named = (each for each in dis.get_instructions(code) if each.argval == "set_wakeup_fd")
    return frozenset(line_of(code, each.offset) for each in named)


def names_wakeup(code: CodeType) -> bool:
    """Tell whether code may set the wakeup descriptor."""
    return "set_wakeup_fd" in code.co_names


def is_own(code: CodeType, context: Context, files: Collection[str]) -> bool:
    """Tell whether code is in files of a test's own, or was called from there."""
    return code.co_filename in files or any(caller.co_filename in files for caller, _ in context)


def called_by(handler: object) -> object:
    """Return what a handler calls in the end: the function in partials and methods."""
    while (partly := is_a(handler, functools.partial)) or type(handler) is MethodType:
        handler = read(handler, "func" if partly else "__func__")
    return handler


def _sort(handler: object) -> object:
    """Return what handlers have in common that treat a signal alike: their code. The handler itself may live no longer for it."""
    handler = called_by(handler)
    if type(handler) is FunctionType:
        return handler.__code__
    if handler is None or is_a(handler, int):
        return handler
    return handler.__qualname__ if type(handler) is BuiltinFunctionType else name_of(type(handler))


@dataclass(slots=True, repr=False)
class Strike:
    """What became of one interrupt.

    Attributes:
        signum: the signal.
        fired: the place was reached and the signal sent there.
        landed: its handler was seen to begin.
        raised: the handler in force raised; ``None`` if that cannot be known (the kernel delivers it).
        error: what the handler raised, where that is known and is not what Python's own raises.
        sent: it was sent by way of the kernel.
        held: why the signal did not arrive at once (``"signal mask"``), or ``""``.
        withdrawn: it was held back to the end of the run, and taken back.
        handler: how the handler in force is called in reports; ``""`` for Python's own.
        handler_code: the code of that handler, if it is written in Python.
        code, offset, context: where it fired.
        strayed: it fired in another calling context than the hit that was meant.
        earlier: the first of two interrupts, if this is the second.
    """

    signum: int = int(signal.SIGINT)
    fired: bool = False
    landed: bool = False
    raised: bool | None = None
    error: type[BaseException] | None = None
    sent: bool = False
    held: str = ""
    withdrawn: bool = False
    handler: str = ""
    handler_code: CodeType | None = None
    code: CodeType | None = None
    offset: int = -1
    context: Context = ()
    strayed: bool = False
    earlier: Strike | None = None

    @property
    def waits(self) -> bool:
        """Whether the interrupt did not come where the signal did: the handler raised nothing, or a mask held the signal back."""
        return self.raised is False or bool(self.held)

    def in_turn(self) -> tuple[Strike, ...]:
        """Return the interrupts of the run in the order of their points."""
        return (*(self.earlier.in_turn() if self.earlier else ()), self)

    def fires(self, frame: FrameType, in_scope: InScope) -> None:
        """Note that the place was reached: that of ``frame`` or, of a stretch of code out of scope, of the frame that called it."""
        self.fired = True
        self.code, self.offset = frame.f_code, frame.f_lasti
        self.context = context_of(frame, in_scope)


def nothing() -> None:
    """Do nothing."""


class Engine(Protocol):
    """A way to find and to hit places; chosen by :func:`pytest_maskcheck.interrupts.choose`."""

    name: str
    ahead: bool
    """Whether an interrupt is sent before the call at whose end it is to arrive."""

    def record(
        self, in_scope: InScope, mode: Mode, avoid: Collection[int] = (), *, outside: bool = False
    ) -> AbstractContextManager[Recording]:
        """Watch the run in the body of the ``with`` statement.

        Parameters:
            in_scope: tells which code is watched.
            mode: where interrupts go.
            avoid: signals that the run uses itself.
            outside: stretches of code out of scope, called from code in scope, are places too.
        """
        ...

    def strike(
        self,
        trigger: Trigger,
        in_scope: InScope,
        mode: Mode,
        signum: int,
        struck: Callable[[], None],
        *,
        then: Trigger | Recording | None = None,
        begins: Callable[[], None] = nothing,
        catching: Catching | None = None,
    ) -> AbstractContextManager[Strike]:
        """Send ``signum`` when ``trigger`` comes in the body of the ``with`` statement.

        Parameters:
            trigger: counted from the beginning of the run.
            in_scope: tells which calling frames make up a context.
            mode: where interrupts go.
            signum: the signal.
            struck: called just before the (last) signal is sent.
            then: what begins when the signal has landed: the wait for a second trigger, counted from there, at which the
                signal is sent again; or a recording, to be filled in.
            begins: called just before the first of two signals is sent.
            catching: takes which handlers the interrupt (the last one) enters and leaves.

        Returns:
            What became of the signal; of the second one, which knows the ``earlier`` one, if there are to be two.
        """
        ...

    def forward(
        self,
        triggers: Sequence[Trigger],
        in_scope: InScope,
        mode: Mode,
        strike: Strike,
        reached: Callable[[int], Delivery | None],
    ) -> AbstractContextManager[Strike]:
        """Go by all triggers in the body of the ``with`` statement, which runs to its end.

        Parameters:
            triggers: each counted from the beginning of the run.
            in_scope: tells which calling frames make up a context.
            mode: where interrupts go.
            strike: what is returned: in a process that is interrupted it tells what became of the interrupt.
            reached: called with the position of each trigger that comes. It may fork, and returns what to deliver there in the
                process that is to be interrupted, ``None`` in the one that goes on.
        """
        ...

    def disarm(self) -> None:
        """Watch nothing any more, whatever was interrupted before it could end: the user's own Ctrl-C comes anywhere."""
        ...

    def reason_against_second(self, mode: Mode, /) -> str:
        """Return why nothing can begin when an interrupt has landed, or ``""``."""
        ...


Awaited = tuple[str, int, int, int]
"""Event, code, offset and callee; code objects by ``id``."""


class Wait:
    """The times at which one event is awaited.

    Attributes:
        due: how-manieth event -> positions of the triggers that await it.
    """

    __slots__ = ("_count", "due")

    def __init__(self) -> None:
        self._count = 0
        self.due: dict[int, list[int]] = {}

    def come(self) -> Sequence[int]:
        """Count an event; return the positions of the triggers that awaited it."""
        self._count += 1
        return self.due.pop(self._count, ())


class Waits:
    """What is to be counted to come by all of several triggers.

    Parameters:
        triggers: each counted from the beginning of the run, or from another event on.

    Attributes:
        following: triggers that are counted from the last of those events on.
        changed: they are others than before.
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
        """Tell whether such an event may be awaited at present."""
        key = (event, id(code), offset, _NOBODY)
        return key in self._from_start or key in self._since or key in self._begins

    def come(self, event: str, code: CodeType, offset: int, callee: CodeType | None = None) -> Sequence[int]:
        """Count an event; return the positions of the triggers that awaited it.

        Parameters:
            event: what has come.
            code: where.
            offset: at which instruction.
            callee: what ``code`` has called there, for events of that sort.
        """
        key = (event, id(code), offset if callee is None else facts.calling(code, offset), id(callee))
        due = [position for waits in (self._from_start, self._since) if key in waits for position in waits[key].come()]
        begin = self._begins[key].come() if key in self._begins else ()
        if begin or (self.following and key in self._begins):  # a stretch of the same sort is another one
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


class Phase(Protocol):
    """What an engine does from one moment of a run on: wait for a trigger, or record."""

    def start(self, frame: FrameType | None) -> None:
        """Begin; ``frame`` and those that called it are running already."""
        ...

    def stop(self) -> None:
        """End, whether it began or not."""
        ...


class _Armed(Generic[T]):
    """What :func:`arming` returns."""

    def __init__(self, generator: Generator[T, None, None]) -> None:
        self._generator = generator

    def __enter__(self) -> T:
        return next(self._generator)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if error is None:
            next(self._generator, None)
            return
        try:
            self._generator.throw(error)
        except BaseException as raised:
            if raised is not error:
                raise


def arming(function: Callable[P, Iterator[T]]) -> Callable[P, AbstractContextManager[T]]:
    """Make a context manager of a generator function, as ``contextlib.contextmanager`` does, but of code of this package.

    Between the moment of arming and the code under test no code may run that can be in scope itself, as ``contextlib`` can.
    The generator does not swallow exceptions.
    """

    @wraps(function)
    def make(*args: P.args, **kwargs: P.kwargs) -> AbstractContextManager[T]:
        return _Armed(cast("Generator[T, None, None]", function(*args, **kwargs)))

    return make


def line_of(code: CodeType, offset: int) -> int:
    """Return the line of an instruction; of the loop, for a jump back to its head for which the compiler noted none."""
    starts, lines, unnoted = _lines(code)
    at = bisect_right(starts, offset) - 1
    if at in unnoted and facts.is_backward_jump(code, offset):
        return line_of(code, facts.target(code, offset))
    return lines[at]


@per_code
def _lines(code: CodeType) -> tuple[list[int], list[int], set[int]]:
    """Return where stretches of one line begin, the line of each or else that before it, and which have none noted."""
    starts, lines, unnoted = [-1], [code.co_firstlineno], set()
    for start, _, line in code.co_lines():
        if line is None:
            unnoted.add(len(starts))
        starts.append(start)
        lines.append(lines[-1] if line is None else line)
    return starts, lines, unnoted


OUTERMOST: set[int] = set()
"""Code of the harness that calls the test, by ``id``: who calls it is no context."""


def context_of(frame: FrameType, in_scope: InScope) -> Context:
    """Return the call sites within scope that led to ``frame``."""
    sites: list[tuple[CodeType, int]] = []
    caller = frame.f_back
    while caller is not None:
        code = caller.f_code
        if id(code) in OUTERMOST:
            break
        if in_scope(code.co_filename):
            site = (code, line_of(code, caller.f_lasti))
            if not sites or sites[-1] != site:
                sites.append(site)
        caller = caller.f_back
    return tuple(sites)


def site_of(frame: FrameType | None, in_scope: InScope) -> FrameType | None:
    """Return the innermost frame within scope among ``frame`` and those that called it; ``None`` if the harness comes first."""
    for running in stack(frame):
        code = running.f_code
        if in_scope(code.co_filename):
            return running
        if id(code) in OUTERMOST:
            return None
    return None


def stack(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield ``frame`` and those that called it, innermost first."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def caller_frame(depth: int = 1) -> FrameType:
    """Return the frame ``depth`` levels above the caller of this function."""
    return _getframe(depth + 1)
