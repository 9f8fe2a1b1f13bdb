"""Masks: regions where signals wait.

Standard library only, one file: copy it into a project that wants no dependency.

Can an asynchronous exception be masked in Python? CPython runs signal handlers, and so raises ``KeyboardInterrupt``, only at
*checkpoints*: when a function is entered, after a call that is not inlined, at a backward jump, and in C functions that check
for signals (``signal.signal`` does before it swaps handlers). No handler runs between two checkpoints. There is nothing else
to build on.

The invariant: **a masked signal waits in the queue from the last checkpoint before the body to the first one after it; and a
guard undoes what it has to undo, whatever arrives meanwhile.** These rules make it hold:

1. A masked signal runs no Python code. Its handler, a gate, is a C callable: ``dict.setdefault`` of the queue records the first
   arrival of each signal, in order. A handler in Python could itself be interrupted before its first line.
2. No Python ``__exit__`` undoes anything: CPython checks for signals as it enters one, before its first line. Our ``__exit__`` is C,
   that of ``io.IOBase``, which calls ``close()``. ``close`` is C, too, and resumes a generator suspended in ``yield from``, where there
   is no check either. The exit first masks again and last unmasks, each in one loop in C: everything between the two runs masked.
3. A handler of a signal that is not masked at that moment may raise, and so break a step off. Every such step can be repeated,
   and is: by a ladder of ``try`` statements rather than a loop, because a backward jump is a checkpoint.
4. ``__enter__`` is Python: it returns without a check, on 3.14 too, where there is a check after a C one (gh-148874). Its last act
   is to mark the signals that it hands on as arrived. CPython delivers them at the first checkpoint of the body, and from there
   ``__exit__`` is sure to be called.
5. Several signals are masked, or unmasked, at one instant. While handlers are swapped one by one, all gates pass signals on; then
   one loop in C, in which no handler can run, turns all gates. If a handler breaks the swapping off, all gates in force are first
   made to defer (``_calming``), and defer until the repetition is done.
6. Nothing is lost and nothing comes twice. A signal leaves the queue in the same step that calls its handler or marks it as arrived
   in CPython, after all handlers are back. A handler that raises does not keep the others from being called.
7. A guard restores a handler only where its own gate is still installed: a handler that the body installed stays.

What does not work, and why:

* Nine handlers of signals that are not masked at that moment, each raising within the few microseconds of one exit, defeat the ladder.
* ``restore``, ``shield`` and ``bracket`` with handlers on *several* signals: the handlers are put back one by one. If a signal arrives
  within that microsecond and its handler is already back, the handler raises from ``__enter__`` instead of in the body, after
  what had been acquired is released again. With a handler on SIGINT alone there is no such instant.
* ``async with shield(…)``: CPython checks for signals between the end of the body and the first step of ``__aexit__``, and no
  Python code can protect that place. A handler that cancels a task does no harm there, as that of ``asyncio.run`` at the first
  Ctrl-C; a handler that raises does, as at the second Ctrl-C. ``asyncio.run`` is required: if ``KeyboardInterrupt`` is raised within
  a bare ``loop.run_forever()``, it leaves the loop, and no task goes on, shielded or not.
* Callbacks of ``loop.add_signal_handler`` are triggered through a descriptor. They run between the steps of tasks and cannot be masked.
* A guard entered through Python code that has checkpoints of its own, such as ``contextlib.ExitStack`` or a
  ``@contextmanager`` around ours: an interrupt can skip that code.
* ``except … as error`` on the way out: 3.12 compiles its end to a backward jump outside the ``try``. So the exit has none (rule 2).
* A gate that the body kept (from ``signal.getsignal``) passes signals on when its mask is gone, unless it stood for the default
  action, which cannot be called: if such a gate is installed again, it defers for ever.
* A child forked from a thread other than the main one: from 3.13 on, CPython does not notice a signal there until a C function
  checks for signals, masks or not.
* A trace function in Python (a debugger) makes a checkpoint of every place between two lines, in this file, too.
* ``force_after`` needs a gate in Python (rule 1): an arrival is not counted if the handler of another signal raises as the gate is
  entered.
* Only the main thread runs signal handlers: in other threads masks do nothing, and need not.
* ``SIGKILL``, ``SIGSTOP``, ``os._exit``, and code that replaces handlers without looking.

Sources: https://docs.python.org/3/library/signal.html#execution-of-python-signal-handlers. pytest-maskcheck finds the exact
checkpoints, and audits this file at them.
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
"""Deferred signals, in order of arrival, each with the frame that it interrupted."""

_FAULTS = {"SIGKILL", "SIGSTOP", "SIGSEGV", "SIGFPE", "SIGILL", "SIGBUS"}
_CATCHABLE = tuple(
    sorted(int(number) for number in signal.valid_signals() if getattr(number, "name", "") not in _FAULTS)
)
_IGNORED, _DEFAULT = int(signal.SIG_IGN), int(signal.SIG_DFL)

# The C functions: ``signal`` wraps them in Python functions, which are slow and have checkpoints of their own.
_swap: Callable[[int, Any], Handler] = _signal.signal
_getsignal: Callable[[int], Any] = _signal.getsignal
_raise: Callable[[int], None] = _signal.raise_signal
_trip: Callable[[Any], None] = _thread.interrupt_main  # marks a signal as arrived and runs nothing
_default_int_handler = signal.default_int_handler
_get_ident = _thread.get_ident
_main = threading.main_thread().ident


def _in_child() -> None:
    """Start afresh in a forked child: its only thread is the main one, and the signals in the queue are its parent's."""
    global _main  # noqa: PLW0603  (a fact about the process)
    _main = _get_ident()
    _queue.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


# --- Gates: the handlers of masked signals ---


class _Gate(partial[object]):
    """The handler of one masked signal: it defers the signal or, while handlers are swapped, passes it on to ``outer``."""

    __slots__ = ("defer", "family", "outer")
    defer: Callable[[int, FrameType | None], object]
    outer: Any
    family: list[_Gate] | None
    """All gates of this signal and guard, one for each handler that the guard found; ``None`` if it found only one."""


_turn: Callable[[Any, object], None] = _Gate.__setstate__  # type: ignore[attr-defined]  # in C, as is all of partial


_run: Callable[[Iterable[object]], object] = deque[object](maxlen=0).extend
"""Exhausts an iterator, in C."""


_no_step: Iterator[Iterable[object]] = repeat(())
"""An endless iterator of steps that do nothing; see :func:`_steps`."""


_NO_KEYWORDS: dict[str, object] = {}
"""The keyword arguments of all gates; ``partial`` does not change them, and they need not be made for each."""


def _calling(function: object) -> object:
    """Return the state, for :data:`_turn`, of a gate that calls ``function``."""
    return (function, (), _NO_KEYWORDS, None)


def _name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"


def _checked(signals: tuple[int, ...]) -> tuple[int, ...]:
    """Return ``signals`` as plain numbers, each once.

    Raises:
        TypeError: a signal is not a number.
        ValueError: a signal cannot be caught.
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
    """Return whether ``handler`` is a gate that defers."""
    return type(handler) is _Gate and handler.func is not handler.outer


def _is_left_alone(handler: object) -> bool:
    """Return whether a signal with this handler is not held back.

    Not held back are signals that are ignored; signals that are reported through a descriptor, for which ``asyncio`` installs
    ``_sighandler_noop``; and signals whose handler has an attribute ``__unmasked__``, which declares that it interrupts nobody.
    """
    if isinstance(handler, int):
        return handler == _IGNORED
    return hasattr(handler, "__unmasked__") or getattr(handler, "__name__", "") == "_sighandler_noop"


def _fitting(gate: _Gate, handler: Handler) -> _Gate:
    """Return the gate for a signal whose handler is ``handler`` by now; a body or a manager may have installed it.

    A new handler gets a gate of its own. Code that found ``gate`` in force, installed a handler, and puts back what it found
    means the handler that ``gate`` stands for, so ``gate`` must go on standing for that one.
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
    """Return the signals and the gates of all families of ``gates``, in two lists of equal length."""
    found = [(signum, known) for signum, gate in gates.items() for known in gate.family or (gate,)]
    return [signum for signum, _ in found], [gate for _, gate in found]


def _shut(gates: dict[int, _Gate]) -> None:
    """Mask the signals of ``gates``, all at one instant. A handler may break this off; it can be repeated."""
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
                # It passes signals on until all handlers are swapped (rule 5).
                _turn(fitting, _calling(handler if callable(handler) else gate.defer))
                _swap(signum, fitting)
    _, family = _families(gates)
    _run(map(_turn, family, [_calling(gate.defer) for gate in family]))  # rule 5


def _steps(
    signals: list[int], expected: Iterable[object], new: Iterable[object], turning: Any
) -> Iterator[Iterable[object]]:
    """Return an endless iterator of steps; exhausting one swaps the handlers of ``signals`` from ``expected`` to ``new``.

    A step runs in C, and the next one is made in C: ``for step in ...: [*step]; break`` has no checkpoint but the one before each swap.

    Parameters:
        signals: one may come several times; a signal whose handler is not the expected one by then is left out.
        expected, new: handlers.
        turning: steps that turn gates, after the swaps.
    """
    same: Any = map(map, repeat(is_), map(map, repeat(_getsignal), repeat(signals)), repeat([*expected]))
    swapping: Any = map(starmap, repeat(_swap), map(compress, repeat([*zip(signals, new, strict=True)]), same))
    return map(chain, swapping, turning)


def _turning(gates: list[_Gate], functions: Iterable[object]) -> Any:
    """Return an endless iterator of steps; exhausting one makes ``gates`` call ``functions`` from then on."""
    return map(map, repeat(_turn), repeat(gates), repeat([*map(_calling, functions)]))


def _shutting(gates: dict[int, _Gate]) -> Iterator[Iterable[object]]:
    """Return steps that mask the signals of ``gates`` again, see :func:`_steps`; for one gate they do nothing, as :func:`_shut` does it."""
    if len(gates) == 1:
        return _no_step
    signums, family = _families(gates)
    return _steps(signums, [gate.outer for gate in family], family, _turning(family, [gate.defer for gate in family]))


def _calming(gates: dict[int, _Gate]) -> Iterator[Iterable[object]]:
    """Return steps that make all gates in force defer at once, see :func:`_steps`: for use after a handler broke off a swap (rule 5)."""
    if len(gates) == 1:
        return _no_step
    return cast("Iterator[Iterable[object]]", _turning([*gates.values()], [gate.defer for gate in gates.values()]))


def _put_back(gates: dict[int, _Gate]) -> None:
    """Put the handler of the only signal back if a gate of ours is still in force. A handler may break this off; it can be repeated."""
    for signum, gate in gates.items():
        handler = _getsignal(signum)
        for known in gate.family or (gate,):
            if handler is known:
                _swap(signum, known.outer)
            if callable(known.outer):  # the body may have kept the gate, and install it when this mask is gone
                _turn(known, _calling(known.outer))


def _opening(gates: dict[int, _Gate]) -> Iterator[Iterable[object]]:
    """Unmask several signals; return steps that put the handlers back where a gate of ours is still in force, see :func:`_steps`."""
    signals, family = _families(gates)
    passing = [gate for gate in family if callable(gate.outer)]  # the body may have kept one, and install it later
    functions = [gate.outer for gate in passing]
    if len(gates) > 1:
        _run(map(_turn, passing, map(_calling, functions)))  # rule 5
    return _steps(signals, family, [gate.outer for gate in family], _turning(passing, functions))


def _hand_on(gates: dict[int, _Gate]) -> None:
    """Put the handlers back and mark what was deferred as arrived: the last act before a body begins (rule 4)."""
    if _queue:  # _trip does nothing where there is no handler in Python, so the default action is taken here
        _deliver_outside([signum for signum, gate in gates.items() if not callable(gate.outer)])
    opening = _opening(gates)
    due: list[int] = []
    found = filter(_queue.__contains__, gates)
    taking = map(_queue.pop, due)
    tripping = map(_trip, due)
    for step in opening:
        [*step]
        break
    due += found  # after the last swap there is no call, and so no checkpoint
    [*taking]
    [*tripping]


_tripping = {signum: map(_trip, repeat(signum)) for signum in _CATCHABLE}
"""For each signal, an endless iterator: each turn marks the signal as arrived."""


def _deliver(signals: Iterable[int]) -> None:
    """Let CPython deliver deferred signals, in order of arrival. A handler may break this off; it can be repeated for the others.

    Signals that an enclosing mask defers stay in the queue.
    """
    for signum in [signum for signum in [*_queue] if signum in signals]:  # copied in C: gates add to the queue
        handler = _getsignal(signum)
        if _defers(handler):
            continue
        if callable(handler):
            if signum in _queue:  # a handler called meanwhile may use a mask, which delivers, too
                del _queue[signum]  # neither this nor the next line is a call: no checkpoint between them (rule 6)
                for _ in _tripping[signum]:
                    break
        elif signum in _queue:
            _act(signum, handler)
        # The jump back is the checkpoint where CPython calls the handler.


def _deliver_outside(signals: Iterable[int]) -> None:
    """Call the handlers of deferred signals that are in force outside the masks, in order of arrival; all of them, even if one raises."""
    for signum in [signum for signum in [*_queue] if signum in signals]:  # copied in C: gates add to the queue
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
            _deliver_outside(signals)  # if another handler raises, this error becomes its __context__
            raise


def _act(signum: int, handler: Handler) -> None:
    """Deliver a deferred signal that has no handler in Python: drop it if it is ignored, else take the default action."""
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


# --- Guards: their exit runs to its end, whatever arrives ---


_handled: list[BaseException | None] = [None]
"""The exception that was being handled when a guard was last left: the error of its body, if there was one."""

_noting = map(_handled.__setitem__, repeat(0), map(call, repeat(sys.exception)))
"""An endless iterator: each turn stores that exception and yields ``None``, all in C."""

_PAUSE = (None,)

_WITH_EXCEPT_START = opcode.opmap["WITH_EXCEPT_START"]
_BEFORE_CALL = {0, opcode.opmap.get("PRECALL", 0)}
"""Opcodes between the arguments and a call: inline caches, and on 3.11 the one that prepares the call."""


def _unbalanced() -> object:
    message = "this guard is not in force: it was left already, or never entered"
    raise RuntimeError(message)


def _nothing() -> object:
    """Leave a guard that holds nothing."""
    return None


def _nested_calls(depth: int) -> Callable[[], object]:
    inner = _nested_calls(depth - 1) if depth > 1 else _nothing

    def outer() -> None:
        inner()

    return outer


_rehearse = _nested_calls(9)
"""Makes as many nested calls as leaving a guard, and a few more, so that a full stack fails on entering and not on the way out."""

_rehearse_single = _nested_calls(7 if sys.version_info < (3, 12) else 5)  # calls of C functions count on 3.11
"""The same for a mask of one signal, where leaving makes fewer nested calls."""


class _Guard(io.IOBase):
    """A context manager whose exit cannot be skipped (rules 2 and 3). Its ``__exit__`` is that of ``io.IOBase``.

    Leaving has three parts: :attr:`_first`, in C alone, so that little time passes until everything is masked; :meth:`_remaining`;
    and :attr:`_last`, in C alone, so that little is left to do once nothing is masked any more. Then signals are delivered.
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
        """Prepare the exit, before anything is changed.

        Raises:
            RuntimeError: the guard is in force already.
        """
        if self._course is not None:
            message = f"{self!r} is in force already: make another one for the inner block"
            raise RuntimeError(message)
        _rehearse()
        self._busy, self._due = True, ()
        self._first = self._last = self._calm = _no_step
        course = self._leaving()
        next(course)
        close = map(is_not, _noting, course).__next__  # returns True if the generator yields anything but None
        self._course, self.close = course, close

    def _remaining(self, error: BaseException | None) -> object:
        """Do the part of leaving that is in Python, and unset :attr:`_busy`. If a handler breaks this off, it is called again.

        Parameters:
            error: the exception that was being handled as the guard was left; see :func:`_of_body`.

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
        except ValueError:  # raised by signal.signal in another thread, where no handler runs
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
        yield from _PAUSE  # resumes without a check for signals, unlike `yield`
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
        handled: the exception that was being handled as the guard was left: the error of the body or, if that raised nothing,
            ``around``. If the body raised ``around`` again, the caller's instruction decides.
        around: the exception that was being handled as the guard was entered.
    """
    if handled is None:
        return None
    caller: Any = sys._getframe(1)  # noqa: SLF001  (documented)
    while caller.f_code is not _Guard._leaving.__code__:  # noqa: SLF001  (of this file)
        caller = caller.f_back
    caller = caller.f_back  # C functions have no frame
    code, at = caller.f_code.co_code, caller.f_lasti
    if code[at] == _WITH_EXCEPT_START or caller.f_globals is globals():  # this file calls in __enter__, after an error
        return handled
    if caller.f_globals.get("__name__") == "contextlib":  # ExitStack; the arguments of its call do not get through C
        return cast("BaseException | None", caller.f_locals.get("exc_details", (None, handled))[1])
    while code[at - 2] in _BEFORE_CALL:
        at -= 2
    if code[at - 6 : at - 2] == code[at - 4 : at]:  # called with three equal constants: a `with` block that ended well
        return None
    return None if handled is around else handled


def _task() -> object:
    """Return the running task of asyncio or trio, ``None`` outside."""
    modules = sys.modules
    if "asyncio" in modules:  # a test without a call, as this is asked twice for each mask
        asyncio = modules["asyncio"]
        if getattr(asyncio, "_get_running_loop", _nothing)() is not None:
            return asyncio.current_task()
    trio = modules["trio.lowlevel"] if "trio.lowlevel" in modules else None  # noqa: SIM401  (get would be a call)
    if trio is not None:
        try:
            return cast("object", trio.current_task())
        except RuntimeError:
            return None
    return None


_stack: list[_Hold] = []
"""Masks in force that changed something when they were entered, outermost first."""

_nested: list[tuple[int, ...]] = []
"""The signals of each mask in force that changed nothing, as they were masked already when it was entered."""


class _Hold(_Guard):
    """Defers signals; the base of all primitives but :class:`sigmask`."""

    __slots__ = ("_depth", "_gates", "_level")
    _gates: dict[int, _Gate] | None
    _level: int
    _depth: int

    def __init__(self) -> None:
        super().__init__()
        self._gates = None

    def _take(self, gates: dict[int, _Gate]) -> None:
        """Mask all signals of ``gates``; if that raises, mask none."""
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
        """Mask the signals of ``gates``. A handler may break this off; the caller must then leave the guard."""
        self._level, self._depth = len(_stack), len(_nested)
        self._gates, self._calm = gates, _calming(gates)
        _stack.append(self)
        _shut(gates)

    def _let_go(self) -> None:
        """Unmask as the last act before a body begins; leaving masks again first."""
        gates = cast("dict[int, _Gate]", self._gates)
        trouble = self._unstack()
        if trouble:
            raise RuntimeError(trouble)
        self._first = _shutting(gates)
        _hand_on(gates)
        self._gates = None

    def _finish(self) -> None:
        """Unmask a single signal; leave the unmasking of several to :attr:`_last`."""
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
        """Remove this guard from the stack; return what is wrong with that, or ``""``."""
        if _stack and _stack[-1] is self and len(_nested) <= self._depth:
            del _stack[-1]
            return ""
        if self not in _stack:
            return ""
        _stack.remove(self)
        return f"{self!r} is left before a mask that was entered inside it"


_known: dict[tuple[int, ...], tuple[tuple[int, ...], Callable[[], object]]] = {}
"""Arguments of ``mask`` -> the signals that they stand for, and the C callable that leaves a nested mask of these."""

_SUSPENDABLE = 0x20 | 0x80 | 0x200
"""Flags of the code of generators, coroutines and asynchronous generators (``inspect.CO_GENERATOR`` and so on)."""


class mask(_Hold):  # noqa: N801  (used like a function)
    """Defer signals: ``with mask(SIGINT, SIGTERM) as restore:``.

    Signals wait until the outermost mask is left. They are then delivered in order of arrival, by the handlers in force at that
    time. A signal that arrives several times is delivered once. One that is ignored outside (``SIG_IGN``) stays ignored; the default
    action (``SIG_DFL``) waits, too. If a handler raises, the exception of the body, if any, becomes the ``__context__``.

    Within the body, ``with restore():`` returns to the state outside the mask. As a decorator, ``mask(SIGINT)`` masks each call of
    a function. Where ``with`` does not fit, use :meth:`start` and :attr:`stop`. Outside the main thread, a mask does nothing.

    Parameters:
        signals: signal numbers; ``SIGINT`` if none is given.
        force_after: let a signal through at once from its n-th arrival on, for users who insist. For each signal, the number
            given to its outermost mask counts.

    Raises:
        TypeError: a signal is not a number.
        ValueError: a signal cannot be caught; ``force_after`` is below 1; or, on entering, a handler was installed from C
            and could not be restored.
        RuntimeError: on entering, the same object is in force already and masks something; on leaving, an inner mask is still in
            force, or the mask was entered in another task or thread. It is left all the same, except in the wrong thread.
    """

    __slots__ = ("_force_after", "_release_nested", "_signals", "_single", "_task")
    _single: _Gate | None
    """The gate, if this masks one signal; ``None`` once leaving has begun."""

    def __init__(self, *signals: int, force_after: int | None = None) -> None:
        self.close = _unbalanced
        self._course = None
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
                self._mask(signum, handler)
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
            signum = self._signals[0]
            self._mask(signum, _getsignal(signum))

    def _mask(self, signum: int, handler: Any) -> None:
        """Mask all signals. For one signal, as most masks have, this and :meth:`_attempt` do the work of many small functions.

        Parameters:
            signum, handler: the first signal that is not masked yet, and its handler.
        """
        self._task, self._gates, self._single = _task(), None, None
        if handler is _default_int_handler and len(self._signals) == 1:
            defer = _queue.setdefault if self._force_after is None else _Counter(self._force_after)
            gate = _Gate(defer)
            gate.defer, gate.outer, gate.family = defer, handler, None  # as in _gate
            gates = {signum: gate}
        else:
            gates = self._new_gates()
            if len(self._signals) != 1 or not gates:
                self._take(gates)
                return
            gate = gates[signum]
        _rehearse_single()
        self._busy, self._due = True, ()
        self._first = self._last = self._calm = _no_step
        course = self._leaving()
        next(course)
        self._course, self.close = course, course.__next__
        try:
            self._level, self._depth = len(_stack), len(_nested)
            self._gates, self._single = gates, gate
            _stack.append(self)
            if _getsignal(signum) is gate.outer:
                _swap(signum, gate)
            else:
                _shut(gates)
        except BaseException:
            self.close()
            raise

    def _attempt(self, error: BaseException | None) -> object:
        # The short way is for the first attempt. Wherever a handler breaks it off, the long way can go on.
        gate, self._single = self._single, None
        if (
            gate is not None
            and _get_ident() == _main
            and self._task is _task()
            and len(_nested) <= self._depth
            and _stack
            and _stack[-1] is self
            and _getsignal(signum := self._signals[0]) is gate
            and gate.family is None
        ):
            del _stack[-1]
            outer, self._due = gate.outer, self._gates or ()
            _swap(signum, outer)
            if callable(outer):  # as in _put_back
                _turn(gate, (outer, (), _NO_KEYWORDS, None))
            self._gates, self._busy = None, False
            if _queue:
                _deliver(self._due)
            return None
        return super()._attempt(error)

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
        """Return a context manager whose body runs in the state outside this mask; deferred signals are delivered there."""
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
    """Restores the state outside a mask within the body of the mask."""

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
    """Return a gate for each signal that has a handler in Python, is not masked already and is not to be left alone."""
    signums = [*compress(_CATCHABLE, map(callable, map(_getsignal, _CATCHABLE)))]
    handlers = [*map(_getsignal, signums)]
    apart = map(hasattr, handlers, repeat("__unmasked__"))  # in C: an audit's handler must add no turn to the loop
    gates = {}
    for signum, handler in compress(zip(signums, handlers, strict=True), map(not_, apart)):
        if handler is _default_int_handler or not (_defers(handler) or _is_left_alone(handler)):
            gates[signum] = _gate(handler, None)
    return gates


class _Owner(_Hold, Generic[T]):
    """Acquires and releases with signals masked, and unmasks between the two."""

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
                self._tries -= 1  # when they are used up, release all the same, masked or not
                if self._gates is None:
                    self._shut(self._reserve)  # _first has masked these already, if nothing interfered
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

    Whenever a signal arrives, either nothing was acquired, or the body was entered and ``__exit__`` runs to its end. A signal that
    arrives while the manager is entered or left is delivered at the first checkpoint inside the body, or after ``__exit__``. Every
    signal that has a handler in Python is held back, but not in the body. In other threads, where no handler runs, this is a
    plain ``with``.

    ``async with shield(factory, …)`` does the same for an asynchronous context manager. Signals wait while ``__aenter__`` and
    ``__aexit__`` are awaited. A cancellation that was requested before the manager is left, for example by the Ctrl-C that
    ``asyncio.run`` turns into one, is raised after the manager has been left.

    Parameters:
        factory: makes the context manager; called with ``args`` and ``kwargs``, masked.

    Raises:
        TypeError: ``factory`` returned something that is not a context manager.
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
        """Build the manager; return the method that enters it."""
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
        except BaseException as raised:  # noqa: BLE001  (a handler raised it: it waits until the release is over)
            trouble = raised
        try:
            return cast("bool | None", await self._exit(self._manager, kind, error, traceback))
        finally:
            if asked > self._cancelled >= _cancelling():
                asyncio = sys.modules["asyncio"]
                if isinstance(trouble, asyncio.CancelledError):
                    trouble = None  # the manager requested it itself, and took it back (timeouts, task groups)
            self._over()
            if share is not None:
                share.end()
            if trouble is not None:
                raise trouble

    def _over(self) -> None:
        """Reset, so that this object can be entered again."""
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
    """Return how many cancellations of the running task were requested and not taken back (asyncio)."""
    asyncio = sys.modules.get("asyncio")
    task = _task() if asyncio is not None else None
    return task.cancelling() if asyncio is not None and isinstance(task, asyncio.Task) else 0


async def _cancellation() -> BaseException | None:
    """Return the cancellation of the running task that was requested but not yet raised (asyncio), or ``None``."""
    if _cancelling():
        asyncio = sys.modules["asyncio"]
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError as error:
            return cast("BaseException", error)
    return None


class _Share:
    """One task's share of a mask: all tasks that enter or leave something at the same time have one mask in common."""

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
        """Give this share up; the last one unmasks."""
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

    Use it where not even a system call may be interrupted. The kernel's mask is restored exactly as it was, whatever a handler raises
    meanwhile. The kernel hands a signal to any thread that does not block it, and CPython then runs the handler in the main
    thread, even if that thread blocks the signal: while such a thread runs, this mask is void. Use :class:`mask` there.

    Parameters:
        signals: signal numbers; ``SIGINT`` if none is given.
        other_threads: what to do if another thread does not block the signals: ``refuse``, ``warn`` or ``allow``. On Linux, all
            threads are checked. Elsewhere only those of :mod:`threading` are, and each counts as one that does not block them.

    Raises:
        NotImplementedError: the platform has no ``pthread_sigmask`` (Windows).
        TypeError: a signal is not a number.
        ValueError: a signal cannot be held back, or ``other_threads`` is none of the three words.
        RuntimeError: on entering, another thread makes the mask void, or the same object is in force already; on leaving, the
            mask was entered in another thread.
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
            _signal.pthread_sigmask(signal.SIG_BLOCK, self._signals)  # after it has blocked, a handler may raise
        except BaseException:
            self.close()
            raise

    def _ask_threads(self) -> None:
        with bracket(_threads_that_take, len, self._signals) as others:  # masked: it takes a lock of threading
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
        # After it has set the mask, a handler may raise; to set it a second time does no harm.
        _signal.pthread_sigmask(signal.SIG_SETMASK, self._before)
        self._busy = False
        return None

    def __repr__(self) -> str:
        return f"sigmask({', '.join(map(_name, self._signals))})"


def _threads_that_take(signals: tuple[int, ...]) -> list[str]:
    """Return the names of other threads that do not block all of ``signals``, as far as the platform shows."""
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
    """Return a bit mask of the signals that a thread of this process blocks; all bits are set once it has ended."""
    try:
        with open(f"/proc/self/task/{thread}/status", encoding="utf-8") as status:
            fields = dict(line.split(":", 1) for line in status if ":" in line)
    except OSError:
        return -1
    return -1 if fields["State"].strip()[0] in "ZX" else int(fields["SigBlk"], 16)


# --- Queries ---


def is_masked(signum: int = signal.SIGINT) -> bool:
    """Return whether a mask holds ``signum`` back, or would if the signal were not ignored."""
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

    Call it at a safe place within a long masked region. An exception of a handler propagates after all handlers have been called.
    Outside the main thread, this does nothing.
    """
    if _queue and _get_ident() == _main:
        _deliver_outside(_CATCHABLE)
