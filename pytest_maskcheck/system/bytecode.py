"""Facts about bytecode for rooms below ``interrupts`` and for what runs without ``--maskcheck``, and a cache of such facts.

Everything else of that sort is in ``interrupts/cpython``. This file cannot be there: ``resources`` is below ``interrupts`` in the order
of imports, and the fixture, which works with auditing off as well, must not import the engine.
"""

from __future__ import annotations

import dis
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import CodeType

P = ParamSpec("P")
T = TypeVar("T")

CODE_UNIT = 2
"""Bytes an instruction occupies, without its inline caches."""

_FILLERS = {"NOP", "NOT_TAKEN"}
_MATCHES = {"CHECK_EXC_MATCH", "CHECK_EG_MATCH"}
_NAMING = ("LOAD_", "BUILD_", "COPY", "SWAP", "PUSH_NULL", *_MATCHES)
_CATCH_ALL = {"BaseException", "GeneratorExit", "BaseExceptionGroup"}


def per_code(function: Callable[Concatenate[CodeType, P], T]) -> Callable[Concatenate[CodeType, P], T]:
    """Cache the results of a function per code object; the cache keeps the code alive.

    The key is the ``id``: the hash of a code object is computed from all its contents on each use, 50 us for a function of 1,000 lines.
    """
    known: dict[int, tuple[CodeType, dict[Any, T]]] = {}

    @wraps(function)
    def remember(code: CodeType, /, *args: P.args, **kwargs: P.kwargs) -> T:
        entry = known.get(id(code))  # the entry keeps the code alive, so that no other object gets its ``id``
        if entry is None:
            entry = known[id(code)] = (code, {})
        results = entry[1]
        if args not in results:
            results[args] = function(code, *args, **kwargs)
        return results[args]

    return remember


@per_code
def exception_table(code: CodeType) -> tuple[tuple[int, int, int], ...]:
    """Return (start, end, target) in bytes; CPython's ``Objects/exception_handling_notes.txt`` describes the format."""
    numbers = _varints(code.co_exceptiontable)
    return tuple(
        (start * CODE_UNIT, (start + length) * CODE_UNIT, target * CODE_UNIT)
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


@per_code
def cleans_up_at(code: CodeType, position: int) -> bool:
    """Return whether an exception raised at ``position`` reaches a handler that cleans up, not only clauses for some exceptions."""
    handlers = handlers_at(code, position)
    if not handlers:
        return False
    steps = [step for step in dis.get_instructions(code) if step.opname not in _FILLERS]
    places = {step.offset: index for index, step in enumerate(steps)}
    return any(_cleans_up(steps[places[handler] :]) for handler in handlers)


def handlers_at(code: CodeType, position: int) -> list[int]:
    """Return where the handlers of an exception raised at ``position`` begin: the innermost one, and those reached if it is re-raised."""
    table = exception_table(code)
    way = [position]
    while (target := next((to for start, end, to in table if start <= way[-1] < end), way[-1])) not in way:
        way.append(target)
    return way[1:]


def _cleans_up(handler: Sequence[dis.Instruction]) -> bool:
    """Return whether a handler belongs to a ``with``, a ``finally``, or an ``except`` for all exceptions."""
    if handler[0].opname != "PUSH_EXC_INFO":
        return False
    for step in handler[1:]:
        if step.opname in _MATCHES:
            return False
        if step.argval in _CATCH_ALL or not step.opname.startswith(_NAMING):
            return True
    return False


def returns_nothing(code: CodeType) -> bool:
    """Return whether each ``return`` of a function returns the constant ``None``."""
    before = None
    for instruction in dis.get_instructions(code):
        if instruction.opname == "RETURN_VALUE":
            if before is None or not before.opname.startswith("LOAD_CO") or before.argval is not None:
                return False
        elif instruction.opname == "RETURN_CONST" and instruction.argval is not None:
            return False
        before = instruction
    return True
