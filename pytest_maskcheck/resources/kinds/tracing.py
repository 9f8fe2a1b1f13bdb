"""What watches the interpreter: trace and profile functions, and tools of ``sys.monitoring``."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.process_state import IdentityState
from pytest_maskcheck.resources.user_objects import label_of
from pytest_maskcheck.system.unpatched import sys_functions, threading

_MONITORING: Any = getattr(sys, "monitoring", None)
_TOOLS = tuple(range(6)) if _MONITORING else ()
_AUDIT = "maskcheck"  # the audit's own tool comes and goes
_SETTERS = {
    "sys.gettrace": sys.settrace,
    "sys.getprofile": sys.setprofile,
    "threading.gettrace": threading.settrace,
    "threading.getprofile": threading.setprofile,
}


class Tracing(IdentityState):
    """Trace and profile functions of this thread and of new threads, and the owner of each tool number of ``sys.monitoring``."""

    name = "trace"
    traced = False  # a run that is watched for origins has a profile function of the audit's

    def read(self) -> tuple[object, ...]:
        functions = (sys_functions.gettrace(), sys_functions.getprofile(), threading.gettrace(), threading.getprofile())
        return (*functions, *map(_MONITORING.get_tool, _TOOLS)) if _TOOLS else functions

    def differences(self, before: tuple[object, ...], now: tuple[object, ...]) -> Iterator[Leftover]:
        for name, old, new in zip(_SETTERS, before, now, strict=False):
            if old is not new:
                detail = f"{name}() returns {label_of(new)} (before: {label_of(old)})"
                yield self.altered(name, detail, name, old)
        count = len(_SETTERS)
        for tool, old, new in zip(_TOOLS, before[count:], now[count:], strict=True):
            if old != new and _AUDIT not in {old, new}:
                key = f"monitoring {old if new is None else new}"
                yield self.altered(key, f"tool {tool} of sys.monitoring is {new} (before: {old})", tool, old)

    def put_back(self, of: Hashable, value: object) -> None:
        if isinstance(of, str):
            _SETTERS[of](cast("Any", value))
        elif value is not None:
            msg = "what a tool listened to is not known"
            raise ValueError(msg)
        else:
            _MONITORING.set_events(of, 0)
            _MONITORING.free_tool_id(of)

    @contextmanager
    def canary(self) -> Iterator[None]:
        # The profile function for new threads, so that nothing is traced meanwhile.
        old = threading.getprofile()
        threading.setprofile(lambda *_: None)
        try:
            yield
        finally:
            threading.setprofile(cast("Any", old))
