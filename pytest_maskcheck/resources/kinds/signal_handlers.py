"""Signal handlers: what Python runs, or the system does, when a signal arrives."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any, cast

from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.process_state import ProcessState
from pytest_maskcheck.resources.user_objects import same
from pytest_maskcheck.system.unpatched import signal
from pytest_maskcheck.system.untrusted import name_of, read

# ``signal.getsignal`` converts each result to an enum and is twenty times slower.
_getsignal = _signal.getsignal
_NUMBERS = tuple(sorted(signal.valid_signals()))


def signal_name(number: int) -> str:
    """Return the name of a signal, such as ``SIGINT``; nameless real-time signals are counted from ``SIGRTMIN``."""
    try:
        return signal.Signals(number).name
    except ValueError:
        base = getattr(signal, "SIGRTMIN", 0)
        return f"SIGRTMIN+{number - base}" if base else f"SIG{number}"


def _described(handler: object) -> str:
    if handler is None:
        return "a handler that Python did not install"
    if same(handler, signal.SIG_DFL):
        return "the default action"
    if same(handler, signal.SIG_IGN):
        return "being ignored"
    name = read(handler.__func__ if type(handler) is MethodType else handler, "__qualname__")
    return name if type(name) is str else name_of(type(handler))


class Handlers(ProcessState["tuple[object, ...]"]):
    """The handlers of all signals, as Python records them."""

    name = "handler"

    def read(self) -> tuple[object, ...]:
        return tuple(map(_getsignal, _NUMBERS))

    def differences(self, before: tuple[object, ...], now: tuple[object, ...]) -> Iterator[Leftover]:
        for number, old, new in zip(_NUMBERS, before, now, strict=True):
            if old is not new and not same(old, new):
                name = signal_name(number)
                detail = f"{name} now leads to {_described(new)} (before: {_described(old)})"
                yield self.altered(name, detail, number, old)

    def put_back(self, of: Hashable, value: object) -> None:
        if value is None:
            msg = "Python cannot set a handler that it did not install"
            raise ValueError(msg)
        signal.signal(cast("int", of), cast("Any", value))

    @contextmanager
    def canary(self) -> Iterator[None]:
        number = signal.SIGTERM
        old = signal.getsignal(number)
        signal.signal(number, lambda *_: None)
        try:
            yield
        finally:
            # ``None`` stands for a handler that Python did not install; the canary cannot put that back.
            signal.signal(number, signal.SIG_DFL if old is None else old)
