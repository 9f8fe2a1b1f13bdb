"""Functions that the interpreter calls: exception hooks and the like."""

from __future__ import annotations

import sys
import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.process_state import ProcessState
from pytest_maskcheck.resources.user_objects import label_of, same
from pytest_maskcheck.system.unpatched import sys_functions
from pytest_maskcheck.system.untrusted import read

_SYS = vars(sys)

_NAMES = (
    "sys.unraisablehook",
    "sys.excepthook",
    "sys.displayhook",
    "sys.breakpointhook",
    "threading.excepthook",
    "asyncgen firstiter",
    "asyncgen finalizer",
)
_QUIET = "pytest_maskcheck.runs.finalizers"
"""The module of the audit's own ``unraisablehook``, which records what finalizers raise. It replaces the one of the snapshot."""

_Hooks = tuple[object, tuple[object, ...]]


class Hooks(ProcessState[_Hooks]):
    """``sys.excepthook`` and the like, ``threading.excepthook``, and the hooks of asynchronous generators."""

    name = "excepthook"
    repeatable = False

    def read(self) -> _Hooks:
        return _SYS.get("unraisablehook"), (
            *map(_SYS.get, ("excepthook", "displayhook", "breakpointhook")),
            vars(threading).get("excepthook"),
            *sys_functions.get_asyncgen_hooks(),
        )

    def compare(self, before: object) -> list[Leftover]:
        (unraisable, others), (now, others_now) = cast("_Hooks", before), self.read()
        if read(now, "__module__") == _QUIET:  # the audit's own hook: the test has replaced nothing
            now = unraisable
        if now is unraisable and same(others, others_now):
            return []
        return list(self.differences((unraisable, others), (now, others_now)))

    def differences(self, before: _Hooks, now: _Hooks) -> Iterator[Leftover]:
        for name, old, new in zip(_NAMES, (before[0], *before[1]), (now[0], *now[1]), strict=True):
            if old is not new:
                yield self.altered(name, f"{name} is now {label_of(new)} (before: {label_of(old)})", name, old)

    def put_back(self, of: Hashable, value: object) -> None:
        place, _, name = cast("str", of).rpartition(".")
        if place:
            setattr(sys if place == "sys" else threading, name, value)
        else:
            sys_functions.set_asyncgen_hooks(**{name.removeprefix("asyncgen "): cast("Any", value)})

    @contextmanager
    def canary(self) -> Iterator[None]:
        old = sys.displayhook
        sys.displayhook = lambda _value: None
        try:
            yield
        finally:
            sys.displayhook = old
