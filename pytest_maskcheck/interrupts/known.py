"""Defects of CPython itself that an audit meets, told from the bytecode.

A finding at such a point is the interpreter's: no Python code can be written that would not have it.
"""

from __future__ import annotations

import dis
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts import facts
from pytest_maskcheck.interrupts.base import line_of
from pytest_maskcheck.interrupts.codes import per_code

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

    from pytest_maskcheck.interrupts.base import Hit


def known_defect(hit: Hit) -> str:
    """Return the issue of the CPython defect that an interrupt at ``hit`` meets, or ``""``."""
    if facts.WITH_ENTERS_BY_CHECKED_CALL and _enters_with(hit):
        return "gh-148874: on CPython 3.14 `with` checks for signals after __enter__ and before __exit__ is due"
    if hit.kind == "jump" and _escapes(hit.code, hit.offset):
        return "gh-130279: a backward jump compiled outside its `try` lets an interrupt escape `except` and `finally`"
    return ""


def _enters_with(hit: Hit) -> bool:
    """Tell whether the interrupt comes when ``with`` has called ``__enter__``: there, or at the first call of the line."""
    if hit.kind == "call":
        return facts.enters_with(hit.code, hit.offset)
    offsets = range(hit.offset, len(facts.bytecode(hit.code)), facts.CODE_UNIT) if hit.kind == "line" else ()
    first = next((offset for offset in offsets if facts.is_call(hit.code, offset)), None)
    return first is not None and facts.enters_with(hit.code, first) and line_of(hit.code, first) == hit.line


def _escapes(code: CodeType, offset: int) -> bool:
    """Tell whether the jump at ``offset`` has another exception handler than the loop that it continues."""
    return _handler(code, offset) != _handler(code, _destination(code, offset))


@per_code
def _destination(code: CodeType, offset: int) -> int:
    for instruction in dis.get_instructions(code):
        if instruction.offset == offset:
            return int(instruction.argval)
    return offset


def _handler(code: CodeType, offset: int) -> int:
    """Return where an exception raised at ``offset`` is handled, ``-1`` for nowhere."""
    return next((target for start, end, target in _exception_table(code) if start <= offset < end), -1)


@per_code
def _exception_table(code: CodeType) -> tuple[tuple[int, int, int], ...]:
    """Return (start, end, target) in bytes; the format is that of CPython's Objects/exception_handling_notes.txt."""
    numbers = _varints(code.co_exceptiontable)
    unit = facts.CODE_UNIT
    return tuple(
        (start * unit, (start + length) * unit, target * unit)
        for start, length, target, _ in zip(numbers, numbers, numbers, numbers, strict=False)
    )


def _varints(table: bytes) -> Iterator[int]:
    """Yield the numbers of an exception table: six bits a byte, highest first, bit 6 set where more follow."""
    number = 0
    for byte in table:
        number = number << 6 | byte & 63
        if not byte & 64:
            yield number
            number = 0
