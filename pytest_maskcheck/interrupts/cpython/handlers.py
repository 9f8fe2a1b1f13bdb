"""Finds the bytecode handlers that an exception meets, from the exception table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.cpython.codes import per_code
from pytest_maskcheck.system.bytecode import exception_table

if TYPE_CHECKING:
    from types import CodeType


def is_within(code: CodeType, offset: int, other: int) -> bool:
    """Return whether each handler of an exception raised at ``other`` also handles one raised at ``offset``."""
    return _handlers(code, other) <= _handlers(code, offset)


@per_code
def _handlers(code: CodeType, offset: int) -> frozenset[int]:
    """Return the handlers of an exception raised at ``offset``: the innermost one, and those reached if it is re-raised."""
    table = _table(code)
    handlers: set[int] = set()
    at: int | None = offset
    while at is not None and at not in handlers:
        if at != offset:
            handlers.add(at)
        at = next((target for start, end, target in table if start <= at < end), None)
    return frozenset(handlers)


_table = per_code(exception_table)
