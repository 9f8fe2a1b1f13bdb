"""What differs between CPython versions, as named facts. The soundness experiment checks them.

Everything here was measured with real signals (``tests/soundness``); nothing else in the package asks for the version.
"""

from __future__ import annotations

import dis
import sys
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import CodeType

HAS_MONITORING = sys.version_info >= (3, 12)
"""``sys.monitoring`` exists; before that, instructions can only be watched with ``sys.settrace``."""

STAR_CALL_OF_METHOD_IS_SILENT = sys.version_info[:2] == (3, 12)
"""Calling a bound method through ``*args`` fires no ``CALL`` event, so that only a probe tells it from a function."""

WITH_ENTERS_BY_CHECKED_CALL = sys.version_info[:2] == (3, 14)
"""``with`` calls ``__enter__`` by an ordinary ``CALL``, which checks for signals before ``__exit__`` is due (gh-148874)."""

_WITH_ENTERS_BY_CALL = sys.version_info >= (3, 14)
"""``with`` calls ``__enter__`` by ``LOAD_SPECIAL`` and ``CALL``; from 3.15 on, that one call does not check."""

CODE_UNIT = 2
"""Bytes an instruction occupies, without its inline caches."""

_BACKWARD = frozenset(
    number for name, number in dis.opmap.items() if "JUMP_BACKWARD" in name and not name.endswith("NO_INTERRUPT")
)
_CALLS = frozenset(number for name, number in dis.opmap.items() if name.startswith("CALL") and "INTRINSIC" not in name)
_STAR_CALL = dis.opmap["CALL_FUNCTION_EX"]
_RESUME = dis.opmap["RESUME"]
_PRECALL = dis.opmap.get("PRECALL", -1)
_CALL = dis.opmap["CALL"]
_LOAD_SPECIAL = dis.opmap.get("LOAD_SPECIAL", -1)
_ENTER = frozenset({0, 2})  # __enter__, __aenter__
_AFTER_YIELD = 1
_LOCATION = 3


@lru_cache(maxsize=4096)
def bytecode(code: CodeType) -> bytes:
    """Return the instructions of ``code`` as compiled (``co_code`` builds a new object each time)."""
    return code.co_code


def is_backward_jump(code: CodeType, offset: int) -> bool:
    """Tell whether the instruction is a backward jump that checks for signals when it is taken."""
    return bytecode(code)[offset] in _BACKWARD


def is_call(code: CodeType, offset: int) -> bool:
    """Tell whether the instruction is a call."""
    return bytecode(code)[offset] in _CALLS


def is_star_call(code: CodeType, offset: int) -> bool:
    """Tell whether the instruction is a call with ``*args`` or ``**kwargs``."""
    return bytecode(code)[offset] == _STAR_CALL


def enters_with(code: CodeType, offset: int) -> bool:
    """Tell whether the instruction is the call of ``__enter__`` that ``with`` makes."""
    instructions = bytecode(code)
    before = offset - CODE_UNIT
    return _WITH_ENTERS_BY_CALL and instructions[before] == _LOAD_SPECIAL and instructions[before + 1] in _ENTER


def checks_on_return(code: CodeType, offset: int) -> bool:
    """Tell whether the call checks for signals when it returns."""
    return WITH_ENTERS_BY_CHECKED_CALL or not enters_with(code, offset)


def checks_on_resume(code: CodeType, offset: int) -> bool:
    """Tell whether this ``RESUME`` checks for signals: at entry and after ``yield``, not after ``await``."""
    instructions = bytecode(code)
    return instructions[offset] != _RESUME or instructions[offset + 1] & _LOCATION <= _AFTER_YIELD


def is_entry(code: CodeType, offset: int) -> bool:
    """Tell whether this ``RESUME`` is the one at function entry."""
    return bytecode(code)[offset + 1] & _LOCATION == 0


def landing(code: CodeType, offset: int) -> int:
    """Return the offset of the call for a signal that landed on its preparation (``PRECALL`` of 3.11)."""
    instructions = bytecode(code)
    if 0 <= offset < len(instructions) and instructions[offset] == _PRECALL:
        while instructions[offset] != _CALL:
            offset += CODE_UNIT
    return offset


@lru_cache(maxsize=4096)
def resume_of(code: CodeType) -> int:
    """Return the offset of the ``RESUME`` at function entry."""
    instructions = bytecode(code)
    return next(at for at in range(0, len(instructions), CODE_UNIT) if instructions[at] == _RESUME)


def starts_on_its_line(code: CodeType, resume: int) -> bool:
    """Tell whether the first statement is on the line of the ``def``: ``RESUME`` and its successor share it."""
    lines = [line for start, _, line in code.co_lines() if start >= resume and line is not None]
    following = resume + CODE_UNIT
    covered = any(start <= following < end and line == lines[0] for start, end, line in code.co_lines())
    return code.co_name != "<module>" and covered
