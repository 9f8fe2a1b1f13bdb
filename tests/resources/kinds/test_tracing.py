"""Trace and profile functions, and tools of ``sys.monitoring``."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources.kinds.tracing import Tracing

if TYPE_CHECKING:
    from tests.resources.conftest import Watch


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    profile, trace, new = sys.getprofile(), sys.gettrace(), threading.gettrace()
    yield
    sys.setprofile(profile)
    sys.settrace(trace)
    threading.settrace(new)


def nothing(*_: object) -> None:
    """Do nothing."""


def test_another_function_is_altered_state(watch: Watch) -> None:
    """Functions of this thread and those for new threads are reported under separate keys; repair restores the former ones."""
    kind = Tracing()
    compare = watch(kind)
    threading.settrace(nothing)
    sys.setprofile(nothing)
    found = compare()
    again = compare()
    repaired = [kind.repair(leftover) for leftover in found]
    assert [leftover.key for leftover in found] == ["sys.getprofile", "threading.gettrace"]
    assert found[0].detail.startswith(f"sys.getprofile() returns {__name__}.nothing (before: ")
    assert again == found
    assert repaired == [True, True]
    assert compare() == []


def test_functions_put_back_are_no_difference(watch: Watch) -> None:
    """A function restored before the end of the run is not reported."""
    compare = watch(Tracing())
    old = sys.gettrace()
    sys.settrace(nothing)
    sys.settrace(old)
    assert compare() == []


@pytest.mark.skipif(not hasattr(sys, "monitoring"), reason="no sys.monitoring")
def test_a_tool_of_sys_monitoring_is_altered_state(watch: Watch) -> None:
    """A tool is reported under its name, and repair frees its number; the audit's own tool is not reported."""
    kind = Tracing()
    compare = watch(kind)
    tool = next(tool for tool in range(5, -1, -1) if sys.monitoring.get_tool(tool) is None)
    sys.monitoring.use_tool_id(tool, "a tool")
    (leftover,) = compare()
    assert (leftover.key, leftover.altered) == ("monitoring a tool", True)
    assert kind.repair(leftover) is True
    assert compare() == []
    sys.monitoring.use_tool_id(tool, "maskcheck")
    assert compare() == []
    sys.monitoring.free_tool_id(tool)
