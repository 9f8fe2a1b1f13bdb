"""Which lines of code in scope ran since one asked last: what was jumped over made nothing.

By ``sys.monitoring``, with a tool of its own besides that of the engine. Where there is none (3.11, or all are taken) it is not known.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.system.unpatched import threading

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

_NAME = "maskcheck lines"
_TOOLS = (3, 4)
"""Those of the engine, which takes the last one first."""


class Lines:
    """Notes lines as they begin, on the thread that starts it.

    Parameters:
        in_scope: tells the code that is watched.
    """

    def __init__(self, in_scope: Callable[[str], bool]) -> None:
        self._in_scope = in_scope
        self._tool = -1
        self._thread = 0
        self._watched: dict[int, CodeType] = {}
        self._ran: set[tuple[int, int]] = set()  # code by ``id``, and line
        self._monitoring: Any = sys.__dict__.get("monitoring")

    def start(self) -> None:
        """Begin, if a tool is free."""
        free = [tool for tool in _TOOLS if self._monitoring.get_tool(tool) is None] if facts.HAS_MONITORING else []
        if free:
            self._tool, self._thread = free[0], threading.get_ident()
            self._monitoring.use_tool_id(self._tool, _NAME)
            self._monitoring.register_callback(self._tool, self._monitoring.events.LINE, self._line)

    def stop(self) -> None:
        """End; may be called again."""
        tool, self._tool = self._tool, -1
        if tool < 0 or not self._is_held(tool):
            return
        for code in self._watched.values():
            self._monitoring.set_local_events(tool, code, 0)
        self._watched.clear()
        self._monitoring.register_callback(tool, self._monitoring.events.LINE, None)
        self._monitoring.free_tool_id(tool)

    def _is_held(self, tool: int) -> bool:
        """Tell whether nobody has freed the tool since."""
        return self._monitoring.get_tool(tool) is _NAME

    def enters(self, code: CodeType) -> None:
        """Watch code that begins to run, if it is in scope."""
        wanted = self._tool >= 0 and id(code) not in self._watched and self._in_scope(code.co_filename)
        if wanted and self._is_held(self._tool):
            self._watched[id(code)] = code
            self._monitoring.set_local_events(self._tool, code, self._monitoring.events.LINE)

    def forget(self) -> None:
        """Begin anew: the lines that have begun by now are asked for no more."""
        self._ran.clear()

    def knows(self, code: CodeType) -> bool:
        """Tell whether the lines of this code are noted."""
        return id(code) in self._watched

    def ran(self, code: CodeType, line: int) -> bool:
        """Tell whether a line has begun since."""
        return (id(code), line) in self._ran

    def _line(self, code: CodeType, line: int) -> None:
        if threading.get_ident() == self._thread:
            self._ran.add((id(code), line))
