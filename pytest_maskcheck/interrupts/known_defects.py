"""Recognises, from the bytecode, defects of CPython itself and checkpoints that no Python code can prepare for.

A finding at such a point may be the interpreter's doing: no Python code could have done better. Or it may be the code's own: a state that
no handler restores. To decide, the run is repeated with the interrupt on a *detour* (:func:`past`), which delivers it where it would have
arrived without the defect. A finding that remains on the detour is the code's own.

==========  ==========================================  ====================================================================
defect      where the interrupt comes                   detour
==========  ==========================================  ====================================================================
gh-130279   at a backward jump outside of the ``try``   at the head of the loop, within the ``try``; nothing ran in between
gh-148874   when ``__enter__`` has returned and         left pending once the ``with`` has been entered: it arrives at the next
            ``__exit__`` is not due yet                 checkpoint, as in a version that does not check at ``__enter__``; if that
                                                        is the end of another ``__enter__`` in C, left pending after that one
async with  when ``__aexit__`` has returned its         when ``__aexit__`` has run, or at the next checkpoint: a finding that
            coroutine, which has not begun              remains then is nothing that ``__aexit__`` would have undone
==========  ==========================================  ====================================================================

The last one occurs up to 3.13, where ``async with`` calls a bound method. The entry of an ``__aexit__`` written in Python is not such a
place, and neither is that of an ``__exit__``: both are code that a mask can protect.
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
    """Return the offset of the call where an interrupt at ``hit`` arrives: its own, or in mode ``line`` the first call of its line."""
    if hit.kind == "call":
        return hit.offset
    # In the mode ``line`` the signal is left pending as the line begins.
    offsets = range(hit.offset, len(facts.bytecode(hit.code)), facts.CODE_UNIT) if hit.kind == "line" else ()
    call = next((offset for offset in offsets if facts.is_call(hit.code, offset)), None)
    return call if call is not None and line_of(hit.code, call) == hit.line else None


def _entered_at(hit: Hit) -> int | None:
    """Return the offset of the ``__enter__`` call after which ``with`` lets the interrupt in, or ``None``."""
    call = _called_at(hit)
    if call is None or not facts.enters_with(hit.code, call):
        return None
    return call if with_checks_on_entering() else None


def _exited_at(hit: Hit) -> int | None:
    """Return the offset of the ``__aexit__`` call after which ``async with`` lets the interrupt in, before the coroutine begins."""
    call = _called_at(hit)
    return call if call is not None and facts.exits_async_with(hit.code, call) else None


def _escapes(hit: Hit) -> bool:
    """Return whether the hit is a backward jump outside a ``try`` that covers its destination."""
    return hit.kind == "jump" and not is_within(hit.code, hit.offset, destination(hit.code, hit.offset))
