"""C code that drops an interrupt: it called a Python function, and cleared what came out of it.

Nothing reports that: no handler of the bytecode is entered, and ``sys.unraisablehook`` is not called either. What can be seen is the
last frame that the interrupt left, while the frame that called it went on. What stands between the two is code in C.

Most of such code is the end of an object: ``io.IOBase`` reads ``closed`` and calls ``close`` when the last reference goes, sockets
and files warn. Two signs distinguish it from other code:

1. The calling frame stands at an instruction that calls nothing, and does no more than drop references (``del file``, ``return``).
2. The first argument of the function is an object whose ``__del__`` is written in C. Where a temporary object ends within a call,
   that is all that can be seen.

What does not work: by the second sign, other code in C that calls a method of such an object and drops what comes out is taken for
its end. Standard streams are left out, since ``input`` is such code.
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
    """The function that an interrupt left last, to be dropped by the code in C that had called it.

    Attributes:
        code: the function.
        line: its line when the interrupt left it.
        finalizing: the code in C was at the end of an object.
    """

    code: CodeType
    line: int
    finalizing: bool


def is_finalizing(frame: FrameType) -> bool:
    """Return whether C code that ends an object called the function of a frame, if it was C code that did."""
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
    # Looked up as ``type`` does it, past any ``__getattr__`` of metaclasses: nobody's code may run here.
    mro = type.__dict__["__mro__"].__get__(type(subject))
    finalizer = next((vars(base)["__del__"] for base in mro if "__del__" in vars(base)), None)
    return isinstance(finalizer, WrapperDescriptorType)
