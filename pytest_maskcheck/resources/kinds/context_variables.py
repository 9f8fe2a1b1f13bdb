"""The values of context variables."""

from __future__ import annotations

import contextvars
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.kinds.decimal_context import DECIMAL
from pytest_maskcheck.resources.process_state import ProcessState
from pytest_maskcheck.resources.user_objects import label_of, same

_MISSING = object()

_Variable = contextvars.ContextVar[Any]
_CANARY: _Variable = contextvars.ContextVar("pytest_maskcheck canary", default=None)


class ContextVariables(ProcessState[contextvars.Context]):
    """The values of context variables in the context of the test's body. Another kind compares that of ``decimal``."""

    name = "contextvar"

    read = staticmethod(contextvars.copy_context)

    def compare(self, before: object) -> list[Leftover]:
        old, now = cast("contextvars.Context", before), self.read()
        return [] if same(list(old.items()), list(now.items())) else list(self.differences(old, now))

    def differences(self, before: contextvars.Context, now: contextvars.Context) -> Iterator[Leftover]:
        for variable in {**dict.fromkeys(before), **dict.fromkeys(now)}:
            old, new = before.get(variable, _MISSING), now.get(variable, _MISSING)
            if variable.name != DECIMAL and not (old is new or same(old, new)):
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
    """Return the type of a value, without its content; ``None`` and ``...`` by name."""
    return str(value) if value is None or value is ... else f"a value of type {label_of(type(value))}"
