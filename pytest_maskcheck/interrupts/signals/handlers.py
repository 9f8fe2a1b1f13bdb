"""Handlers and the signal mask, read in ways cheap enough for each hit of a recording."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import functools
from types import BuiltinFunctionType, FunctionType, MethodType

from pytest_maskcheck.system.unpatched import signal
from pytest_maskcheck.system.untrusted import is_a, name_of, read

USUAL = signal.default_int_handler

# Those of ``signal`` make members of an enum, and take a hundred times as long.
handler_of = _signal.getsignal
change_mask = getattr(_signal, "pthread_sigmask", None)


def called_by(handler: object) -> object:
    """Return what a handler calls in the end: the function in partials and methods."""
    while (partly := is_a(handler, functools.partial)) or type(handler) is MethodType:
        handler = read(handler, "func" if partly else "__func__")
    return handler


def likeness(handler: object) -> object:
    """Return the key that handlers share which treat a signal alike: their code.

    Never the handler itself: a recording that held it would let it live longer than it does unwatched.
    """
    handler = called_by(handler)
    if type(handler) is FunctionType:
        return handler.__code__
    if handler is None or is_a(handler, int):
        return handler
    return handler.__qualname__ if type(handler) is BuiltinFunctionType else name_of(type(handler))
