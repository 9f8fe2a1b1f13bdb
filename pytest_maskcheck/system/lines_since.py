"""Which lines run from an interrupt on, noted without running any Python code meanwhile.

``sys.monitoring`` reports each line once in a process, to a callback that is made of C functions alone, as in :mod:`.entered`: an
interrupt that is pending must not land in ours. It watches only from the interrupt to the end of the body, so that the rest of an audit
costs what it always costs. A line that was reported in an earlier run of a process is not reported again, and need not be.

What does not work: before CPython 3.12 there is no ``sys.monitoring``; and where other tools have all numbers, nothing can be seen.
Lines that run when the body has ended are not noted, as nobody measures which of them run without an interrupt: finalizers of what the
exception kept alive, and fixtures.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from types import CodeType
from typing import Any

from pytest_maskcheck.system.entered import noting

_MONITORING: Any = getattr(sys, "monitoring", None)

CAN_NOTE = _MONITORING is not None

_TOOLS = (3, 4, 5)
"""Those that PEP 669 leaves to anyone, and that for optimizers. The engine has one of the first two while it watches."""

_NAME = "maskcheck"

Line = tuple[str, int]
"""A ``co_filename`` and the number of a line."""


class LinesSince:
    """Notes the lines that run from an interrupt on."""

    def __init__(self) -> None:
        self._seen: list[object] = []
        self._note = noting(self._seen)  # made before the first run, so that it is no new object in any
        self._tool: int | None = None
        self._is_blind = False

    def begin(self) -> None:
        """Begin to note lines, when an interrupt is sent."""
        if self._tool is not None:  # the second of two interrupts
            return
        free = (tool for tool in _TOOLS if _MONITORING is not None and _MONITORING.get_tool(tool) is None)
        self._tool = next(free, None)
        if self._tool is None:
            self._is_blind = True
            return
        _MONITORING.use_tool_id(self._tool, _NAME)
        _MONITORING.register_callback(self._tool, _MONITORING.events.LINE, self._note)
        _MONITORING.set_events(self._tool, _MONITORING.events.LINE)

    def end(self) -> frozenset[Line] | None:
        """Note no more; return the lines that were not returned before, or ``None`` if some of them could not be seen."""
        tool, self._tool = self._tool, None
        is_blind, self._is_blind = self._is_blind, False
        if tool is None:
            return None if is_blind else frozenset()
        if _MONITORING.get_tool(tool) is _NAME:  # else the code under test has freed it, and further lines are lost
            _MONITORING.set_events(tool, 0)
            _MONITORING.register_callback(tool, _MONITORING.events.LINE, None)
            _MONITORING.free_tool_id(tool)
        else:
            is_blind = True
        seen = self._seen[:]
        self._seen.clear()
        # Each event is noted as what the callback returns, the code, and the number of the line.
        lines = {
            (code.co_filename, line)
            for code, line in pairwise(seen)
            if isinstance(code, CodeType) and isinstance(line, int)
        }
        return None if is_blind else frozenset(lines)
