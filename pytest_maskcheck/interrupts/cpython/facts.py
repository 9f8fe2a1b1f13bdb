"""Differences between CPython versions, as named facts. The soundness experiment checks them.

Everything here was measured with real signals (``tests/soundness``). Only ``interrupts/cpython`` checks the version. Where a release
may fix a defect, the interpreter is probed instead (:mod:`.entering`).
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed has no stub of it
import inspect
import sys
from typing import TYPE_CHECKING, cast

from pytest_maskcheck.interrupts.cpython import opcodes
from pytest_maskcheck.system import bytecode as plain
from pytest_maskcheck.system.bytecode import per_code
from pytest_maskcheck.system.untrusted import is_a

if TYPE_CHECKING:
    from types import CodeType

HAS_MONITORING = sys.version_info >= (3, 12)
"""``sys.monitoring`` exists; before that, instructions can only be watched with ``sys.settrace``."""

STAR_CALL_OF_METHOD_IS_SILENT = sys.version_info[:2] == (3, 12)
"""Calling a bound method through ``*args`` fires no ``CALL`` event, so that only a probe can distinguish it from a function."""

EXTENDED_ARG_HIDES_OPCODE = not HAS_MONITORING
"""``sys.settrace`` reports the ``EXTENDED_ARG`` before an instruction, but not the instruction itself."""

CODE_UNIT = plain.CODE_UNIT
"""Number of bytes that an instruction occupies, without its inline caches."""

_AWAITING = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE

_AFTER_YIELD = 1
"""The largest location in the argument of a ``RESUME`` that checks: 0 is function entry, 1 is after ``yield``."""
_LOCATION = 3
"""The bits of a ``RESUME`` argument that hold the location."""


@per_code
def bytecode(code: CodeType) -> bytes:
    """Return the instructions of ``code`` as compiled; cached, because ``co_code`` builds a new object each time."""
    return code.co_code


def is_backward_jump(code: CodeType, offset: int) -> bool:
    """Return whether the instruction is a backward jump that checks for signals when taken."""
    return bytecode(code)[offset] in opcodes.BACKWARD_JUMPS


def is_call(code: CodeType, offset: int) -> bool:
    """Return whether the instruction is a call."""
    return bytecode(code)[offset] in opcodes.CALLS


def is_star_call(code: CodeType, offset: int) -> bool:
    """Return whether the instruction is a call with ``*args`` or ``**kwargs``."""
    return bytecode(code)[offset] == opcodes.STAR_CALL


def makes_text(code: CodeType, offset: int) -> bool:
    """Return whether the instruction, in an f-string or for ``%``, may call ``str`` or ``repr``, which check for signals."""
    instructions = bytecode(code)
    return _makes_text(instructions[offset], instructions[offset + 1])


def _makes_text(operation: int, argument: int) -> bool:
    return operation in opcodes.FORMATS or (operation == opcodes.BINARY_OP and argument in opcodes.REMAINDERS)


@per_code
def silent(code: CodeType) -> frozenset[int]:
    """Return the offsets of instructions that may check for signals without a ``sys.monitoring`` event."""
    star_call = opcodes.STAR_CALL if STAR_CALL_OF_METHOD_IS_SILENT else opcodes.MISSING
    instructions = bytecode(code)
    pairs = zip(instructions[::CODE_UNIT], instructions[1::CODE_UNIT], strict=True)
    return frozenset(
        number * CODE_UNIT
        for number, (operation, argument) in enumerate(pairs)
        if operation == star_call or _makes_text(operation, argument)
    )


def operation(code: CodeType, offset: int) -> int:
    """Return the offset of the instruction that is executed when ``sys.settrace`` reports the one at ``offset``."""
    instructions = bytecode(code)
    while EXTENDED_ARG_HIDES_OPCODE and instructions[offset] == opcodes.EXTENDED_ARG:
        offset += CODE_UNIT
    return offset


def enters_with(code: CodeType, offset: int) -> bool:
    """Return whether the instruction is the ``__enter__`` (or ``__aenter__``) call of a ``with`` statement."""
    instructions = bytecode(code)
    before = offset - CODE_UNIT  # ``LOAD_SPECIAL`` has no inline caches
    return instructions[before] == opcodes.LOAD_SPECIAL and instructions[before + 1] in opcodes.ENTERS


def exits_async_with(code: CodeType, offset: int) -> bool:
    """Return whether the instruction is the ``__aexit__`` call of an ``async with`` whose block has ended, and checks for signals.

    From 3.14 on, ``async with`` calls the function itself, which is inlined.
    """
    instructions = bytecode(code)
    after = offset + CODE_UNIT
    while opcodes.ASYNC_WITH_CALLS_METHOD and after < len(instructions) and instructions[after] == opcodes.CACHE:
        after += CODE_UNIT
    if not opcodes.ASYNC_WITH_CALLS_METHOD or after >= len(instructions):
        return False
    return instructions[after] == opcodes.GET_AWAITABLE and instructions[after + 1] == opcodes.OF_EXIT


def checks_on_resume(code: CodeType, offset: int) -> bool:
    """Return whether a frame that begins or resumes at ``offset`` checks for signals there.

    It does at the ``RESUME`` of a function entry or after ``yield``, but not after ``await``, nor where ``throw`` or ``close`` enter.
    """
    instructions = bytecode(code)
    return instructions[offset] == opcodes.RESUME and instructions[offset + 1] & _LOCATION <= _AFTER_YIELD


def is_entry(code: CodeType, offset: int) -> bool:
    """Return whether this ``RESUME`` is the one at function entry."""
    return bytecode(code)[offset + 1] & _LOCATION == 0


def suspends(code: CodeType, offset: int) -> bool:
    """Return whether a coroutine or asynchronous generator that leaves its frame at ``offset`` is suspended there."""
    return bool(code.co_flags & _AWAITING) and bytecode(code)[offset] == opcodes.YIELD_VALUE


def loses_interrupts(function: object) -> bool:
    """Return whether a failing call of ``function`` drops an exception that a signal handler raised during the call.

    ``int("x")`` formats its message twice, which checks for signals, and keeps only the second error.
    """
    return is_a(function, type) and issubclass(cast("type", function), int)


def handles_signals_late(function: object) -> bool:
    """Return whether ``function`` blocks signals, and then runs the handlers of those that had arrived before (``pthread_sigmask``)."""
    # The default, the module, is no function: it serves where the platform has no ``pthread_sigmask``.
    return function is getattr(_signal, "pthread_sigmask", _signal)


def landing(code: CodeType, offset: int) -> int:
    """Return the offset of the place that a signal landing at ``offset`` belongs to.

    3.11 fuses warm instructions: a call with its preparation (``PRECALL``), and a comparison with the jump that depends on it. A signal
    then lands on the first of the two.
    """
    instructions = bytecode(code)
    if not 0 <= offset < len(instructions):
        return offset
    if instructions[offset] == opcodes.PRECALL:
        while instructions[offset] != opcodes.CALL:
            offset += CODE_UNIT
    elif instructions[offset] == opcodes.COMPARE_OP:
        following = offset + CODE_UNIT
        while instructions[following] in {opcodes.CACHE, opcodes.EXTENDED_ARG}:
            following += CODE_UNIT
        if instructions[following] in opcodes.COMPARES_AND_JUMPS_BACK:
            return following
    return offset


def calling(code: CodeType, offset: int) -> int:
    """Return the offset of the call instruction of a calling frame, given its ``f_lasti``.

    During an inlined call, ``f_lasti`` may point to one of the inline caches or, on 3.11, to the preparation of the call.
    """
    instructions = bytecode(code)
    while offset > 0 and instructions[offset] == opcodes.CACHE:
        offset -= CODE_UNIT
    return landing(code, offset)


@per_code
def resume_of(code: CodeType) -> int:
    """Return the offset of the ``RESUME`` at function entry."""
    instructions = bytecode(code)
    return next(at for at in range(0, len(instructions), CODE_UNIT) if instructions[at] == opcodes.RESUME)


def starts_on_its_line(code: CodeType, resume: int) -> bool:
    """Return whether the first statement is on the line of the ``def``: ``RESUME`` and its successor then share that line."""
    lines = [line for start, _, line in code.co_lines() if start >= resume and line is not None]
    following = resume + CODE_UNIT
    while bytecode(code)[following] == opcodes.CACHE:  # RESUME has one from 3.15 on
        following += CODE_UNIT
    covered = any(start <= following < end and [line] == lines[:1] for start, end, line in code.co_lines())
    return code.co_name != "<module>" and covered
