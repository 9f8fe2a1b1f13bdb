"""Detects C code that drops an interrupt: it called a Python function, and cleared the exception that came out.

CPython reports nothing in that case: no bytecode handler is entered, and ``sys.unraisablehook`` is not called either. All that can be seen
is the last frame that the interrupt left, while the frame that called it went on. C code must lie between the two.

Most such code finalizes an object: ``io.IOBase`` reads ``closed`` and calls ``close`` when the last reference goes away; sockets
and files warn. Two signs distinguish a finalizer from other C code:

1. The calling frame stands at an instruction that calls nothing and only drops references (``del file``, ``return``).
2. The first argument of the function is an object whose ``__del__`` is written in C. When a temporary object is finalized during a call,
   this is the only sign.

What does not work: the second sign also matches other C code that calls a method of such an object and drops the exception. That code is
taken for the object's finalizer. Standard streams are excluded, since ``input`` is such code.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import WrapperDescriptorType
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.cpython import facts, opcodes

if TYPE_CHECKING:
    from types import CodeType, FrameType

_STREAMS = ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__")


@dataclass(frozen=True, slots=True)
class Dropped:
    """The last function that an interrupt left; the C code that had called it dropped the interrupt.

    Attributes:
        code: the function.
        line: its line when the interrupt left it.
        finalizing: the C code was finalizing an object.
    """

    code: CodeType
    line: int
    finalizing: bool


def is_finalizing(frame: FrameType) -> bool:
    """Return whether the C code that called the function of ``frame`` was finalizing an object; assumes that C code called it."""
    caller = frame.f_back
    if caller is None:
        return False
    at = facts.calling(caller.f_code, caller.f_lasti)
    return facts.bytecode(caller.f_code)[at] in opcodes.ONLY_DROPS or _ends_in_c(frame)


def _ends_in_c(frame: FrameType) -> bool:
    """Return whether the first argument is an object with a finalizer in C."""
    code = frame.f_code
    if not code.co_argcount:
        return False
    subject = frame.f_locals.get(code.co_varnames[0])
    if any(subject is sys.__dict__.get(name) for name in _STREAMS):
        return False
    # Look ``__del__`` up as ``type`` does, without the ``__getattr__`` of a metaclass: no user code may run here.
    mro = type.__dict__["__mro__"].__get__(type(subject))
    finalizer = next((vars(base)["__del__"] for base in mro if "__del__" in vars(base)), None)
    return isinstance(finalizer, WrapperDescriptorType)
