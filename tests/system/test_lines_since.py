"""The lines that run from an interrupt on: noted from its beginning to its end, each once, without Python code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.system.lines_since import LinesSince

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="nothing can watch which lines run")


def made(text: str) -> Callable[[], object]:
    """Return a new function, as if it were written in a file of its own."""
    names: dict[str, Callable[[], object]] = {}
    exec(compile(text, "/somewhere/it.py", "exec"), names)
    return names["f"]


def numbers(found: frozenset[tuple[str, int]] | None) -> set[int]:
    """Return the lines of that file."""
    assert found is not None
    return {line for path, line in found if path == "/somewhere/it.py"}


def test_lines_are_noted_from_the_beginning_on_only() -> None:
    """What runs before the beginning, or after the end, is not noted; of a function under way, the rest is."""
    since = LinesSince()
    one = made("def f(begin):\n    abs(1)\n    begin()\n    for n in range(9):\n        abs(n)\n    return 1\n")
    other = made("def f():\n    return 1\n")
    one(lambda: None)
    one(since.begin)  # type: ignore[call-arg]
    found = since.end()
    other()
    assert numbers(found) == {4, 5, 6}
    assert since.end() == frozenset()


def test_lines_are_reported_once_in_a_process() -> None:
    """A further run reports only lines that no earlier one has."""
    since = LinesSince()
    one = made("def f(way=0):\n    if way:\n        return 2\n    return 1\n")
    since.begin()
    one()
    assert numbers(since.end()) == {2, 4}
    since.begin()
    one(1)  # type: ignore[call-arg]
    assert numbers(since.end()) == {3}


def test_a_second_interrupt_goes_on_with_the_first() -> None:
    """The second of two interrupts in a run does not end what the first one began."""
    since = LinesSince()
    one = made("def f():\n    return 1\n")
    since.begin()
    one()
    since.begin()
    assert numbers(since.end()) == {2}


def test_tools_are_given_back() -> None:
    """No tool stays in use, and none has events."""
    since = LinesSince()
    tools = {tool: sys.monitoring.get_tool(tool) for tool in range(6)}
    since.begin()
    assert {tool: sys.monitoring.get_tool(tool) for tool in range(6)} != tools
    since.end()
    assert {tool: sys.monitoring.get_tool(tool) for tool in range(6)} == tools


def test_lines_that_cannot_be_seen_are_unknown() -> None:
    """If other tools have all numbers, or the code under test frees ours, the lines are unknown rather than none; the next run is seen."""
    since = LinesSince()
    taken = [tool for tool in (3, 4, 5) if sys.monitoring.get_tool(tool) is None]
    for tool in taken:
        sys.monitoring.use_tool_id(tool, "other")
    since.begin()
    assert since.end() is None
    for tool in taken:
        sys.monitoring.free_tool_id(tool)
    since.begin()
    sys.monitoring.free_tool_id(taken[0])
    assert since.end() is None
    since.begin()
    assert since.end() is not None
