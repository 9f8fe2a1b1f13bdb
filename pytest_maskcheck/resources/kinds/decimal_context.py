"""The context of ``decimal``, which is the value of a context variable."""

from __future__ import annotations

import contextvars
import sys
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.process_state import ProcessState
from pytest_maskcheck.resources.surroundings import Surroundings
from pytest_maskcheck.system.untrusted import mro_of, name_of

DECIMAL = "decimal_context"
"""The name of the context variable; the kind for context variables leaves it out."""

_PARTS = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")

Parts = tuple[object, ...]


class DecimalContext(ProcessState["Parts | None"]):
    """Precision, rounding, limits and traps of ``decimal``'s context. Its flags do not count: ordinary arithmetic sets them."""

    name = "decimal"

    def __init__(self, surroundings: Surroundings | None = None) -> None:
        super().__init__(surroundings)
        self._variable: contextvars.ContextVar[Any] | None = None
        self._type: Any = None
        self._reduce: Any = None
        self._module: Any = None  # kept, as a test may replace or remove it in sys.modules

    def read(self) -> Parts | None:
        """Return the parts of the context; ``None`` if there is none yet. ``getcontext`` is not called, as it would make one."""
        context = contextvars.copy_context()
        if self._variable is None:
            if not context or "decimal" not in sys.modules:
                return None
            self._variable = next((variable for variable in context if variable.name == DECIMAL), None)
            if self._variable is None:
                return None
            self._module = sys.modules["decimal"]
        current = context.get(self._variable)
        return None if current is None else self._parts(current)

    def _parts(self, context: Any) -> Parts:
        # The context's own class: if ``decimal`` was imported again, the module has another one.
        if type(context) is not self._type:
            self._type = type(context)
            self._reduce = next(kind for kind in mro_of(self._type) if name_of(kind) == "Context").__reduce__
        *parts, _flags, traps = self._reduce(context)[1]
        return (*parts, traps)

    def differences(self, before: Parts | None, now: Parts | None) -> Iterator[Leftover]:
        before = before or self._parts(self._module.DefaultContext)
        for name, old, new in zip((*_PARTS, "traps"), before, now or before, strict=True):
            if old != new:
                detail = f"{name} of the decimal context is {_text(new)} (before: {_text(old)})"
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


def _text(value: object) -> str:
    return ", ".join(signal.__name__ for signal in value) or "none" if isinstance(value, list) else f"{value}"
