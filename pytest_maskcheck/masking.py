"""Masks: regions in which signals wait.

Standard library only, one file: copy it into a project that wants no dependency.

Can an asynchronous exception be masked in Python? CPython runs signal handlers, and so raises ``KeyboardInterrupt``, at
*checkpoints* only: as a function is entered, after a call that is not inlined, at a backward jump, and in C functions that
ask (``signal.signal`` does, before it swaps). Between two checkpoints nothing comes in. That is all there is to build on.

The invariant: **a signal that is masked waits in the queue, from the last checkpoint before the body to the first one after
it; and what a guard undoes is undone, whatever arrives meanwhile.** The rules that make it hold:

1. A masked signal runs no Python code. Its handler, a gate, is a C callable: ``dict.setdefault`` of the queue notes the first
   arrival of each signal, in order. A handler in Python could be interrupted itself, before its first line.
2. Nothing is undone by a Python ``__exit__``: CPython checks for signals as it is entered, before its first line. Ours is C,
   that of ``io.IOBase``, which calls ``close()``; and ``close`` is C that resumes a generator suspended in ``yield from``, where there is
   no check either. Masking again comes first and unmasking last, each one loop in C: all between runs masked.
3. What can be broken off, by a handler that raises of a signal that is not masked just then, can be repeated, and is: by a ladder of
   ``try`` statements, not by a loop, as a backward jump is a checkpoint.
4. ``__enter__`` is Python: it returns without a check, on 3.14 too, where a C one is checked (gh-148874). What it hands on it
   marks as arrived, as its last act; CPython delivers that at the first checkpoint of the body, where ``__exit__`` is due.
5. Several signals are masked, and unmasked, at one instant. While handlers are swapped one by one, all gates pass
   signals on; one loop in C, in which no handler can run, turns them all. If a handler breaks that off, all gates in force defer
   until it is done: then calm comes first.
6. Nothing is lost and nothing comes twice. A signal leaves the queue in the step in which its handler is called or CPython is told
   of it, after all handlers are back. One that raises does not keep the others from being called.
7. Only what is still ours is restored: a handler that the body installed stays.

What does not work, and why:

* Nine handlers of signals that are not masked just then, each raising within the few microseconds of one exit, defeat the ladder.
* ``restore``, ``shield`` and ``bracket`` with handlers on *several* signals: these are put back one by one. A signal that arrives within
  that microsecond, and whose handler is back, is raised from ``__enter__`` instead of in the body, once what had been acquired is
  released again. With a handler on SIGINT alone there is no such instant.
* ``async with shield(…)``: between the end of the body and the first step of ``__aexit__`` CPython checks for signals, and no
  Python code can be there. Handlers that cancel a task, as that of ``asyncio.run`` does at the first Ctrl-C, do no harm there; one
  that raises, as at the second Ctrl-C, does. ``asyncio.run`` is what it takes: raised from within a bare ``loop.run_forever()``,
  ``KeyboardInterrupt`` leaves the loop, and no task goes on, shielded or not.
* Callbacks of ``loop.add_signal_handler`` come through a descriptor. They run between the steps of tasks and cannot be masked.
* A guard entered through Python code that has checkpoints of its own, such as ``contextlib.ExitStack`` or a
  ``@contextmanager`` around ours: that code is what an interrupt skips.
* ``except … as error`` on the way out: 3.12 compiles its end to a backward jump, outside the ``try``. None stands there (rule 2).
* A gate that the body kept (as ``signal.getsignal``) passes signals on when its mask is gone, unless it stood for the default
  action, which nobody can call: installed again, it defers for ever.
* A child forked from another thread than the main one: from 3.13 on nothing there wakes CPython for a signal until a C
  function asks, masks or not.
* Trace functions in Python (a debugger) are checkpoints between any two lines, ours too.
* ``force_after`` needs a gate in Python (rule 1): an arrival does not count if the raising handler of another signal comes at its entry.
* Only the main thread runs signal handlers: in other threads masks do nothing, and need not.
* ``SIGKILL``, ``SIGSTOP``, ``os._exit``, and code that replaces handlers without looking.

Sources: https://docs.python.org/3/library/signal.html#execution-of-python-signal-handlers; the exact places are those that
pytest-maskcheck finds, by which this file is audited.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed has no stub of it
import _thread
import io
import opcode
import os
import signal
import sys
import threading
import time
import warnings
from collections import deque
from functools import partial, wraps
from itertools import chain, compress, repeat, starmap
from operator import attrgetter, call, is_, is_not, not_
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from types import FrameType, TracebackType

    Handler = Callable[[int, FrameType | None], object] | int | None

__all__ = ["bracket", "deliver_pending", "is_masked", "mask", "pending_signals", "shield", "sigmask"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_queue: dict[int, FrameType | None] = {}
"""Deferred signals, in order of arrival, and where they arrived."""

_FAULTS = {"SIGKILL", "SIGSTOP", "SIGSEGV", "SIGFPE", "SIGILL", "SIGBUS"}
_CATCHABLE = tuple(
    sorted(int(number) for number in signal.valid_signals() if getattr(number, "name", "") not in _FAULTS)
)
_IGNORED, _DEFAULT = int(signal.SIG_IGN), int(signal.SIG_DFL)

# The C functions: those of ``signal`` are Python around them, slow and with checkpoints of their own.
_swap: Callable[[int, Any], Handler] = _signal.signal
_getsignal: Callable[[int], Any] = _signal.getsignal
_raise: Callable[[int], None] = _signal.raise_signal
_trip: Callable[[Any], None] = _thread.interrupt_main  # marks a signal as arrived and runs nothing
_default_int_handler = signal.default_int_handler
_get_ident = _thread.get_ident
_main = threading.main_thread().ident


def _in_child() -> None:
    """Begin anew in a forked child: its only thread is the main one, and what arrived before is its parent's."""
    global _main  # noqa: PLW0603  (a fact about the process)
    _main = _get_ident()
    _queue.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


# --- Gates: the handlers of masked signals ---


class _Gate(partial[object]):
    """The handler of one masked signal: it defers; or, while handlers are swapped, passes on to ``outer``."""

    __slots__ = ("defer", "family", "outer")
    defer: Callable[[int, FrameType | None], object]
    outer: Any
    family: list[_Gate] | None
    """All gates of this signal and guard, one for each handler that it found, if that were several."""


_turn: Callable[[Any, object], None] = _Gate.__setstate__  # type: ignore[attr-defined]  # in C, as is all of partial


_run: Callable[[Iterable[object]], object] = deque[object](maxlen=0).extend
"""Exhausts an iterator, in C."""


_no_step: Iterator[Iterable[object]] = repeat(())


def _calling(function: object) -> object:
    """Return the state of a gate that calls ``function``."""
    return (function, (), {}, None)


def _name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"


def _checked(signals: tuple[int, ...]) -> tuple[int, ...]:
    """Return ``signals`` as plain numbers, each once.

    Raises:
        TypeError: one is no number.
        ValueError: one cannot be caught.
    """
    for item in cast("tuple[object, ...]", signals):
        if not isinstance(item, int):
            message = f"masks take signal numbers such as signal.SIGINT, not {item!r}"
            raise TypeError(message)
        if item not in _CATCHABLE:
            message = f"{_name(item)} cannot be held back by a handler: leave it out"
            raise ValueError(message)
    return tuple(dict.fromkeys(map(int, signals)))


def _defers(handler: object) -> bool:
    """Tell whether ``handler`` is a gate that is shut."""
    return type(handler) is _Gate and handler.func is not handler.outer


def _is_left_alone(handler: object) -> bool:
    """Tell whether a signal with this handler is not held back.

    Those are: what is ignored; what a descriptor tells of, beside which ``asyncio`` installs ``_sighandler_noop``; and handlers
    that have an attribute ``__unmasked__`` to say that they interrupt nobody.
    """
    if isinstance(handler, int):
        return handler == _IGNORED
    return hasattr(handler, "__unmasked__") or getattr(handler, "__name__", "") == "_sighandler_noop"


def _fitting(gate: _Gate, handler: Handler) -> _Gate:
    """Return the gate for a signal that has this handler by now, which a body or a manager may have installed.

    That is another one then: who found ``gate`` in force, installed a handler, and puts back what was found, means the handler
    that ``gate`` stands for.
    """
    family = gate.family or [gate]
    for known in family:
        if handler is known or handler is known.outer:
            return known
    new = _Gate(gate.defer)
    new.defer, new.outer, new.family = gate.defer, handler, family
    family += (new,)
    gate.family = family
    return new


def _families(gates: dict[int, _Gate]) -> tuple[list[int], list[_Gate]]:
    """Return all gates that belong to ``gates``, and their signals."""
    found = [(signum, known) for signum, gate in gates.items() for known in gate.family or (gate,)]
    return [signum for signum, _ in found], [gate for _, gate in found]


def _shut(gates: dict[int, _Gate]) -> None:
    """Mask the signals of ``gates``, all at one instant. May be broken off, and repeated."""
    if len(gates) == 1:
        for signum, gate in gates.items():
            handler: Any = _getsignal(signum)
            if handler is gate and gate.family is None and gate.func is gate.defer:
                return
            fitting = gate if handler is gate.outer else _fitting(gate, handler)
            for known in gate.family or (gate,):
                if known.func is not known.defer:
                    _turn(known, _calling(known.defer))
            if handler is not fitting:
                _swap(signum, fitting)
        return
    for signum, gate in gates.items():
        handler = _getsignal(signum)
        if handler is not gate:
            fitting = gate if handler is gate.outer else _fitting(gate, handler)
            if handler is not fitting:
                _turn(fitting, _calling(handler if callable(handler) else gate.defer))
                _swap(signum, fitting)
    _, family = _families(gates)
    _run(map(_turn, family, [_calling(gate.defer) for gate in family]))  # rule 5


def _steps(
    signals: list[int], expected: Iterable[object], new: Iterable[object], turning: Any
) -> Iterator[Iterable[object]]:
    """Return, without end, what swaps the handlers of ``signals`` from ``expected`` to ``new`` as it is exhausted.

    All in C, and so is the making of the next one: ``for step in ...: [*step]; break`` has no checkpoint but that before each swap.

    Parameters:
        signals: may come several times; one that has another handler than expected by then is left out.
        expected, new: handlers.
        turning: turns gates, after the swaps.
    """
    same: Any = map(map, repeat(is_), map(map, repeat(_getsignal), repeat(signals)), repeat([*expected]))
    swapping: Any = map(starmap, repeat(_swap), map(compress, repeat([*zip(signals, new, strict=True)]), same))
    return map(chain, swapping, turning)


def _turning(gates: list[_Gate], functions: Iterable[object]) -> Any:
    """Return, without end, what has ``gates`` call ``functions`` from then on, as it is exhausted."""
    return map(map, repeat(_turn), repeat(gates), repeat([*map(_calling, functions)]))


def _shutting(gates: dict[int, _Gate]) -> Iterator[Iterable[object]]:
    """Return what masks the signals of ``gates`` again, see :func:`_steps`; nothing where one swap by :func:`_shut` does it."""
    if len(gates) == 1:
        return _no_step
    signums, family = _families(gates)
    return _steps(signums, [gate.outer for gate in family], family, _turning(family, [gate.defer for gate in family]))


def _calming(gates: dict[int, _Gate]) -> Iterator[Iterable[object]]:
    """Return what has all gates in force defer, at once, see :func:`_steps`: for when a handler broke off a swap (rule 3)."""
    if len(gates) == 1:
        return _no_step
    return cast("Iterator[Iterable[object]]", _turning([*gates.values()], [gate.defer for gate in gates.values()]))


def _put_back(gates: dict[int, _Gate]) -> None:
    """Put the handler of the only signal back, where it is still ours. May be broken off, and repeated."""
    for signum, gate in gates.items():
        handler = _getsignal(signum)
        for known in gate.family or (gate,):
            if handler is known:
                _swap(signum, known.outer)
            if callable(known.outer):  # the body may have kept it, and put it back when this mask is gone
                _turn(known, _calling(known.outer))


def _opening(gates: dict[int, _Gate]) -> Iterator[Iterable[object]]:
    """Unmask the signals of ``gates``; return what puts the handlers back, where they are still ours, see :func:`_steps`."""
    signals, family = _families(gates)
    passing = [gate for gate in family if callable(gate.outer)]  # the body may have kept one, and put it back later
    functions = [gate.outer for gate in passing]
    if len(gates) > 1:
        _run(map(_turn, passing, map(_calling, functions)))  # rule 5
    return _steps(signals, family, [gate.outer for gate in family], _turning(passing, functions))


def _hand_on(gates: dict[int, _Gate]) -> None:
    """Put the handlers back and mark what was deferred as arrived: the last act before a body begins (rule 4)."""
    if _queue:  # CPython does not know the default action
        _deliver_outside([signum for signum, gate in gates.items() if not callable(gate.outer)])
    opening = _opening(gates)
    due: list[int] = []
    found = filter(_queue.__contains__, gates)
    taking = map(_queue.pop, due)
    tripping = map(_trip, due)
    for step in opening:
        [*step]
        break
    due += found  # behind the last swap there is no call, and so no checkpoint
    [*taking]
    [*tripping]


_tripping = {signum: map(_trip, repeat(signum)) for signum in _CATCHABLE}
"""For each signal, without end: each turn marks it as arrived."""


def _deliver(signals: Iterable[int]) -> None:
    """Have deferred signals delivered, in order of arrival. May be broken off by a handler, and repeated for the others.

    What an enclosing mask defers is left in the queue.
    """
    for signum in [signum for signum in [*_queue] if signum in signals]:  # a copy made in C: gates add to it
        handler = _getsignal(signum)
        if _defers(handler):
            continue
        if callable(handler):
            if signum in _queue:  # a handler called meanwhile that masks delivers too
                del _queue[signum]  # this and the next are no calls: no checkpoint between them (rule 6)
                for _ in _tripping[signum]:
                    break
        elif signum in _queue:
            _act(signum, handler)
        # The jump back is the checkpoint at which CPython calls the handler.


def _deliver_outside(signals: Iterable[int]) -> None:
    """Call the handlers that are in force outside the masks, in order of arrival; all of them, even if one raises."""
    for signum in [signum for signum in [*_queue] if signum in signals]:  # a copy made in C: gates add to it
        handler = _getsignal(signum)
        handler = handler.outer if isinstance(handler, _Gate) else handler
        try:
            if signum not in _queue:
                continue
            if not callable(handler):
                _act(signum, handler)
            else:
                frame = _queue[signum]
                del _queue[signum]
                handler(signum, frame)
        except BaseException:
            _deliver_outside(signals)  # what the others raise has this as its context
            raise


def _act(signum: int, handler: Handler) -> None:
    """Do what a deferred signal does whose handler is not in Python."""
    in_force = _getsignal(signum)
    _queue.pop(signum, None)
    if handler == _IGNORED:
        return
    if in_force is handler:
        _raise(signum)
        return
    _swap(signum, handler)  # the default action, under a mask that stays
    try:
        _raise(signum)
    finally:
        _swap(signum, in_force)


class _Counter:
    """Defers a signal until its n-th arrival, and lets that and all later ones through (``force_after``)."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """Handle one arrival."""
        self._left -= 1
        _queue.setdefault(signum, frame)
        if self._left <= 0:
            _deliver_outside((signum,))


def _gate(handler: Handler, force_after: int | None) -> _Gate:
    defer = _queue.setdefault if force_after is None else _Counter(force_after)
    gate = _Gate(defer)
    gate.defer, gate.outer, gate.family = defer, handler, None
    return gate


# --- Guards: what can be left, whatever arrives ---


_handled: list[BaseException | None] = [None]
"""What was being handled when a guard was left last: the error of its body, if there was one."""

_noting = map(_handled.__setitem__, repeat(0), map(call, repeat(sys.exception)))
"""Without end; notes it and gives ``None``, all in C."""

_PAUSE = (None,)

_WITH_EXCEPT_START = opcode.opmap["WITH_EXCEPT_START"]
_BEFORE_CALL = {0, opcode.opmap.get("PRECALL", 0)}
"""Inline caches, and what prepares a call on 3.11."""


def _unbalanced() -> object:
    message = "this guard is not in force: it was left already, or never entered"
    raise RuntimeError(message)


def _nothing() -> object:
    """Leave a guard that holds nothing."""
    return None


_DEPTH = 8
"""Calls within each other that leaving takes. They are made on entering too, so that it is there that the stack is full."""


def _rehearse(depth: int) -> None:
    if depth:
        _rehearse(depth - 1)


class _Guard(io.IOBase):
    """A context manager whose exit cannot be skipped (rules 2 and 3). Its ``__exit__`` is that of ``io.IOBase``.

    Leaving has three parts: :attr:`_first`, C alone, so that little time passes until all is masked; :meth:`_remaining`;
    and :attr:`_last`, C alone, so that little is left to be done once nothing is masked any more. Then, delivery.
    """

    __slots__ = ("_busy", "_calm", "_course", "_due", "_first", "_last", "close")
    closed = True  # for io.IOBase: nothing to finalize
    close: Callable[[], object]  # type: ignore[assignment]
    _course: Generator[object, None, None] | None
    _busy: bool
    _calm: Iterator[Iterable[object]]
    _first: Iterator[Iterable[object]]
    _last: Iterator[Iterable[object]]
    _due: Iterable[int]

    def __init__(self) -> None:
        self.close = _unbalanced
        self._course = None

    def _begin(self) -> None:
        """Make ready to leave; nothing has been changed yet.

        Raises:
            RuntimeError: the guard is in force already.
        """
        if self._course is not None:
            message = f"{self!r} is in force already: make another one for the inner block"
            raise RuntimeError(message)
        self._busy, self._due = True, ()
        self._first = self._last = self._calm = _no_step
        course = self._leaving()
        next(course)
        close = map(is_not, _noting, course).__next__  # true where the generator yields something else than None
        self._course, self.close = course, close

    def _remaining(self, error: BaseException | None) -> object:
        """Do what is to be done in Python, until :attr:`_busy` is unset. May be broken off, and is then called again.

        Parameters:
            error: what was being handled just then; see :func:`_of_body`.

        Returns:
            Whether the error of the body is to be suppressed.
        """
        raise NotImplementedError

    def _attempt(self, error: BaseException | None) -> object:
        answer = None
        try:
            for step in self._first:
                [*step]
                break
        except ValueError:  # of signal.signal: this is another thread, where no handler runs
            if _get_ident() == _main:
                raise
        if self._busy:
            answer = self._remaining(error)
        for step in self._last:
            [*step]
            break
        self._last = self._calm = _no_step
        if _queue:
            _deliver(self._due)
        return answer

    def _leaving(self) -> Generator[object, None, None]:  # noqa: PLR0912, PLR0915  (a ladder, and why: rule 3)
        _rehearse(_DEPTH)
        yield from _PAUSE  # goes on without a check, unlike `yield`
        error = _handled[0]
        _handled[0] = self._course = None
        self.close = _unbalanced
        try:  # rule 3
            answer = self._attempt(error)
        except BaseException:
            for step in self._calm:
                [*step]
                break
            try:
                self._attempt(error)
            except BaseException:
                for step in self._calm:
                    [*step]
                    break
                try:
                    self._attempt(error)
                except BaseException:
                    for step in self._calm:
                        [*step]
                        break
                    try:
                        self._attempt(error)
                    except BaseException:
                        for step in self._calm:
                            [*step]
                            break
                        try:
                            self._attempt(error)
                        except BaseException:
                            for step in self._calm:
                                [*step]
                                break
                            try:
                                self._attempt(error)
                            except BaseException:
                                for step in self._calm:
                                    [*step]
                                    break
                                try:
                                    self._attempt(error)
                                except BaseException:
                                    for step in self._calm:
                                        [*step]
                                        break
                                    try:
                                        self._attempt(error)
                                    except BaseException:
                                        for step in self._calm:
                                            [*step]
                                            break
                                        self._attempt(error)
                                        raise
                                    raise
                                raise
                            raise
                        raise
                    raise
                raise
            raise
        del self, error
        yield answer or None


def _of_body(handled: BaseException | None, around: BaseException | None) -> BaseException | None:
    """Return what the body of a guard raised; called by its ``_remaining``.

    Parameters:
        handled: what was being handled as the guard was left: the error of the body or, if that raised nothing, ``around``. If the
            body raised just that again, the instruction tells.
        around: what was being handled as the guard was entered.
    """
    if handled is None:
        return None
    caller: Any = sys._getframe(1)  # noqa: SLF001  (documented)
    while caller.f_code is not _Guard._leaving.__code__:  # noqa: SLF001  (of this file)
        caller = caller.f_back
    caller = caller.f_back  # C functions have no frame
    code, at = caller.f_code.co_code, caller.f_lasti
    if code[at] == _WITH_EXCEPT_START or caller.f_globals is globals():  # our own: in __enter__, after an error
        return handled
    if caller.f_globals.get("__name__") == "contextlib":  # ExitStack; what it calls us with does not get through C
        return cast("BaseException | None", caller.f_locals.get("exc_details", (None, handled))[1])
    while code[at - 2] in _BEFORE_CALL:
        at -= 2
    if code[at - 6 : at - 2] == code[at - 4 : at]:  # called with three equal constants: a `with` block that ended well
        return None
    return None if handled is around else handled


def _task() -> object:
    """Return the running task of asyncio or trio, ``None`` outside."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and getattr(asyncio, "_get_running_loop", _nothing)() is not None:
        return asyncio.current_task()
    trio = sys.modules.get("trio.lowlevel")
    if trio is not None:
        try:
            return cast("object", trio.current_task())
        except RuntimeError:
            return None
    return None


_stack: list[_Hold] = []
"""Masks in force that changed something when they were entered, outermost first."""

_nested: list[tuple[int, ...]] = []
"""The signals of masks in force that were masked already when these were entered."""


class _Hold(_Guard):
    """Defers signals: what all primitives but :class:`sigmask` stand on."""

    __slots__ = ("_depth", "_gates", "_level")
    _gates: dict[int, _Gate] | None
    _level: int
    _depth: int

    def __init__(self) -> None:
        super().__init__()
        self._gates = None

    def _take(self, gates: dict[int, _Gate]) -> None:
        """Mask the signals of ``gates``: all of them or, where that raises, none."""
        self._begin()
        try:
            self._shut(gates)
        except BaseException:
            self.close()
            raise

    def _remaining(self, error: BaseException | None) -> object:
        self._finish()
        return None

    def _shut(self, gates: dict[int, _Gate]) -> None:
        """Mask the signals of ``gates``. May be broken off; then the guard is to be left."""
        self._level, self._depth = len(_stack), len(_nested)
        self._gates, self._calm = gates, _calming(gates)
        _stack.append(self)
        _shut(gates)

    def _let_go(self) -> None:
        """Unmask as the last act before a body begins; leaving will mask first."""
        gates = cast("dict[int, _Gate]", self._gates)
        trouble = self._unstack()
        if trouble:
            raise RuntimeError(trouble)
        self._first = _shutting(gates)
        _hand_on(gates)
        self._gates = None

    def _finish(self) -> None:
        """Make ready to unmask."""
        trouble, gates = "", self._gates
        if gates is not None:
            trouble = self._unstack()
            self._due = gates
            if len(gates) == 1:
                _put_back(gates)
            else:
                self._last = _opening(gates)
        self._gates, self._busy = None, False
        if trouble:
            raise RuntimeError(trouble)

    def _unstack(self) -> str:
        """Take this out of the stack; return what is wrong with that, or ``""``."""
        if _stack and _stack[-1] is self and len(_nested) <= self._depth:
            del _stack[-1]
            return ""
        if self not in _stack:
            return ""
        _stack.remove(self)
        return f"{self!r} is left before a mask that was entered inside it"


_known: dict[tuple[int, ...], tuple[tuple[int, ...], Callable[[], object]]] = {}
"""Arguments of ``mask``: the signals that they stand for, and how a nested mask of these is left, in C."""

_SUSPENDABLE = 0x20 | 0x80 | 0x200
"""Flags of the code of generators, coroutines and asynchronous generators (``inspect.CO_GENERATOR`` and so on)."""


class mask(_Hold):  # noqa: N801  (used like a function)
    """Defer signals: ``with mask(SIGINT, SIGTERM) as restore:``.

    They wait, each once, however often it arrives, and are delivered in order of arrival when the outermost mask is left, by the
    handlers then in force. One that is ignored outside (``SIG_IGN``) stays ignored; the default action (``SIG_DFL``) waits too.
    An exception of the body is the ``__context__`` of what a handler raises then.

    ``with restore():`` returns, within the body, to the state outside the mask. As a decorator, ``mask(SIGINT)`` masks each call of
    a function. Where no ``with`` fits, there are :meth:`start` and :attr:`stop`. Outside the main thread it does nothing.

    Parameters:
        signals: signal numbers; ``SIGINT`` if none is given.
        force_after: let a signal through, at once, from its n-th arrival on: for people who mean it. It is the outermost mask of a
            signal whose number counts.

    Raises:
        TypeError: a signal is not a number.
        ValueError: a signal cannot be caught; ``force_after`` is below 1; or, on entering, a handler was installed from C,
            so that it could not be restored.
        RuntimeError: on entering, the same object is in force already and masks something; on leaving, an inner mask still is, or this is not the
            task or thread that entered it. The mask is left all the same, but for the wrong thread.
    """

    __slots__ = ("_force_after", "_release_nested", "_signals", "_task")

    def __init__(self, *signals: int, force_after: int | None = None) -> None:
        self.close = _unbalanced
        self._course = self._gates = None
        try:
            self._signals, self._release_nested = _known[signals]
        except (KeyError, TypeError):
            self._signals = _checked(signals or (signal.SIGINT,))
            self._release_nested = partial(_nested.remove, self._signals)
            _known[signals] = self._signals, self._release_nested
        if force_after is not None and force_after < 1:
            message = (
                f"force_after is {force_after}; it must be 1 or more: the number of the arrival that is let through"
            )
            raise ValueError(message)
        self._force_after = force_after

    def __enter__(self) -> Callable[[], AbstractContextManager[None]]:  # type: ignore[override]
        global _nested  # noqa: PLW0603  (an in-place addition: no call, and so no checkpoint)
        if self._course is not None:
            self._begin()  # refuses
        if _get_ident() != _main:
            self.close = _nothing
            return self.restore
        for signum in self._signals:
            handler = _getsignal(signum)
            if type(handler) is not _Gate or handler.func is handler.outer:
                self.start()
                return self.restore
        self._level, self.close = len(_stack), self._release_nested
        _nested += (self._signals,)
        return self.restore

    def start(self) -> None:
        """Mask, until :attr:`stop` is called; see the class for what this may raise."""
        if self._course is not None:
            self._begin()  # refuses
        if _get_ident() != _main:
            self.close = _nothing
        else:
            self._task = _task()
            self._take(self._new_gates())

    def _remaining(self, error: BaseException | None) -> object:
        if _get_ident() != _main:
            self._course = None
            self._begin()  # the main thread can still leave
            message = f"{self!r} was entered in the main thread and is left in another one"
            raise RuntimeError(message)
        task = _task()
        self._finish()
        if self._task is not task:
            message = f"{self!r} is left in another task than it was entered in: enter and leave it between two awaits"
            raise RuntimeError(message)
        return None

    def _new_gates(self) -> dict[int, _Gate]:
        """Return a gate for each of the signals that is not masked already."""
        gates = {}
        for signum in self._signals:
            handler = _getsignal(signum)
            if type(handler) is _Gate and handler.func is not handler.outer:
                continue
            if handler is None:
                message = f"the handler of {_name(signum)} was installed from C and could not be restored: it cannot be masked"
                raise ValueError(message)
            if handler is _default_int_handler or not _is_left_alone(handler):
                gates[signum] = _gate(handler, self._force_after)
        return gates

    stop: Callable[[], object] = property(attrgetter("close"))  # type: ignore[assignment]  # in C: it cannot be skipped
    """``stop()`` ends what :meth:`start` began; see the class for what this may raise."""

    def restore(self) -> AbstractContextManager[None]:
        """Return a context manager: the state outside this mask, and handlers of what was deferred called in its body."""
        return _Restored(self)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function: each call of it is masked.

        Raises:
            TypeError: it is a generator or coroutine function, whose body does not run when it is called.
        """
        if getattr(getattr(function, "__code__", None), "co_flags", 0) & _SUSPENDABLE:
            message = f"{function!r} runs piecemeal, and others between its pieces: use `with mask(...)` around what is not suspended"
            raise TypeError(message)
        signals, force_after = self._signals, self._force_after

        @wraps(function)
        def masked(*args: P.args, **kwargs: P.kwargs) -> R:
            with mask(*signals, force_after=force_after):
                return function(*args, **kwargs)

        return masked

    def __repr__(self) -> str:
        return f"mask({', '.join(map(_name, self._signals))})"


class _Restored(_Guard):
    """The state outside a mask, within it."""

    __slots__ = ("_gates", "_mask")

    def __init__(self, of: mask) -> None:
        super().__init__()
        self._mask = of
        self._gates: dict[int, _Gate] = {}

    def __enter__(self) -> None:  # type: ignore[override]
        if self._mask.close is _unbalanced:
            _unbalanced()
        if _get_ident() != _main or self._mask.close is _nothing:
            self.close = _nothing
            return
        self._begin()
        try:
            for hold in _stack[self._mask._level :]:  # noqa: SLF001  (of this file)
                self._gates |= hold._gates or {}  # noqa: SLF001  (of this file)
            self._first, self._calm = _shutting(self._gates), _calming(self._gates)
            _hand_on(self._gates)
        except BaseException:
            self.close()
            raise

    def _remaining(self, error: BaseException | None) -> object:
        if self._mask.close is _unbalanced:
            self._last, self._due = _opening(self._gates), self._gates
            self._first, self._busy = _no_step, False
            message = f"{self._mask!r} was left inside its own restore()"
            raise RuntimeError(message)
        _shut(self._gates)
        self._busy = False
        return None


# --- Owning: acquisition and release without a gap ---


def _all_gates() -> dict[int, _Gate]:
    """Return a gate for each signal that has a handler in Python, but for those that are masked already."""
    signums = [*compress(_CATCHABLE, map(callable, map(_getsignal, _CATCHABLE)))]
    handlers = [*map(_getsignal, signums)]
    apart = map(hasattr, handlers, repeat("__unmasked__"))  # in C: an audit's own handler makes no turn of the loop
    gates = {}
    for signum, handler in compress(zip(signums, handlers, strict=True), map(not_, apart)):
        if handler is _default_int_handler or not (_defers(handler) or _is_left_alone(handler)):
            gates[signum] = _gate(handler, None)
    return gates


class _Owner(_Hold, Generic[T]):
    """Acquires and releases masked; what is between is not."""

    __slots__ = ("_around", "_owned", "_reserve", "_tries")
    _around: BaseException | None
    _reserve: dict[int, _Gate]

    def __init__(self) -> None:
        super().__init__()
        self._owned = False

    def _acquire(self) -> T:
        raise NotImplementedError

    def _release(self, error: BaseException | None) -> object:
        raise NotImplementedError

    def __enter__(self) -> T:  # type: ignore[override]
        self._begin()
        self._around, self._tries = sys.exception(), 4
        try:
            self._reserve = _all_gates()
            if _get_ident() == _main:  # in other threads no handler runs
                self._shut(self._reserve)
            value = self._acquire()
            self._owned = True
            if self._gates is not None:
                self._let_go()
            return value
        except BaseException:
            self.close()
            raise

    def _remaining(self, error: BaseException | None) -> object:
        answer = None
        if self._owned:
            error = _of_body(error, self._around)
            if self._tries and _get_ident() == _main:
                self._tries -= 1  # release in any case, masked or not
                if self._gates is None:
                    self._shut(self._reserve)  # which _first has done, if nothing interfered
                else:
                    _shut(self._gates)
                more = _all_gates()  # handlers that the body installed
                if more:
                    self._gates = self._reserve = {**self._reserve, **more}
                    self._calm = _calming(self._gates)
                    _shut(self._gates)
            self._around, self._owned, self._first = None, False, _no_step
            answer = self._release(error)
        self._finish()
        return answer


class shield(_Owner[T]):  # noqa: N801  (used like a function)
    """Build, enter and leave a context manager masked: ``with shield(open, path) as file:``.

    Whatever instant a signal arrives at, either nothing was acquired, or the body was entered and ``__exit__`` runs to its end. What
    arrives meanwhile is delivered at the first checkpoint inside the body, or after ``__exit__``. Every signal that has a handler in
    Python is held back; the body runs in the state outside. In other threads, where no handler runs, this is a plain ``with``.

    ``async with shield(factory, …)`` does the same for an asynchronous context manager. Signals wait while it is
    awaited to enter or leave; a cancellation that was asked for before it leaves, as by the Ctrl-C that ``asyncio.run`` turns
    into one, is raised after it has left.

    Parameters:
        factory: what makes the context manager; called with ``args`` and ``kwargs``, masked.

    Raises:
        TypeError: what ``factory`` returned is no context manager.
        RuntimeError: the same object is in force already, or the acquisition left a mask of its own in force.
    """

    __slots__ = ("_args", "_cancelled", "_exit", "_factory", "_kwargs", "_manager")

    def __init__(
        self,
        factory: Callable[P, AbstractContextManager[T, Any] | AbstractAsyncContextManager[T, Any]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        super().__init__()
        self._factory, self._args, self._kwargs = factory, args, kwargs
        self._manager: Any = None
        self._exit: Any = None

    def _make(self, enter: str, leave: str) -> Any:
        """Build the manager; return what enters it."""
        manager = self._factory(*self._args, **self._kwargs)
        kind = type(manager)
        try:
            entering, leaving = getattr(kind, enter), getattr(kind, leave)
        except AttributeError:
            message = f"shield takes what makes a context manager; {self._factory!r} made {manager!r}, which has no {enter} and {leave}"
            raise TypeError(message) from None
        self._manager, self._exit = manager, leaving
        return entering

    def _acquire(self) -> T:
        entering = self._make("__enter__", "__exit__")
        return cast("T", entering(self._manager))

    def _release(self, error: BaseException | None) -> object:
        manager, self._manager = self._manager, None
        return self._exit(manager, *_details(error))

    async def __aenter__(self) -> T:
        cancelled = await _cancellation()
        if cancelled is not None:
            raise cancelled
        self._begin()
        share = None
        try:
            self._cancelled = _cancelling()
            share = _Share()
            value: T = await self._make("__aenter__", "__aexit__")(self._manager)
            self._owned = True
            share.end(hand_on=True)
            return value
        except BaseException as error:
            try:
                if self._owned:
                    await self._exit(self._manager, *_details(error))
            finally:
                self._over()
                if share is not None:
                    share.end()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        if self._course is None:
            _unbalanced()
        asked = _cancelling()
        trouble = await _cancellation()
        share = None
        try:
            share = _Share()
        except BaseException as raised:  # noqa: BLE001  (by a handler: it waits until the release is over)
            trouble = raised
        try:
            return cast("bool | None", await self._exit(self._manager, kind, error, traceback))
        finally:
            if asked > self._cancelled >= _cancelling():
                asyncio = sys.modules["asyncio"]
                if isinstance(trouble, asyncio.CancelledError):
                    trouble = None  # the manager had asked for it, and took it back (timeouts, task groups)
            self._over()
            if share is not None:
                share.end()
            if trouble is not None:
                raise trouble

    def _over(self) -> None:
        """Make ready to be entered again."""
        self._course = self._manager = None
        self._owned, self.close = False, _unbalanced

    def __repr__(self) -> str:
        return f"shield({self._factory!r})"


class bracket(_Owner[T]):  # noqa: N801  (used like a function)
    """Acquire and release masked: ``with bracket(os.open, os.close, path, os.O_RDONLY) as fd:``.

    :class:`shield` for a pair of functions, with the same guarantee.

    Parameters:
        acquire: called with ``args`` and ``kwargs``; what it returns is the target of ``as``.
        release: called with what ``acquire`` returned.

    Raises:
        RuntimeError: the same object is in force already, or the acquisition left a mask of its own in force.
    """

    __slots__ = ("_acquiring", "_args", "_kwargs", "_releasing", "_value")

    def __init__(
        self, acquire: Callable[P, T], release: Callable[[T], object], /, *args: P.args, **kwargs: P.kwargs
    ) -> None:
        super().__init__()
        self._acquiring, self._releasing, self._args, self._kwargs = acquire, release, args, kwargs

    def _acquire(self) -> T:
        self._value = self._acquiring(*self._args, **self._kwargs)
        return self._value

    def _release(self, error: BaseException | None) -> object:
        value = self._value
        del self._value
        self._releasing(value)
        return None

    def __repr__(self) -> str:
        return f"bracket({self._acquiring!r}, {self._releasing!r})"


def _details(
    error: BaseException | None,
) -> tuple[type[BaseException] | None, BaseException | None, TracebackType | None]:
    """Return the arguments of ``__exit__``."""
    return (None, None, None) if error is None else (type(error), error, error.__traceback__)


def _cancelling() -> int:
    """Return how many cancellations of the running task were asked for and not taken back (asyncio)."""
    asyncio = sys.modules.get("asyncio")
    task = _task() if asyncio is not None else None
    return task.cancelling() if asyncio is not None and isinstance(task, asyncio.Task) else 0


async def _cancellation() -> BaseException | None:
    """Return the cancellation of the running task that was asked for and not raised yet (asyncio), else ``None``."""
    if _cancelling():
        asyncio = sys.modules["asyncio"]
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError as error:
            return cast("BaseException", error)
    return None


class _Share:
    """A part of the mask that all tasks share which enter or leave something at the same time."""

    _hold: _Hold | None = None
    _count = 0

    def __init__(self) -> None:
        self._in = _get_ident() == _main
        if not self._in:
            return
        if _Share._hold is None:
            hold = _Hold()
            hold._take(_all_gates())  # noqa: SLF001  (of this file)
            _Share._hold = hold
        _Share._count += 1

    def end(self, *, hand_on: bool = False) -> None:
        """Leave; the last one unmasks."""
        hold = _Share._hold
        if not self._in or hold is None:
            return
        self._in = False
        _Share._count -= 1
        if _Share._count:
            return
        _Share._hold = None
        if not hand_on:
            hold.close()
            return
        try:
            hold._let_go()  # noqa: SLF001  (of this file)
        except BaseException:
            hold._first = _no_step  # noqa: SLF001
            hold.close()
            raise


# --- The kernel's mask ---


class sigmask(_Guard):  # noqa: N801  (used like a function)
    """Block signals in the kernel, for this thread: ``with sigmask(SIGINT):``.

    For what must not even be interrupted in a system call. The mask is restored exactly as it was, whatever a handler raises
    meanwhile. The kernel hands a signal to any thread that does not block it, and CPython then runs the handler in the main
    thread, blocked or not: where such a thread runs, this mask is void. Use :class:`mask` there.

    Parameters:
        signals: signal numbers; ``SIGINT`` if none is given.
        other_threads: what to do where a thread that does not block the signals runs: ``refuse``, ``warn`` or ``allow``. Seen are
            all threads on Linux, elsewhere those of :mod:`threading`, of which it is not known what they block.

    Raises:
        NotImplementedError: the platform has no ``pthread_sigmask`` (Windows).
        TypeError: a signal is not a number.
        ValueError: the kernel cannot block a signal, or ``other_threads`` is none of the three words.
        RuntimeError: on entering, another thread makes the mask void, or the same object is in force already.
    """

    __slots__ = ("_before", "_other_threads", "_signals", "_thread")

    def __init__(self, *signals: int, other_threads: Literal["refuse", "warn", "allow"] = "refuse") -> None:
        if not hasattr(_signal, "pthread_sigmask"):
            message = "this platform has no pthread_sigmask: use mask"
            raise NotImplementedError(message)
        if other_threads not in {"refuse", "warn", "allow"}:
            message = f"other_threads is {other_threads!r}; it must be 'refuse', 'warn' or 'allow'"
            raise ValueError(message)
        super().__init__()
        self._signals = _checked(signals or (signal.SIGINT,))
        self._other_threads = other_threads
        self._before: set[int] = set()

    def __enter__(self) -> None:  # type: ignore[override]
        if self._other_threads != "allow":
            self._ask_threads()
        before, thread = _signal.pthread_sigmask(signal.SIG_BLOCK, ()), _get_ident()
        self._begin()
        self._before, self._thread = before, thread
        try:
            _signal.pthread_sigmask(signal.SIG_BLOCK, self._signals)  # blocks, and may raise then
        except BaseException:
            self.close()
            raise

    def _ask_threads(self) -> None:
        with bracket(_threads_that_take, len, self._signals) as others:  # masked: it takes a lock of threading's
            pass
        if not others:
            return
        message = (
            f"{self!r} holds nothing back: the kernel hands these signals to other threads ({', '.join(others)}); "
            "use mask, or other_threads='allow'"
        )
        if self._other_threads == "refuse":
            raise RuntimeError(message)
        warnings.warn(message, RuntimeWarning, stacklevel=3)

    def _remaining(self, error: BaseException | None) -> object:
        if self._thread != _get_ident():
            self._course = None
            self._begin()
            message = f"{self!r} is left in another thread than it was entered in"
            raise RuntimeError(message)
        _signal.pthread_sigmask(signal.SIG_SETMASK, self._before)  # sets, and may raise then; again it does no harm
        self._busy = False
        return None

    def __repr__(self) -> str:
        return f"sigmask({', '.join(map(_name, self._signals))})"


def _threads_that_take(signals: tuple[int, ...]) -> list[str]:
    """Return the names of other threads that do not block all of ``signals``, as far as can be told."""
    wanted = sum(1 << (signum - 1) for signum in signals)
    for pause in (0.0002, 0.002, 0.01):
        own = threading.get_native_id()
        names = {thread.native_id: thread.name for thread in threading.enumerate()}
        try:
            found = [thread for thread in map(int, os.listdir("/proc/self/task")) if wanted & ~_blocked_by(thread)]
        except OSError:  # not Linux
            return [name for native, name in names.items() if native != own]
        others = {thread: names.get(thread, f"thread {thread} of C code") for thread in found if thread != own}
        if names.keys() & others or not others:
            break
        time.sleep(pause)  # a thread that was joined may take a moment to be gone
    return [*others.values()]


def _blocked_by(thread: int) -> int:
    """Return the signals that a thread of this process blocks, bit by bit; all of them once it has ended."""
    try:
        with open(f"/proc/self/task/{thread}/status", encoding="utf-8") as status:
            fields = dict(line.split(":", 1) for line in status if ":" in line)
    except OSError:
        return -1
    return -1 if fields["State"].strip()[0] in "ZX" else int(fields["SigBlk"], 16)


# --- Asking ---


def is_masked(signum: int = signal.SIGINT) -> bool:
    """Tell whether a mask holds ``signum`` back, or would if it were not ignored."""
    handler = _getsignal(signum)
    if not _is_left_alone(handler):
        return _defers(handler)
    masks = (hold._signals for hold in _stack if isinstance(hold, mask))  # noqa: SLF001  (of this file)
    return any(signum in signals for signals in (*masks, *_nested))


def pending_signals() -> tuple[int, ...]:
    """Return the numbers of the signals that wait for the end of a mask, in order of arrival."""
    return tuple(_queue)


def deliver_pending() -> None:
    """Call the handlers of signals that wait, here and now; the masks stay.

    A safe place within a long masked region. Whatever a handler raises comes out, after all have been called. Does nothing outside
    the main thread.
    """
    if _queue and _get_ident() == _main:
        _deliver_outside(_CATCHABLE)
