"""Positions of instructions in the source."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.interrupts.cpython.bytecode import target
from pytest_maskcheck.system.bytecode import per_code

if TYPE_CHECKING:
    from types import CodeType


def line_of(code: CodeType, offset: int) -> int:
    """Return the line of an instruction; a jump back to the head of a loop, if it has no line of its own, has the line of the loop."""
    starts, lines, without = _lines(code)
    at = bisect_right(starts, offset) - 1
    if at in without and facts.is_backward_jump(code, offset):
        return line_of(code, target(code, offset))
    return lines[at]


@per_code
def _lines(code: CodeType) -> tuple[list[int], list[int], set[int]]:
    """Return the start of each range of instructions, the line of each, and the indices of ranges without a line of their own.

    A range without a line of its own takes that of the range before.
    """
    starts, lines, without = [-1], [code.co_firstlineno], set()
    for start, _, line in code.co_lines():
        if line is None:
            without.add(len(starts))
        starts.append(start)
        lines.append(lines[-1] if line is None else line)
    return starts, lines, without


def end_of(code: CodeType, offset: int) -> tuple[int, int]:
    """Return the line and column where the source of an instruction ends, or zeros if unknown."""
    _, line, _, column = columns_of(code, offset)
    return line, column


def columns_of(code: CodeType, offset: int) -> tuple[int, int, int, int]:
    """Return first and last line, and first and last column, of the source of an instruction; zeros for what is unknown."""
    known = _positions(code)
    at = offset // facts.CODE_UNIT
    # The list is too short if a tool has replaced the line table of the code object.
    line, end_line, column, end_column = known[at] if at < len(known) else (None,) * 4
    return line or 0, end_line or 0, column or 0, end_column or 0


@per_code
def _positions(code: CodeType) -> list[tuple[int | None, int | None, int | None, int | None]]:
    return list(code.co_positions())
