"""Collects the lines in scope that began between two moments of a run: a line that was jumped over created nothing.

``sys.monitoring`` reports them to a second tool, besides the engine's. Without one (on 3.11, or when all are taken) no code is watched.
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
"""The same tools as the engine's; the engine tries them in the opposite order."""


class Lines:
    """Collects the lines that begin on the thread that calls ``start``.

    Parameters:
        in_scope: which code is watched.
    """

    def __init__(self, in_scope: Callable[[str], bool]) -> None:
        self._in_scope = in_scope
        self._tool = -1
        self._thread = 0
        self._watched: dict[int, CodeType] = {}
        self._ran: set[tuple[int, int]] = set()  # code by ``id``, and line
        self._monitoring: Any = sys.__dict__.get("monitoring")

    def start(self) -> None:
        """Begin to watch, if a tool is free."""
        free = [tool for tool in _TOOLS if self._monitoring.get_tool(tool) is None] if facts.HAS_MONITORING else []
        if free:
            self._tool, self._thread = free[0], threading.get_ident()
            self._monitoring.use_tool_id(self._tool, _NAME)
            self._monitoring.register_callback(self._tool, self._monitoring.events.LINE, self._line)

    def stop(self) -> None:
        """End the watching; may be called more than once."""
        tool, self._tool = self._tool, -1
        if tool < 0 or not self._is_held(tool):  # the code under test may have freed it
            return
        for code in self._watched.values():
            self._monitoring.set_local_events(tool, code, 0)
        self._watched.clear()
        self._monitoring.register_callback(tool, self._monitoring.events.LINE, None)
        self._monitoring.free_tool_id(tool)

    def _is_held(self, tool: int) -> bool:
        """Return whether the tool has not been freed since it was taken."""
        return self._monitoring.get_tool(tool) is _NAME

    def enters(self, code: CodeType) -> None:
        """Watch code that begins to run, if it is in scope."""
        wanted = self._tool >= 0 and id(code) not in self._watched and self._in_scope(code.co_filename)
        if wanted and self._is_held(self._tool):
            self._watched[id(code)] = code
            self._monitoring.set_local_events(self._tool, code, self._monitoring.events.LINE)

    def forget(self) -> None:
        """Forget the lines that have begun so far."""
        self._ran.clear()

    def watches(self, code: CodeType) -> bool:
        """Return whether the lines of this code are watched."""
        return id(code) in self._watched

    def ran(self, code: CodeType, line: int) -> bool:
        """Return whether a line has begun since :meth:`forget`."""
        return (id(code), line) in self._ran

    def _line(self, code: CodeType, line: int) -> None:
        if threading.get_ident() == self._thread:
            self._ran.add((id(code), line))
