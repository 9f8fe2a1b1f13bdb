"""Tests of properties that every engine must have."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import sys
import threading
import traceback
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from types import FrameType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.interrupts import Engine, Hit, choose
from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.interrupts.cpython.entering import with_checks_on_entering
from pytest_maskcheck.interrupts.places import Context
from pytest_maskcheck.interrupts.signals.tracing.tracer import Tracer

if TYPE_CHECKING:
    from tests.interrupts.conftest import Interrupt, Record


def helper(*args, **kwargs):
    return args


def twice():
    yield 1
    yield 2


class Thing:
    def method(self, *args):
        return args

    def items(self, *args):
        yield from args

    async def later(self, *args):
        return args

    def __repr__(self):
        return "Thing()"


class Special(Thing):
    def method(self, *args):
        return super().method(1)


thing = Thing()
special = Special()


def shown(hits: list[Hit], function: Callable[..., object]) -> list[tuple[str, int]]:
    """Return the kind and the line (0 is the ``def``) of the hits in ``function``."""
    code = function.__code__  # type: ignore[attr-defined]
    return [(hit.kind, hit.line - code.co_firstlineno) for hit in hits if hit.code is code]


def below_test(context: Context) -> list[tuple[str, int]]:
    """Return the part of a context that does not belong to the test itself."""
    names = [(code.co_name, offset) for code, offset in context]
    return list(itertools.takewhile(lambda site: not site[0].startswith("test_"), names))


def calls_python():
    helper(1)


def calls_builtin():
    os.getpid()


def calls_class():
    Thing()


def calls_method_with_star():
    thing.method(*(1, 2))


def calls_super():
    special.method(1)


def calls_generator_function():
    twice()


def calls_generator_method_with_star():
    thing.items(*(1, 2))


def loops():
    for _ in (1, 2):
        pass


def iterates():
    for _ in twice():
        pass


def formats():
    text = "a"
    return f"{text}{thing}"


def formats_the_old_way():
    return "%s" % thing  # noqa: UP031


def fails():
    try:
        float("x")
    except ValueError:
        pass


def calls_with_keyword():
    sorted([2, 1], key=abs)


def enters():
    with threading.Lock():  # noqa: PLW2101  (its own: on 3.14 it can stay locked, gh-148874)
        pass


def one_line(): return 1  # fmt: skip


ENTRY = ("entry", 0)
SUPER = [] if facts.HAS_MONITORING else [("call", 1)]  # 3.11 calls super(), later versions load the attribute at once
ENTERED = [("call", 1)] if with_checks_on_entering() else []


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (calls_python, [ENTRY]),
        (calls_builtin, [ENTRY, ("call", 1)]),
        (calls_class, [ENTRY, ("call", 1)]),
        (calls_method_with_star, [ENTRY, ("call", 1)]),
        (Special.method, [ENTRY, *SUPER]),
        (calls_generator_function, [ENTRY]),
        (calls_generator_method_with_star, [ENTRY, ("call", 1)]),
        (loops, [ENTRY, ("jump", 2), ("jump", 2)]),
        (iterates, [ENTRY, ("jump", 2), ("jump", 2)]),
        (formats, [ENTRY, ("call", 2)]),
        (formats_the_old_way, [ENTRY, ("call", 1)]),
        (fails, [ENTRY, ("call", 2)]),
        (calls_with_keyword, [ENTRY, ("call", 1)]),
        (enters, [ENTRY, ("call", 1), *ENTERED, ("call", 1)]),
        (one_line, [ENTRY]),
    ],
)
def test_the_places_of_small_functions(record: Record, function: Any, expected: Any) -> None:
    """Calls that are not inlined, backward jumps and conversions to text are places; other instructions are not."""
    assert shown(record(calls_super if function is Special.method else function).hits, function) == expected


def awaits():
    async def inner():
        await asyncio.sleep(0)

    async def outer():
        await inner()

    asyncio.run(outer())


def yields():
    list(twice())


def test_a_resumption_after_yield_is_a_place_and_one_after_await_is_not(record: Record) -> None:
    """A generator that its consumer resumes checks for signals; a coroutine that resumes after ``await`` does not."""
    assert [hit.kind for hit in record(yields).hits if hit.code is twice.__code__] == ["entry", "resume", "resume"]
    assert "resume" not in {hit.kind for hit in record(awaits).hits}


def closes():
    generator = twice()
    generator.close()
    started = twice()
    next(started)
    started.close()


def test_a_frame_that_an_exception_enters_has_no_place_there(record: Record) -> None:
    """A frame that ``close`` resumes has no place where it resumes, because it does not check for signals there."""
    assert [hit.kind for hit in record(closes).hits if hit.code is twice.__code__] == ["entry"]


def counts():
    for _ in (1, 2, 3):
        helper()


def test_the_hits_of_a_place_are_numbered(record: Record) -> None:
    """The n-th time that the main thread reaches a place is recorded as hit n."""
    hits = record(counts).hits
    assert [hit.number for hit in hits if hit.code is helper.__code__] == [1, 2, 3]


def deep():
    helper()
    nested()


def nested():
    helper()


def test_a_hit_knows_the_calls_that_led_to_it(record: Record) -> None:
    """The context of a hit lists the call sites in scope, innermost first."""
    entries = [hit for hit in record(deep).hits if hit.code is helper.__code__]
    assert [[name for name, _ in below_test(hit.context)] for hit in entries] == [["deep"], ["nested", "deep"]]


def in_thread():
    threads_only()


def threads_only():
    return os.getpid()


def starts_thread():
    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()


def test_other_threads_are_no_places(record: Record) -> None:
    """Lines that another thread runs are recorded as lines of other threads, not as hits."""
    recording = record(starts_thread)
    assert not [hit for hit in recording.hits if hit.code is threads_only.__code__]
    assert (__file__, threads_only.__code__.co_firstlineno) in recording.other_threads or (
        __file__,
        threads_only.__code__.co_firstlineno + 1,
    ) in recording.other_threads


MIXED = (
    *(
        calls_python,
        calls_builtin,
        calls_class,
        calls_method_with_star,
        calls_generator_method_with_star,
        loops,
        calls_super,
    ),
    *(iterates, formats, formats_the_old_way, fails, calls_with_keyword, enters, one_line, yields, counts, deep),
)


@pytest.mark.parametrize("function", MIXED, ids=lambda function: function.__name__)
def test_each_hit_is_struck_at_its_instruction(record: Record, interrupt: Interrupt, function: Any) -> None:
    """The interrupt surfaces at the instruction of the hit, and the strike records that it did."""
    function()
    for hit in record(function).hits:
        result = interrupt(hit, function)
        assert isinstance(result.error, KeyboardInterrupt)
        assert result.strike.fired
        assert result.strike.raised
        assert result.struck == 1
        assert result.place is not None
        assert (result.place[0], facts.landing(*result.place)) == (hit.code, hit.offset)
        assert below_test(result.strike.context) == below_test(hit.context)


def statements():
    number = 1
    number += 1
    for _ in (1, 2):
        number += 1
    return number


def test_line_hits_are_the_lines_that_run(record: Record) -> None:
    """In mode ``line`` there is a hit each time that a line begins."""
    hits = record(statements, "line").hits
    lines = [line for _, line in shown(hits, statements)]
    assert lines[:2] == [1, 2]
    assert lines.count(4) == 2
    assert {hit.kind for hit in hits} == {"line"}


def test_raise_mode_raises_as_the_line_begins(record: Record, interrupt: Interrupt) -> None:
    """In mode ``raise`` the interrupt surfaces at the line of the hit, before anything on that line has run."""
    for hit in record(statements, "raise").hits:
        result = interrupt(hit, statements, "raise")
        assert isinstance(result.error, KeyboardInterrupt)
        assert result.strike.raised
        assert result.strike.code is hit.code
        traces = []
        trace = result.error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code is hit.code:
                traces.append(trace.tb_lineno)
            trace = trace.tb_next
        assert traces[-1] == hit.line


def test_a_function_on_one_line_has_a_line(record: Record, interrupt: Interrupt) -> None:
    """``def f(): return 1`` has a hit in mode ``raise`` and is interrupted there, though it may have no line event."""
    (hit,) = record(one_line, "raise").hits
    assert hit.code is one_line.__code__
    assert isinstance(interrupt(hit, one_line, "raise").error, KeyboardInterrupt)


def lines_and_calls():
    os.getpid()
    number = 1
    os.getpid()
    return number


def test_line_mode_leaves_the_signal_to_the_interpreter(record: Record, interrupt: Interrupt) -> None:
    """In mode ``line`` the interrupt is left pending when the line begins, and surfaces at the next checkpoint."""
    hits = record(lines_and_calls, "line").hits
    surfaced = []
    for hit in hits:
        result = interrupt(hit, lines_and_calls, "line")
        assert result.strike.fired
        if hit.line - hit.code.co_firstlineno <= 3:
            assert result.place is not None
            surfaced.append(
                (hit.line - hit.code.co_firstlineno, facts.is_call(result.place[0], facts.landing(*result.place)))
            )
    assert surfaced == [(1, True), (2, True), (3, True)]


def alone(check: Callable[[], object]) -> int:
    """Run a check in a forked child; return 0 if it passed. A child has one thread: other threads would receive blocked signals."""
    child = os.fork()
    if not child:
        try:
            check()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("kind", ["entry", "call", "jump"])
def test_a_blocked_signal_is_held(record: Record, interrupt: Interrupt, kind: str) -> None:
    """A signal that the main thread blocks does not arrive, and is not left pending after the strike."""

    def work():
        os.getpid()
        for _ in (1, 2):
            pass

    def check():
        hit = next(hit for hit in record(work).hits if hit.kind == kind)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        result = interrupt(hit, work)
        assert result.strike.fired
        assert (result.error, result.strike.held) == (None, "signal mask")
        assert not result.strike.raised
        assert signal.SIGINT not in signal.sigpending()

    assert alone(check) == 0


@pytest.mark.parametrize("kind", ["entry", "call", "jump"])
def test_the_handler_in_force_is_called_with_the_interrupted_frame(
    record: Record, interrupt: Interrupt, kind: str
) -> None:
    """A user's handler is called with the signal number and the interrupted frame."""
    seen: list[tuple[int, FrameType | None]] = []

    def work():
        os.getpid()
        for _ in (1, 2):
            pass

    hit = next(hit for hit in record(work).hits if hit.kind == kind)
    signal.signal(signal.SIGTERM, lambda number, frame: seen.append((number, frame)))
    result = interrupt(hit, work, signum=signal.SIGTERM)
    ((number, frame),) = seen
    assert number == signal.SIGTERM
    assert frame is not None
    assert frame.f_code is work.__code__
    assert (result.error, result.strike.raised or False) == (None, False)
    assert "<lambda>" in result.strike.handler


@pytest.mark.parametrize("kind", ["entry", "call", "jump"])
def test_an_ignored_signal_does_nothing(record: Record, interrupt: Interrupt, kind: str) -> None:
    """Under ``SIG_IGN`` the strike fires and nothing is raised, and the strike records both."""

    def work():
        os.getpid()
        for _ in (1, 2):
            pass

    hit = next(hit for hit in record(work).hits if hit.kind == kind)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    result = interrupt(hit, work)
    assert result.strike.fired
    assert (result.error, result.strike.raised, result.strike.handler) == (None, False, "SIG_IGN")


@pytest.mark.parametrize("kind", ["entry", "call", "jump"])
def test_the_wakeup_descriptor_is_written(record: Record, interrupt: Interrupt, kind: str) -> None:
    """A strike writes the signal number to the wakeup descriptor, so that event loops wake as for a real signal."""

    def work():
        os.getpid()
        for _ in (1, 2):
            pass

    hit = next(hit for hit in record(work).hits if hit.kind == kind)
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        right.setblocking(False)
        before = signal.set_wakeup_fd(right.fileno())
        try:
            result = interrupt(hit, work)
            assert left.recv(9) == bytes([signal.SIGINT])
        finally:
            signal.set_wakeup_fd(before)
    assert isinstance(result.error, KeyboardInterrupt)


@pytest.mark.parametrize("where", ["before", "directly", "by_another", "in_the_end_closed"])
def test_a_wakeup_descriptor_is_not_written_while_recording(record: Record, where: str) -> None:
    """Probes write nothing to the wakeup descriptor, however it was set, and leave it set."""
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    descriptor, seen = right.fileno(), []

    def work():
        if where == "directly":
            seen.append(signal.set_wakeup_fd(descriptor))
        elif where == "by_another":
            asyncio_sets(descriptor)
        work_within()
        if where == "in_the_end_closed":
            signal.set_wakeup_fd(descriptor)
            right.close()
        seen.append(signal.set_wakeup_fd(-1))

    def work_within():
        for _ in (1, 2):
            os.getpid()

    def asyncio_sets(number):  # the code that runs contains the name, even if the call itself does not use it
        getattr(signal, "set_wakeup_fd")(number, warn_on_full_buffer=False)  # noqa: B009
        return signal.set_wakeup_fd

    with left, right:
        before = signal.set_wakeup_fd(descriptor if where == "before" else -1)
        try:
            hits = record(work).hits
            with pytest.raises(BlockingIOError) if where != "in_the_end_closed" else nullcontext():
                assert left.recv(1) == b""
        finally:
            signal.set_wakeup_fd(before)
    assert seen[-1] == descriptor
    kinds = [hit.kind for hit in hits if hit.code.co_name == "work_within"]
    assert kinds == ["entry", "call", "jump", "call", "jump"]


def test_struck_is_called_just_before(engine: Engine, record: Record) -> None:
    """The callback ``struck`` is called before the handler runs."""
    order: list[str] = []

    def work():
        os.getpid()

    hit = next(hit for hit in record(work).hits if hit.kind == "call")
    signal.signal(signal.SIGTERM, lambda *_: order.append("handler"))
    with engine.strike(
        hit.trigger, lambda file: file == __file__, "checkpoint", signal.SIGTERM, lambda: order.append("struck")
    ):
        work()
    assert order == ["struck", "handler"]


def test_a_place_that_is_not_reached_is_not_struck(record: Record, interrupt: Interrupt) -> None:
    """A strike does not fire in a run that does not reach its place."""
    hit = record(counts).hits[0]
    result = interrupt(hit, deep)
    assert (result.error, result.strike.fired, result.struck) == (None, False, 0)


def test_all_handlers_are_as_before(record: Record, interrupt: Interrupt) -> None:
    """After a recording and a strike, all signals have their former handlers, including the one used as a probe."""
    numbers = sorted(signal.valid_signals())
    before = [signal.getsignal(number) for number in numbers]
    hit = record(deep).hits[-1]
    interrupt(hit, deep)
    assert [signal.getsignal(number) for number in numbers] == before


class Mortal:
    pass


def drops(log):
    mortal = Mortal()
    weakref.finalize(mortal, log.append, "gone")
    helper(mortal)
    twice()
    del mortal
    log.append("dropped")
    local = Mortal()
    weakref.finalize(local, log.append, "local gone")


def test_watching_keeps_nothing_alive(record: Record) -> None:
    """Objects that a function drops die at the same moment in a recorded run as in an unwatched run."""
    log: list[str] = []

    def work():
        drops(log)
        log.append("returned")

    work()
    unwatched = log.copy()
    log.clear()
    record(work)
    assert log == unwatched == ["gone", "dropped", "local gone", "returned"]


def exports():
    data = bytearray(1)
    try:
        bytes(memoryview(data))
    finally:
        data.append(1)


def test_what_an_interrupted_call_was_given_does_not_live_on(record: Record, interrupt: Interrupt) -> None:
    """When the interrupt reaches ``finally``, the argument of the interrupted call is gone, so the buffer it viewed can grow."""
    hits = [hit for hit in record(exports).hits if hit.kind == "call"]
    assert len(hits) >= 2
    for hit in hits:
        assert isinstance(interrupt(hit, exports).error, KeyboardInterrupt)


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_is_not_watched(engine: Engine, record: Record) -> None:
    """A child that the code under test forks is not interrupted: the engine does not watch it."""

    def work():
        child = os.fork()
        if not child:
            try:
                helper()
                os._exit(7)
            except KeyboardInterrupt:
                os._exit(9)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    helper_entry = [hit for hit in record(lambda: helper()).hits if hit.code is helper.__code__][0]  # noqa: PLW0108, RUF015
    with engine.strike(
        helper_entry.trigger, lambda file: file == __file__, "checkpoint", signal.SIGINT, lambda: None
    ) as strike:
        assert work() == 7
    assert not strike.fired


def test_the_chosen_engine_says_why() -> None:
    """``choose`` returns a reason that names the chosen engine."""
    mechanism, reason = choose()
    assert mechanism.engine.name in reason


def test_what_an_interrupt_keeps_armed_is_disarmed(engine: Engine) -> None:
    """``disarm`` stops a recording that was never ended, as when the user's Ctrl-C prevents a context manager from ending."""
    watching = engine.record(lambda file: file == __file__, "checkpoint")
    watching.__enter__()
    assert armed()
    engine.disarm()
    assert not armed()
    engine.disarm()  # a second call must be harmless


def armed() -> bool:
    """Return whether a tool of ours is taken, or a trace function of ours is set."""
    monitoring = getattr(sys, "monitoring", None)
    if monitoring is None:
        return isinstance(getattr(sys.gettrace(), "__self__", None), Tracer)
    return "maskcheck" in map(monitoring.get_tool, (3, 4))
