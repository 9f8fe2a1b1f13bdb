"""Facts about a code object that require a walk through its instructions; :mod:`.facts` has those about a single instruction."""

from __future__ import annotations

import dis
from functools import lru_cache
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.cpython import facts, opcodes
from pytest_maskcheck.system.bytecode import per_code

if TYPE_CHECKING:
    from types import CodeType


def target(code: CodeType, jump: int) -> int:
    """Return the offset of the instruction that the jump at ``jump`` leads to."""
    return next(int(each.argval) for each in dis.get_instructions(code) if each.offset == jump)


@per_code
def following(code: CodeType, offset: int) -> int:
    """Return the offset of the instruction after the one at ``offset``."""
    return next(each.offset for each in dis.get_instructions(code) if each.offset > offset)


@per_code
def destination(code: CodeType, jump: int) -> int:
    """Return the offset that the jump at ``jump`` leads to, or ``jump`` itself if no instruction begins there."""
    for instruction in dis.get_instructions(code):
        if instruction.offset == jump:
            return int(instruction.argval)
    return jump


@per_code
def end_of_await(code: CodeType, offset: int) -> int:
    """Return the offset of the instruction where the ``await`` that begins after ``offset`` has ended."""
    return next(
        int(each.argval) for each in dis.get_instructions(code) if each.offset > offset and each.opcode == opcodes.SEND
    )


def enters_next(code: CodeType, offset: int) -> int | None:
    """Return the offset of the next ``__enter__`` call from ``offset`` on, if no checkpoint can come before it; else ``None``."""
    for instruction in dis.get_instructions(code):
        at = instruction.offset
        if at >= offset and (facts.is_call(code, at) or instruction.opcode in opcodes.JUMPS):
            return at if facts.is_call(code, at) and facts.enters_with(code, at) else None
    return None


# A watched run calls these two functions for all code that it passes. Unlike ``per_code``, a bounded cache keeps no code alive for good.
@lru_cache(maxsize=1024)
def calls_without_event(code: CodeType) -> tuple[int, ...]:
    """Return the offsets of calls that may have no event for a profile function."""
    return tuple(each.offset for each in dis.get_instructions(code) if each.opcode in opcodes.CALLS_WITHOUT_EVENT)


@lru_cache(maxsize=1024)
def jumps_in(code: CodeType) -> tuple[tuple[int, int], ...]:
    """Return the offset and the target of each jump."""
    return tuple((each.offset, int(each.argval)) for each in dis.get_instructions(code) if each.opcode in opcodes.JUMPS)


def offsets_naming(code: CodeType, name: str) -> tuple[int, ...]:
    """Return the offsets of the instructions whose argument is this name."""
    return tuple(each.offset for each in dis.get_instructions(code) if each.argval == name)
