"""Context variables, and the context of ``decimal``, which is the value of one."""

from __future__ import annotations

import contextvars
import sys
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from pytest_maskcheck.resources.base import Leftover
from pytest_maskcheck.resources.state import State, described, same
from pytest_maskcheck.system.untrusted import mro_of, name_of

_DECIMAL = "decimal_context"
_MISSING = object()

_Variable = contextvars.ContextVar[Any]
_CANARY: _Variable = contextvars.ContextVar("pytest_maskcheck canary", default=None)


class ContextVariables(State[contextvars.Context]):
    """The values of context variables in the context of the test's body."""

    name = "contextvar"

    read = staticmethod(contextvars.copy_context)

    def compare(self, before: object) -> list[Leftover]:
        old, now = cast("contextvars.Context", before), self.read()
        return [] if same(list(old.items()), list(now.items())) else list(self.differences(old, now))

    def differences(self, before: contextvars.Context, now: contextvars.Context) -> Iterator[Leftover]:
        for variable in {**dict.fromkeys(before), **dict.fromkeys(now)}:
            old, new = before.get(variable, _MISSING), now.get(variable, _MISSING)
            if variable.name != _DECIMAL and not (old is new or same(old, new)):
                change = "has no value any more" if new is _MISSING else f"is set to {_of_type(new)}"
                detail = f"the context variable {variable.name} {change}"
                former = "no value" if old is _MISSING else _of_type(old)
                yield self.altered(variable.name, f"{detail} (before: {former})", variable, old)

    def put_back(self, of: Hashable, value: object) -> None:
        if value is _MISSING:
            msg = "without its token a variable cannot be made to have no value"
            raise LookupError(msg)
        cast("_Variable", of).set(value)

    @contextmanager
    def canary(self) -> Iterator[None]:
        token = _CANARY.set(object())
        try:
            yield
        finally:
            _CANARY.reset(token)


def _of_type(value: object) -> str:
    """Return what a value is, without what is in it; the constants that stand for no value by name."""
    return str(value) if value is None or value is ... else f"a value of type {described(type(value))}"


_PARTS = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")

Parts = tuple[object, ...]


class DecimalContext(State["Parts | None"]):
    """Precision, rounding, limits and traps of ``decimal``'s context. Its flags are set by ordinary arithmetic."""

    name = "decimal"

    def __init__(self) -> None:
        self._variable: _Variable | None = None
        self._module: Any = None  # a test may put another one, or none, in its place

    def read(self) -> Parts | None:
        """Return the parts of the context; None if there is none yet, as asking for it would make one."""
        context = contextvars.copy_context()
        if self._variable is None:
            if not context or "decimal" not in sys.modules:
                return None
            self._variable = next((variable for variable in context if variable.name == _DECIMAL), None)
            if self._variable is None:
                return None
            self._module = sys.modules["decimal"]
        current = context.get(self._variable)
        return None if current is None else self._parts(current)

    def _parts(self, context: Any) -> Parts:
        # By the class that it has: a module that was imported again has another one.
        kind: Any = next(kind for kind in mro_of(type(context)) if name_of(kind) == "Context")
        *parts, _flags, traps = kind.__reduce__(context)[1]
        return (*parts, traps)

    def differences(self, before: Parts | None, now: Parts | None) -> Iterator[Leftover]:
        before = before or self._parts(self._module.DefaultContext)
        for name, old, new in zip((*_PARTS, "traps"), before, now or before, strict=True):
            if old != new:
                detail = f"{name} of the decimal context is {_told(new)} (before: {_told(old)})"
                yield self.altered(name, detail, name, old)

    def put_back(self, of: Hashable, value: object) -> None:
        context: Any = self._module.getcontext()
        if of == "traps":
            for signal in context.traps:
                context.traps[signal] = signal in cast("list[object]", value)
        else:
            setattr(context, cast("str", of), value)

    @contextmanager
    def canary(self) -> Iterator[None]:
        import decimal

        context = decimal.getcontext()
        old, context.prec = context.prec, context.prec + 1
        try:
            yield
        finally:
            context.prec = old


def _told(value: object) -> str:
    return ", ".join(signal.__name__ for signal in value) or "none" if isinstance(value, list) else f"{value}"
