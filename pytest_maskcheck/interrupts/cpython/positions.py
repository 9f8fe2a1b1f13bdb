"""Where instructions stand in the source."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.interrupts.cpython.bytecode import target
from pytest_maskcheck.interrupts.cpython.codes import per_code

if TYPE_CHECKING:
    from types import CodeType


def line_of(code: CodeType, offset: int) -> int:
    """Return the line of an instruction; for a jump back to the head of a loop without a line of its own, that of the loop."""
    starts, lines, without = _lines(code)
    at = bisect_right(starts, offset) - 1
    if at in without and facts.is_backward_jump(code, offset):
        return line_of(code, target(code, offset))
    return lines[at]


@per_code
def _lines(code: CodeType) -> tuple[list[int], list[int], set[int]]:
    """Return where each stretch of one line begins, the line of each, and which have none and take that of the stretch before."""
    starts, lines, without = [-1], [code.co_firstlineno], set()
    for start, _, line in code.co_lines():
        if line is None:
            without.add(len(starts))
        starts.append(start)
        lines.append(lines[-1] if line is None else line)
    return starts, lines, without


def end_of(code: CodeType, offset: int) -> tuple[int, int]:
    """Return line and column at which the source of an instruction ends, or zeros."""
    known = _positions(code)
    at = offset // facts.CODE_UNIT
    # There are too few where somebody has replaced the table of lines.
    _, line, _, column = known[at] if at < len(known) else (None,) * 4
    return line or 0, column or 0


@per_code
def _positions(code: CodeType) -> list[tuple[int | None, int | None, int | None, int | None]]:
    return list(code.co_positions())
