"""Calls and jumps in the bytecode of a function."""

from __future__ import annotations

import dis
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import CodeType


@lru_cache(maxsize=1024)
def calls_of(code: CodeType) -> tuple[int, ...]:
    """Return the offsets of instructions that call something."""
    return tuple(
        one.offset
        for one in dis.get_instructions(code)
        if one.opname in {"BEFORE_WITH", "CALL", "CALL_KW", "CALL_FUNCTION_EX"}
    )


@lru_cache(maxsize=1024)
def jumps_of(code: CodeType) -> tuple[tuple[int, int], ...]:
    """Return the offsets of jumps, and where each leads."""
    jumps = {*dis.hasjrel, *dis.hasjabs}
    return tuple((one.offset, int(one.argval)) for one in dis.get_instructions(code) if one.opcode in jumps)
