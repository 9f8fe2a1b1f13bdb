"""Tests of the engine built on ``sys.monitoring``."""

from __future__ import annotations

import os
import sys
from types import MethodType
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.interrupts import EngineUnavailableError
from pytest_maskcheck.interrupts.cpython import facts

if TYPE_CHECKING:
    from tests.interrupts.conftest import Interrupt, Record

pytestmark = pytest.mark.skipif(not facts.HAS_MONITORING, reason="no sys.monitoring")


def work():
    os.getpid()


def test_the_tool_is_given_back(record: Record, interrupt: Interrupt) -> None:
    """After a recording, and after a strike that raised, tools 3 and 4 are free and no callbacks are left."""
    hit = record(work).hits[-1]
    assert [sys.monitoring.get_tool(tool) for tool in (3, 4)] == [None, None]
    assert isinstance(interrupt(hit, work).error, KeyboardInterrupt)
    assert [sys.monitoring.get_tool(tool) for tool in (3, 4)] == [None, None]
    assert all(sys.monitoring.register_callback(4, 1 << event, None) is None for event in range(12))


def test_the_other_tool_is_used(record: Record) -> None:
    """If tool 4 is taken, the engine uses tool 3 and leaves tool 4 alone."""
    expected = len(record(work).hits)
    sys.monitoring.use_tool_id(4, "somebody")
    try:
        assert len(record(work).hits) == expected
        assert sys.monitoring.get_tool(4) == "somebody"
    finally:
        sys.monitoring.free_tool_id(4)


def test_without_a_free_tool_the_engine_refuses(record: Record) -> None:
    """If tools 3 and 4 are taken, recording raises an error that names them."""
    for tool in (3, 4):
        sys.monitoring.use_tool_id(tool, "somebody")
    try:
        with pytest.raises(EngineUnavailableError, match="tools 3 and 4"):
            record(work)
    finally:
        for tool in (3, 4):
            sys.monitoring.free_tool_id(tool)


def plain(*args):
    return args


class Thing:
    def method(self, *args):
        if len(args) == 3:
            raise ValueError
        return args

    def items(self, *args):
        yield from args


def star_calls():
    thing = Thing()
    for function in (thing.method, plain, len, thing.items, MethodType(len, "abc")):
        try:
            function(*(1, 2, 3))
        except (TypeError, ValueError):
            pass
        try:
            function(*())
        except TypeError:
            pass


def test_star_calls_are_told_apart(record: Record, interrupt: Interrupt) -> None:
    """Calls through ``*args`` are places for methods, not for functions; a failing call is one only if its message calls ``str``."""
    hits = [hit for hit in record(star_calls).hits if hit.kind == "call" and facts.is_star_call(hit.code, hit.offset)]
    lines = [hit.line - star_calls.__code__.co_firstlineno for hit in hits]
    assert lines == [8, *(4, 8), *(4, 8), *(4, 8)]
    for hit in hits:
        result = interrupt(hit, star_calls)
        assert isinstance(result.error, KeyboardInterrupt)
        assert result.place == (hit.code, hit.offset)
