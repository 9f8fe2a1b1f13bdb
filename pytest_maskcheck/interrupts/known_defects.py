"""Defects of CPython itself that an audit meets, and checkpoints for which no Python code can prepare, read off the bytecode.

What is wrong after an interrupt at such a point may be the interpreter's doing: no Python code could have done better. Or it may be the
code's own, a state that no handler restores. To find out which, the run is made once more with the interrupt on a *detour* (:func:`past`):
where it would have come without the defect. What is found then, too, is the code's own.

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

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.interrupts.cpython.bytecode import destination, end_of_await, following
from pytest_maskcheck.interrupts.cpython.entering import with_checks_on_entering
from pytest_maskcheck.interrupts.cpython.handlers import is_within
from pytest_maskcheck.interrupts.cpython.positions import line_of
from pytest_maskcheck.interrupts.places import Detour

if TYPE_CHECKING:
    from pytest_maskcheck.interrupts.places import Hit, Trigger


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
    """Return the trigger of ``hit``, with a detour if CPython has a known defect there."""
    call = _entered_at(hit)
    if call is not None:
        return replace(hit.trigger, detour=Detour(following(hit.code, call), raises=False))
    call = _exited_at(hit)
    if call is not None:
        return replace(hit.trigger, detour=Detour(end_of_await(hit.code, call), raises=False))
    if _escapes(hit):
        return replace(hit.trigger, detour=Detour(destination(hit.code, hit.offset), raises=True))
    return hit.trigger


def _called_at(hit: Hit) -> int | None:
    """Return the call at which an interrupt arrives: that of the hit, or the first one of its line."""
    if hit.kind == "call":
        return hit.offset
    # In the mode ``line`` the signal is left pending as the line begins.
    offsets = range(hit.offset, len(facts.bytecode(hit.code)), facts.CODE_UNIT) if hit.kind == "line" else ()
    call = next((offset for offset in offsets if facts.is_call(hit.code, offset)), None)
    return call if call is not None and line_of(hit.code, call) == hit.line else None


def _entered_at(hit: Hit) -> int | None:
    """Return the call of ``__enter__`` by which ``with`` lets the interrupt in."""
    call = _called_at(hit)
    if call is None or not facts.enters_with(hit.code, call):
        return None
    return call if with_checks_on_entering() else None


def _exited_at(hit: Hit) -> int | None:
    """Return the call of ``__aexit__`` after which ``async with`` lets the interrupt in, before the coroutine begins."""
    call = _called_at(hit)
    return call if call is not None and facts.exits_async_with(hit.code, call) else None


def _escapes(hit: Hit) -> bool:
    """Return whether the hit is a jump outside of a ``try`` around the loop that it continues."""
    return hit.kind == "jump" and not is_within(hit.code, hit.offset, destination(hit.code, hit.offset))
