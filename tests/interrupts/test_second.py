"""Tests of what begins when an interrupt has landed: a recording, or the wait for a second interrupt. They hold for every engine."""

from __future__ import annotations

import operator
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from types import CodeType, FrameType
from typing import Any

import pytest

from pytest_maskcheck.interrupts import Engine, Hit, Mode, Recording, Strike
from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.interrupts.signals.states import SignalRecording

LOCK = threading.Lock()


def helper(*args):
    return args


class Thing:
    def method(self, *args):
        helper(*args)
        return args

    def __str__(self):
        return helper(1) and "thing"

    def __enter__(self):
        helper(2)
        return self

    def __exit__(self, *error):
        helper(3)
        os.getpid()


thing = Thing()


def twice():
    yield 1
    yield 2


@contextmanager
def managed():
    os.getpid()
    try:
        yield helper(1)
    finally:
        os.getpid()
        helper(2)


def releases():
    helper(1)
    LOCK.acquire()
    try:
        os.getpid()
        helper(2)
        for _ in (1, 2):
            pass
    except BaseException:
        LOCK.release()
        raise
    LOCK.release()


def finally_loops():
    try:
        os.getpid()
    finally:
        for _ in twice():
            helper(1)
        f"{thing}"


def uses_managers():
    with managed():
        helper(4)
        with thing:
            os.getpid()
            thing.method(*(1, 2))


def calls_in_calls():
    list(map(helper, [2, 1]))  # no keyword: cold, a call with keywords is not checked on 3.14
    thing.method(*(helper(1), sorted([1], key=None)))
    "%s" % thing  # noqa: UP031
    for _ in (1, 2):
        pass
    os.getpid()


WORK = (releases, finally_loops, uses_managers, calls_in_calls)


class OwnError(Exception):
    """Raised by the handlers of these tests."""


Log = list[tuple[CodeType, int]]


def noting(log: Log, *, raises: bool) -> Callable[[int, FrameType | None], object]:
    """Return a handler that records where it was called, and itself calls a function in scope."""

    def handler(_: int, frame: FrameType | None) -> None:
        assert frame is not None
        log.append((frame.f_code, facts.landing(frame.f_code, frame.f_lasti)))
        helper(5)
        if raises:
            raise OwnError

    return handler


here = partial(operator.eq, __file__)  # C code, since a Python function here would itself be in scope


def attempt(task: Callable[[], object]) -> BaseException | None:
    """Run a task; return the exception that it raised, or ``None``."""
    try:
        task()
        os.getpid()  # a checkpoint for a signal that is still pending
    except BaseException as error:
        return error
    finally:
        if LOCK.locked():
            LOCK.release()
    return None


@pytest.fixture
def follow(engine: Engine):
    """Return a function that records what a run reaches after an interrupt."""

    def follow(first: Hit, task: Any, mode: Mode = "checkpoint", signum: int = signal.SIGINT) -> Recording:
        tail = SignalRecording()
        with engine.strike(first.trigger, here, mode, signum, lambda: None, then=tail) as strike:
            attempt(task)
        assert strike.fired
        assert strike.landed
        return tail

    return follow


@pytest.fixture
def interrupt_twice(engine: Engine):
    """Return a function that interrupts a run twice."""

    def interrupt_twice(
        first: Hit, second: Hit, task: Any, mode: Mode = "checkpoint", signum: int = signal.SIGINT
    ) -> tuple[Strike, BaseException | None, int]:
        calls: list[int] = []
        with engine.strike(first.trigger, here, mode, signum, lambda: calls.append(1), then=second.trigger) as strike:
            error = attempt(task)
        return strike, error, len(calls)

    return interrupt_twice


def place(error: BaseException | None) -> tuple[CodeType, int] | None:
    """Return the innermost instruction of this file that an exception passed through."""
    found = None
    trace = error.__traceback__ if error else None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == __file__:
            found = (trace.tb_frame.f_code, facts.landing(trace.tb_frame.f_code, trace.tb_lasti))
        trace = trace.tb_next
    return found


def where(hit: Hit) -> tuple[CodeType, int]:
    return hit.code, hit.offset


@pytest.mark.parametrize("raises", [True, False])
@pytest.mark.parametrize("task", WORK, ids=lambda task: task.__name__)
def test_both_handlers_run_at_the_places_that_were_predicted(record, follow, interrupt_twice, task, raises) -> None:
    """At every pair of places the user's handler is called twice, at the first place and at the second."""
    task()
    pairs = 0
    log: Log = []
    for first in record(task).hits:
        signal.signal(signal.SIGTERM, noting([], raises=raises))
        for second in follow(first, task, signum=signal.SIGTERM).hits:
            if "attempt" in second.code.co_qualname:
                continue
            pairs += 1
            log.clear()
            signal.signal(signal.SIGTERM, noting(log, raises=raises))
            strike, error, calls = interrupt_twice(first, second, task, signum=signal.SIGTERM)
            cut_short = (
                raises and second.code.co_name == "handler" and second.kind == "entry"
            )  # interrupted before it recorded the first call
            assert Counter(log) == Counter([where(second), *([] if cut_short else [where(first)])])
            assert (strike.fired, calls) == (True, 1)
            assert strike.error is (OwnError if raises else None)
            assert strike.earlier is not None
            assert strike.earlier.error is strike.error
            assert isinstance(error, OwnError) or not raises
    assert pairs > 20


@pytest.mark.parametrize("task", WORK, ids=lambda task: task.__name__)
def test_the_second_of_two_keyboard_interrupts_surfaces_at_its_place(record, follow, interrupt_twice, task) -> None:
    """Under Python's own handler, the second ``KeyboardInterrupt`` surfaces at its place, with the first one as its context."""
    task()
    for first in record(task).hits:
        for second in follow(first, task).hits:
            if second.code is attempt.__code__:
                continue
            strike, error, _ = interrupt_twice(first, second, task)
            assert strike.fired
            assert isinstance(error, KeyboardInterrupt)
            assert place(error) == where(second)
            assert isinstance(error.__context__, KeyboardInterrupt)
            assert place(error.__context__) == where(first)


@pytest.mark.parametrize("task", WORK, ids=lambda task: task.__name__)
def test_after_a_handler_that_returns_the_rest_of_the_run_is_recorded(record, follow, task) -> None:
    """After a handler that returns, the recording has all places that the uninterrupted run reaches from there on, calls under way too."""
    task()
    hits = record(task).hits
    log: list[FrameType] = []
    for position, first in enumerate(hits):
        signal.signal(signal.SIGTERM, log.insert)  # a handler in C, so that nothing of it is recorded
        tail = follow(first, task, signum=signal.SIGTERM).hits
        rest = [where(hit) for hit in hits[position + 1 :]]
        assert [where(hit) for hit in tail][: len(rest)] == rest
        assert {hit.code for hit in tail[len(rest) :]} <= {attempt.__code__}
    assert len(log) == len(hits)


@pytest.mark.parametrize("task", [finally_loops, uses_managers], ids=lambda task: task.__name__)
def test_real_signals_after_the_first_land_at_second_points(engine, record, follow, task) -> None:
    """A real signal from a timer that the first handler starts lands only at recorded second points."""
    task()
    landed: Log = []

    def alarm(_: int, frame: FrameType | None) -> None:
        if frame is not None and frame.f_code.co_filename == __file__:
            landed.append((frame.f_code, facts.landing(frame.f_code, frame.f_lasti)))

    def start(*_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, random.random() * 60e-6 + 1e-6)
        raise OwnError

    def predicted(first: Hit) -> set[tuple[CodeType, int]]:
        signal.signal(signal.SIGTERM, noting([], raises=True))
        tail = follow(first, task, signum=signal.SIGTERM).hits
        signal.signal(signal.SIGTERM, start)
        return {where(hit) for hit in tail}

    def shoot(first: Hit) -> set[tuple[CodeType, int]]:
        landed.clear()
        for _ in range(40):
            with engine.strike(first.trigger, here, "checkpoint", signal.SIGTERM, lambda: None):
                attempt(task)
            signal.setitimer(signal.ITIMER_REAL, 0)
        around = {attempt.__code__, start.__code__, alarm.__code__, shoot.__code__}
        return {place for place in landed if place[0] not in around}

    before = signal.signal(signal.SIGALRM, alarm)
    try:
        places = {(number, hit): predicted(hit) for number, hit in enumerate(record(task).hits)}
        found = 0
        for _ in range(20):  # on a machine that is slow to deliver, all signals of one round may come too late
            for (_, first), expected in places.items():
                shot = shoot(first)
                assert shot <= expected
                found += len(shot)
            if found > 10:
                break
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert found > 10
