"""Tests of the facts about this interpreter, measured with real pending signals: they fail when a fact stops being true."""

# ruff: noqa: B018  (reading an attribute is what makes the signal pending)

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.interrupts.cpython.entering import checks_on_return, with_checks_on_entering
from pytest_maskcheck.interrupts.signals.delivery import Trip

SIGNAL = getattr(signal, "SIGUSR1", signal.SIGTERM)
SENT = Trip(SIGNAL)


class Silent:
    now = None


SILENT = Silent()


def landing(function: Callable[..., object], *args: object, warm: bool) -> tuple[int, Any]:
    """Return the place in ``function`` where CPython handles the signal that ``trip.now`` makes pending in it.

    Parameters:
        function: a function whose first parameter is ``trip``.
        args: its other arguments.
        warm: the function runs often beforehand, without a signal.
    """
    for _ in range(100 if warm else 0):
        function(SILENT, *args)
    landed: list[tuple[FrameType, int]] = []

    def handler(_: int, frame: FrameType | None) -> None:
        assert frame is not None
        landed.append((frame, frame.f_lasti))

    before = signal.signal(SIGNAL, handler)
    try:
        result = function(SENT, *args)
        len("a checkpoint")
    finally:
        signal.signal(SIGNAL, before)
    ((frame, offset),) = landed
    return (facts.landing(frame.f_code, offset) if frame.f_code is function.__code__ else -1), result  # type: ignore[attr-defined]


both = pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])


def fresh(function: Any) -> Any:
    """Return a copy of the function whose code object has never run."""
    return type(function)(function.__code__.replace(), function.__globals__)


def enter_lock(trip, lock):
    trip.now
    with lock:
        pass


@both
@pytest.mark.parametrize("lock", [threading.Lock(), threading.RLock()], ids=["Lock", "RLock"])
def test_with_checks_after_enter_on_one_version(lock: Any, warm: bool) -> None:
    """``with`` checks after ``__enter__`` exactly if ``with_checks_on_entering`` returns true; otherwise only after ``__exit__``."""
    function = fresh(enter_lock)
    offset, _ = landing(function, lock, warm=warm)
    assert facts.is_call(function.__code__, offset)
    assert facts.enters_with(function.__code__, offset) == with_checks_on_entering()
    assert checks_on_return(function.__code__, offset)


def calls(trip, value):
    trip.now
    str(value)


@both
def test_a_call_of_a_builtin_checks(warm: bool) -> None:
    """A signal lands on the call of a builtin, cold or warm, though 3.11 stops at the preparation of a warm call."""
    function = fresh(calls)
    offset, _ = landing(function, 1, warm=warm)
    assert facts.is_call(function.__code__, offset)


def keyword_call(trip, value):
    trip.now
    sorted(value, key=abs)
    trip = 1


def test_a_warm_keyword_call_of_a_builtin_checks() -> None:
    """A warm call of a builtin with keywords checks, so it is a place, though a cold one does not check on 3.14 and 3.15."""
    function = fresh(keyword_call)
    offset, _ = landing(function, [2, 1], warm=True)
    assert facts.is_call(function.__code__, offset)


def loops(trip, value):
    trip.now
    while value:
        value -= 1


@both
def test_a_backward_jump_checks(warm: bool) -> None:
    """A signal lands on the backward jump of a loop, cold or warm, though 3.11 fuses a warm comparison with the jump."""
    function = fresh(loops)
    offset, _ = landing(function, 3, warm=warm)
    assert facts.is_backward_jump(function.__code__, offset)


def compares(trip, value):
    trip.now
    while value > 0:
        value -= 1


@both
def test_a_comparison_that_decides_a_jump_lands_on_the_jump(warm: bool) -> None:
    """A signal lands on the backward jump of a loop whose condition compares integers, cold or warm."""
    function = fresh(compares)
    offset, _ = landing(function, 3, warm=warm)
    assert facts.is_backward_jump(function.__code__, offset)


def formats(trip, value):
    trip.now
    return f"{value}"


def converts(trip, value):
    trip.now
    return f"{value!r:>4}"


def remainders(trip, value):
    trip.now
    return "%s" % value  # noqa: UP031


@both
@pytest.mark.parametrize("template", [formats, converts, remainders], ids=lambda function: function.__name__)
def test_making_text_of_an_object_checks(template: Any, warm: bool) -> None:
    """Converting an object to text in an f-string or with ``%`` checks for signals."""
    function = fresh(template)
    offset, _ = landing(function, 1.5, warm=warm)
    assert facts.makes_text(function.__code__, offset)


@both
@pytest.mark.parametrize("template", [formats, remainders], ids=lambda function: function.__name__)
def test_text_itself_is_not_made_anew(template: Any, warm: bool) -> None:
    """Formatting a string does not check for signals, so the recorder must probe each time."""
    function = fresh(template)
    assert landing(function, "text", warm=warm)[0] == -1


def fails(trip, function):
    try:
        trip.now
        return function("x")
    except ValueError:
        return "the interrupt is lost"


@pytest.mark.parametrize("function", [int, float])
def test_a_failing_int_loses_interrupts(function: type) -> None:
    """An exception that a handler raises inside ``int("x")`` is replaced, as ``loses_interrupts`` reports; ``float`` keeps it."""

    def handler(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(SIGNAL, handler)
    try:
        result = fails(SENT, function)
    except KeyboardInterrupt:
        result = "the interrupt came out"
    finally:
        signal.signal(SIGNAL, before)
    assert result == ("the interrupt is lost" if facts.loses_interrupts(function) else "the interrupt came out")


class Thing:
    def method(self, *args):
        return args


def star_call(trip, function):
    trip.now
    function(*(1, 2))


@pytest.mark.skipif(not facts.HAS_MONITORING, reason="no sys.monitoring")
def test_star_calls_of_methods_fire_call_events_or_not() -> None:
    """A method called through ``*args`` fires no ``CALL`` event exactly if ``STAR_CALL_OF_METHOD_IS_SILENT`` is true."""
    monitoring = sys.monitoring
    seen: list[object] = []
    monitoring.use_tool_id(4, "test")
    try:
        monitoring.register_callback(4, monitoring.events.CALL, lambda *_: seen.append(1))
        monitoring.set_local_events(4, star_call.__code__, monitoring.events.CALL)
        star_call(SILENT, Thing().method)
        monitoring.set_local_events(4, star_call.__code__, 0)
        monitoring.register_callback(4, monitoring.events.CALL, None)
    finally:
        monitoring.free_tool_id(4)
    assert (not seen) == facts.STAR_CALL_OF_METHOD_IS_SILENT


@pytest.mark.skipif(facts.HAS_MONITORING, reason="a fact about sys.settrace")
def test_tracing_hides_what_an_extended_argument_belongs_to() -> None:
    """``sys.settrace`` fires no opcode event at the offset of an instruction that has an ``EXTENDED_ARG``, only at the prefix."""
    source = "def function(a):\n if a:\n" + "  a = a.real\n" * 300 + " return a\n"
    space: dict[str, Any] = {}
    exec(source, space)
    function = space["function"]
    code = function.__code__
    prefixes = [at for at in range(0, len(code.co_code), facts.CODE_UNIT) if facts.operation(code, at) != at]
    offsets: set[int] = set()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        frame.f_trace_opcodes = True
        if event == "opcode" and frame.f_code is code:
            offsets.add(frame.f_lasti)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(1)
    finally:
        sys.settrace(before)
    assert offsets & set(prefixes)
    assert not offsets & {facts.operation(code, at) for at in prefixes}
