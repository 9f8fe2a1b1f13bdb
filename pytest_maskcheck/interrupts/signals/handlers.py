"""Reads handlers and the signal mask, cheaply enough to do so at each hit of a recording."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import functools
from types import BuiltinFunctionType, FunctionType, MethodType

from pytest_maskcheck.system.unpatched import signal
from pytest_maskcheck.system.untrusted import is_a, name_of, read

USUAL = signal.default_int_handler

# The functions of ``signal`` convert to enum members, and take a hundred times as long.
handler_of = _signal.getsignal
change_mask = getattr(_signal, "pthread_sigmask", None)


def called_by(handler: object) -> object:
    """Return the function that a handler ultimately calls, by unwrapping partials and methods."""
    while (partly := is_a(handler, functools.partial)) or type(handler) is MethodType:
        handler = read(handler, "func" if partly else "__func__")
    return handler


def likeness(handler: object) -> object:
    """Return a key, such as its code, that a handler shares with those that treat a signal alike.

    The key is never the handler itself: a recording that referred to the handler would keep it alive longer than in an unwatched run.
    """
    handler = called_by(handler)
    if type(handler) is FunctionType:
        return handler.__code__
    if handler is None or is_a(handler, int):
        return handler
    return handler.__qualname__ if type(handler) is BuiltinFunctionType else name_of(type(handler))
