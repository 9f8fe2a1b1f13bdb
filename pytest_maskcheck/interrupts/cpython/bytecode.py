"""Facts about a code object that take a walk through its instructions; :mod:`.facts` has those about a single one."""

from __future__ import annotations

import dis
from functools import lru_cache
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.cpython import facts, opcodes
from pytest_maskcheck.interrupts.cpython.codes import per_code

if TYPE_CHECKING:
    from types import CodeType


def target(code: CodeType, jump: int) -> int:
    """Return the offset of the instruction that a jump leads to."""
    return next(int(each.argval) for each in dis.get_instructions(code) if each.offset == jump)


@per_code
def following(code: CodeType, offset: int) -> int:
    """Return the offset of the instruction after the one at ``offset``."""
    return next(each.offset for each in dis.get_instructions(code) if each.offset > offset)


@per_code
def destination(code: CodeType, jump: int) -> int:
    """Return the offset that a jump leads to, or its own where there is no instruction at that offset."""
    for instruction in dis.get_instructions(code):
        if instruction.offset == jump:
            return int(instruction.argval)
    return jump


@per_code
def end_of_await(code: CodeType, offset: int) -> int:
    """Return the offset of the instruction at which the ``await`` that begins after ``offset`` has ended."""
    return next(
        int(each.argval) for each in dis.get_instructions(code) if each.offset > offset and each.opcode == opcodes.SEND
    )


def enters_next(code: CodeType, offset: int) -> int | None:
    """Return the call of another ``__enter__``, if no checkpoint comes before it from ``offset`` on."""
    for instruction in dis.get_instructions(code):
        at = instruction.offset
        if at >= offset and (facts.is_call(code, at) or instruction.opcode in opcodes.JUMPS):
            return at if facts.is_call(code, at) and facts.enters_with(code, at) else None
    return None


# A watched run calls these two for any code it passes: a bounded cache, unlike ``per_code``, keeps no code alive for good.
@lru_cache(maxsize=1024)
def calls_without_event(code: CodeType) -> tuple[int, ...]:
    """Return the offsets of calls that may have no event for a profile function."""
    return tuple(each.offset for each in dis.get_instructions(code) if each.opcode in opcodes.CALLS_WITHOUT_EVENT)


@lru_cache(maxsize=1024)
def jumps_in(code: CodeType) -> tuple[tuple[int, int], ...]:
    """Return the offsets of jumps, and where each leads."""
    return tuple((each.offset, int(each.argval)) for each in dis.get_instructions(code) if each.opcode in opcodes.JUMPS)


def offsets_naming(code: CodeType, name: str) -> tuple[int, ...]:
    """Return the offsets of the instructions that use something by this name."""
    return tuple(each.offset for each in dis.get_instructions(code) if each.argval == name)
