"""Takes and gives back the ``sys.monitoring`` tool that the engine uses while it watches a run.

Tools have no owner: code under test may free the one that watches it. Nothing more is seen of that run, so it proves nothing.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.cpython.unavailable import EngineUnavailableError
from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from collections.abc import Iterator

_monitoring = sys.monitoring
_events = _monitoring.events
_NAME = "maskcheck"
_TOOLS = (4, 3)
"""PEP 669 leaves these tool ids to anyone; it reserves 0, 1, 2 and 5 for debuggers, coverage, profilers and optimizers."""

USED = (
    *(
        _events.PY_START,
        _events.PY_RESUME,
        _events.PY_THROW,
        _events.PY_RETURN,
        _events.PY_YIELD,
        _events.PY_UNWIND,
        _events.CALL,
        _events.C_RETURN,
        _events.C_RAISE,
        _events.EXCEPTION_HANDLED,
    ),
    *(_events.JUMP, _events.LINE, _events.INSTRUCTION),
)

ARMED: set[int] = set()
"""Tools that this process has taken. It is empty in a child forked by the code under test: see :func:`disarm`."""


def disarm() -> None:
    """Give back all tools that are taken: in a forked child, and after the user's Ctrl-C interrupted the giving back of one."""
    for tool in tuple(ARMED):
        with suppress(ValueError):  # the code under test has freed it
            _monitoring.set_events(tool, 0)
            for event in USED:
                _monitoring.register_callback(tool, event, None)
            _monitoring.free_tool_id(tool)
    ARMED.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=disarm)


@contextmanager
def taken() -> Iterator[int]:
    """Take a tool, and give it back at the end.

    Raises:
        EngineUnavailableError: none is free.
    """
    for tool in _TOOLS:
        if _monitoring.get_tool(tool) is None:
            break
    else:
        message = "maskcheck needs one of the sys.monitoring tools 3 and 4, and other tools use both: switch one off"
        raise EngineUnavailableError(message)
    _monitoring.use_tool_id(tool, _NAME)
    ARMED.add(tool)
    try:
        yield tool
    finally:
        if is_held(tool):  # not in a forked child, nor where the code under test has freed it
            ARMED.discard(tool)
            _monitoring.set_events(tool, 0)
            for event in USED:
                _monitoring.register_callback(tool, event, None)
            _monitoring.free_tool_id(tool)


def is_held(tool: int) -> bool:
    """Return whether this process still holds a tool that it took; a child forked by the code under test does not.

    Raises:
        EngineUnavailableError: the code under test has freed it.
    """
    if tool not in ARMED:
        return False
    if _monitoring.get_tool(tool) is not _NAME:
        ARMED.discard(tool)
        message = f"the test frees tool {tool} of sys.monitoring, by which it is watched"
        raise EngineUnavailableError(message)
    return True
