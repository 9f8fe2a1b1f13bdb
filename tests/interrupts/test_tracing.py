"""Tests of the engine built on ``sys.settrace``."""

from __future__ import annotations

import collections
import os
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.interrupts.cpython import facts

if TYPE_CHECKING:
    from types import FrameType

    from tests.interrupts.conftest import Interrupt, Record

pytestmark = pytest.mark.skipif(facts.HAS_MONITORING, reason="the engine of this interpreter is another")


def work():
    os.getpid()


def test_the_trace_function_is_restored(record: Record, interrupt: Interrupt) -> None:
    """After a recording, and after a strike that raised, the former trace function is set again."""
    seen: list[str] = []

    def trace(frame: FrameType, event: str, _: object) -> None:
        seen.append(frame.f_code.co_name)

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        hit = record(work).hits[-1]
        assert sys.gettrace() is trace
        interrupt(hit, work)
        assert sys.gettrace() is trace
    finally:
        sys.settrace(before)


def generator():
    yield 1


def makes_generator():
    return generator()


def test_the_call_of_a_generator_function_is_no_place(record: Record) -> None:
    """The call of a generator function is not a place: it is inlined, and returns the generator without a check."""
    assert [hit.kind for hit in record(makes_generator).hits] == ["entry"]


def nested(*args):
    return args


def star_call():
    nested(*(1, 2))


def test_a_function_called_with_star_is_checked_on_return(record: Record) -> None:
    """A call of a function through ``*args`` is a place on 3.11, which does not inline it."""
    assert [hit.kind for hit in record(star_call).hits if hit.code is star_call.__code__] == ["entry", "call"]


def long_loop():
    pairs = collections.deque([(1, 2), (3, 4)])
    while pairs:
        left, right = pairs.popleft()
        nested(left, right, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, left, right, left, right, left, right, left)
        nested(left, right, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, left, right, left, right, left, right, left)
        nested(left, right, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, left, right, left, right, left, right, left)
        nested(left, right, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, left, right, left, right, left, right, left)
        nested(left, right, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, left, right, left, right, left, right, left)
        nested(left, right, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, left, right, left, right, left, right, left)
        nested(left, right, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, left, right, left, right, left, right, left)
        nested(left, right, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, left, right, left, right, left, right, left)


def test_the_jump_of_a_long_loop_is_a_place(record: Record, interrupt: Interrupt) -> None:
    """The place of a long loop is its backward jump, though tracing reports only the ``EXTENDED_ARG`` before it."""
    (hit,) = [hit for hit in record(long_loop).hits if hit.kind == "jump"]
    assert hit.trigger.offset != hit.offset
    assert facts.is_backward_jump(hit.code, hit.offset)
    result = interrupt(hit, long_loop)
    assert result.place is not None
    assert facts.landing(*result.place) == hit.offset
