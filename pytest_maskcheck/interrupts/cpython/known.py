"""Defects of CPython itself that an audit meets, and checkpoints for which no Python code can prepare, told from the bytecode.

What is wrong after an interrupt at such a point may be the interpreter's doing: no Python code can be written that would
not have it. Or it may be the code's own, which CPython had no part in: a state that no handler restores. To tell them apart
the run is made once more with the interrupt on a *detour* (:func:`past`): where it would have come without the defect. What is found then,
too, is the code's own.

==========  ==========================================  ====================================================================
defect      where the interrupt comes                   detour
==========  ==========================================  ====================================================================
gh-130279   at a backward jump outside of the ``try``   at the head of the loop, within the ``try``; nothing ran in between
gh-148874   when ``__enter__`` has returned and         left pending when the ``with`` has been entered: it arrives at the next
            ``__exit__`` is not due yet                 checkpoint, as in a version that does not check at ``__enter__``; where
                                                        that is the end of another ``__enter__`` in C, when that has been passed
async with  when ``__aexit__`` has returned its         when ``__aexit__`` has run, or at the next checkpoint: what is wrong then,
            coroutine, which has not begun              too, is nothing that it would have undone
==========  ==========================================  ====================================================================

The last is up to 3.13, where ``async with`` calls a bound method. The entry of an ``__aexit__`` in Python is no such place, as that of
an ``__exit__`` is none: it is code that a mask can protect.
"""

from __future__ import annotations

import dis
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.interrupts.cpython.codes import per_code
from pytest_maskcheck.interrupts.signals.base import Detour, line_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

    from pytest_maskcheck.interrupts.signals.base import Hit, Trigger


def known_defect(hit: Hit) -> str:
    """Return the issue of the CPython defect that an interrupt at ``hit`` meets, or ``""``."""
    if _entered_at(hit) is not None:
        return "gh-148874: on this CPython `with` checks for signals after __enter__ and before __exit__ is due"
    if _exited_at(hit) is not None:
        return "on this CPython `async with` checks for signals between the call of __aexit__ and its first step"
    if _escapes(hit):
        return "gh-130279: a backward jump compiled outside its `try` lets an interrupt escape `except` and `finally`"
    return ""


def past(hit: Hit) -> Trigger:
    """Return the trigger of ``hit``, with a detour around the CPython defect that is known there."""
    call = _entered_at(hit)
    if call is not None:
        return replace(hit.trigger, detour=Detour(following(hit.code, call), raises=False))
    call = _exited_at(hit)
    if call is not None:
        return replace(hit.trigger, detour=Detour(facts.end_of_await(hit.code, call), raises=False))
    if _escapes(hit):
        return replace(hit.trigger, detour=Detour(_destination(hit.code, hit.offset), raises=True))
    return hit.trigger


def is_within(code: CodeType, offset: int, other: int) -> bool:
    """Tell whether all handlers of what is raised at ``other`` are handlers of what is raised at ``offset``, too."""
    return _handlers(code, other) <= _handlers(code, offset)


def _called_at(hit: Hit) -> int | None:
    """Return the call at which an interrupt arrives: that of the hit, or the first one of its line."""
    if hit.kind == "call":
        return hit.offset
    offsets = range(hit.offset, len(facts.bytecode(hit.code)), facts.CODE_UNIT) if hit.kind == "line" else ()
    call = next((offset for offset in offsets if facts.is_call(hit.code, offset)), None)
    return call if call is not None and line_of(hit.code, call) == hit.line else None


def _entered_at(hit: Hit) -> int | None:
    """Return the call of ``__enter__`` by which ``with`` lets the interrupt in."""
    call = _called_at(hit)
    if call is None or not facts.enters_with(hit.code, call):
        return None
    return call if facts.with_checks_on_entering() else None


def _exited_at(hit: Hit) -> int | None:
    """Return the call of ``__aexit__`` after which ``async with`` lets the interrupt in, before the coroutine begins."""
    call = _called_at(hit)
    return call if call is not None and facts.exits_async_with(hit.code, call) else None


def enters_next(code: CodeType, offset: int) -> int | None:
    """Return the call of another ``__enter__``, if no checkpoint comes before it from ``offset`` on."""
    for instruction in dis.get_instructions(code):
        at = instruction.offset
        if at >= offset and (facts.is_call(code, at) or instruction.opcode in dis.hasjabs + dis.hasjrel):
            return at if facts.is_call(code, at) and facts.enters_with(code, at) else None
    return None


def _escapes(hit: Hit) -> bool:
    """Tell whether the hit is a jump outside of a ``try`` around the loop that it continues."""
    return hit.kind == "jump" and not is_within(hit.code, hit.offset, _destination(hit.code, hit.offset))


@per_code
def _destination(code: CodeType, offset: int) -> int:
    for instruction in dis.get_instructions(code):
        if instruction.offset == offset:
            return int(instruction.argval)
    return offset


@per_code
def following(code: CodeType, offset: int) -> int:
    """Return the offset of the instruction after the one at ``offset``."""
    return next(each.offset for each in dis.get_instructions(code) if each.offset > offset)


@per_code
def _handlers(code: CodeType, offset: int) -> frozenset[int]:
    """Return where an exception raised at ``offset`` is handled, and where those are that the handlers let pass."""
    table = _exception_table(code)
    handlers: set[int] = set()
    at: int | None = offset
    while at is not None and at not in handlers:
        if at != offset:
            handlers.add(at)
        at = next((target for start, end, target in table if start <= at < end), None)
    return frozenset(handlers)


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
