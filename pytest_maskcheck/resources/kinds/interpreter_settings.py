"""Settings of the interpreter that are plain values, and similar settings of C modules."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, cast

from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.process_state import ProcessState
from pytest_maskcheck.resources.raised_limits import recursion_limit, set_recursion_limit
from pytest_maskcheck.resources.user_objects import same
from pytest_maskcheck.system.unpatched import sys_functions, threading
from pytest_maskcheck.system.untrusted import text_of

_NAMES = vars(sys)
_module: Callable[[str], Any] = sys.modules.get  # modules that nobody has imported are not imported here


def _read() -> tuple[object, ...]:
    faulthandler, sockets, tracemalloc = _module("faulthandler"), _module("_socket"), _module("_tracemalloc")
    return (
        recursion_limit(),
        sys_functions.getswitchinterval(),
        sys_functions.get_int_max_str_digits(),
        sys_functions.get_coroutine_origin_tracking_depth(),
        threading.stack_size(),
        sys.dont_write_bytecode,
        sys.pycache_prefix,
        _NAMES.get("tracebacklimit"),
        faulthandler is not None and faulthandler.is_enabled(),
        sockets and sockets.getdefaulttimeout(),
        tracemalloc is not None and tracemalloc.is_tracing(),
        _arguments(),
    )


def _arguments() -> object:
    """Return ``sys.argv`` as a tuple; unchanged if it is neither a list nor a tuple."""
    given = _NAMES.get("argv")
    return tuple(given) if isinstance(given, (list, tuple)) else given


def _set_arguments(value: Any) -> None:
    if isinstance(_NAMES.get("argv"), list) and isinstance(value, tuple):
        sys.argv[:] = value
    else:
        sys.argv = list(value) if isinstance(value, tuple) else value


def _set_limit(value: int | None) -> None:
    if value is None:
        del sys.tracebacklimit
    else:
        sys.tracebacklimit = value


def _set_faulthandler(value: bool) -> None:
    if value:
        msg = "what it wrote to is not known"
        raise ValueError(msg)
    cast("ModuleType", _module("faulthandler")).disable()


def _set_tracing(value: bool) -> None:
    tracemalloc: Any = _module("_tracemalloc")
    tracemalloc.start(1) if value else tracemalloc.stop()


_SETTERS: tuple[tuple[str, Callable[[Any], object]], ...] = (
    ("recursion limit", set_recursion_limit),
    ("switch interval", sys.setswitchinterval),
    ("limit of digits", sys.set_int_max_str_digits),
    ("coroutine origin depth", sys.set_coroutine_origin_tracking_depth),
    ("thread stack size", threading.stack_size),
    ("sys.dont_write_bytecode", lambda value: setattr(sys, "dont_write_bytecode", value)),
    ("sys.pycache_prefix", lambda value: setattr(sys, "pycache_prefix", value)),
    ("sys.tracebacklimit", _set_limit),
    ("faulthandler", _set_faulthandler),
    ("socket default timeout", lambda value: _module("_socket").setdefaulttimeout(value)),
    ("tracemalloc", _set_tracing),
    ("sys.argv", _set_arguments),
)
"""The name of each value that ``_read`` returns, in the same order, and the function that sets it."""


class InterpreterSettings(ProcessState["tuple[object, ...]"]):
    """Recursion limit, switch interval, ``sys.dont_write_bytecode``, faulthandler, default timeout of sockets and so on."""

    name = "interpreter"

    def read(self) -> tuple[object, ...]:
        return _read()

    def differences(self, before: tuple[object, ...], now: tuple[object, ...]) -> Iterator[Leftover]:
        for at, ((name, _), old, new) in enumerate(zip(_SETTERS, before, now, strict=True)):
            if old is not new and not same(old, new):
                yield self.altered(name, f"{name}: {_text(new)} (before: {_text(old)})", at, old)

    def put_back(self, of: Hashable, value: object) -> None:
        _SETTERS[cast("int", of)][1](value)

    @contextmanager
    def canary(self) -> Iterator[None]:
        old = sys_functions.getrecursionlimit()
        sys_functions.setrecursionlimit(old + 1)
        try:
            yield
        finally:
            sys_functions.setrecursionlimit(old)


def _text(value: object) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else text_of(value)
