"""Compares the bytecode handlers that an exception meets at two instructions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_maskcheck.system.bytecode import handlers_at

if TYPE_CHECKING:
    from types import CodeType


def is_within(code: CodeType, offset: int, other: int) -> bool:
    """Return whether each handler of an exception raised at ``other`` also handles one raised at ``offset``."""
    return set(handlers_at(code, other)) <= set(handlers_at(code, offset))
