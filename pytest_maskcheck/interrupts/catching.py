"""Who catches an interrupt: which handler it entered last and did not leave again.

Theory of operation. From the moment at which an interrupt lands, the engine reports when a handler of the bytecode is entered with it,
which instructions of that handler run, and which frames it leaves. ``except``, ``finally`` and ``with`` are all handlers; the interrupt
ended in the one after which it left no frame. ``except`` clauses are tried one after the other: the instructions that
run show which of them matched.

============  =======================================  =============================================================
              ``sys.monitoring``                       ``sys.settrace``
============  =======================================  =============================================================
entered       ``EXCEPTION_HANDLED``                    ``opcode`` of a ``PUSH_EXC_INFO`` after an ``exception``
instructions  ``INSTRUCTION`` of that code             ``opcode``
left          ``PY_UNWIND``                            ``return`` at an instruction that does not return
``__exit__``  ``PY_START`` of what the frame calls     ``call``
============  =======================================  =============================================================

Rules:

1. Neither the interrupt nor a frame is held, so that such a run does what the others do: frames are known by ``id``, and forgotten as soon
   as one is left or another takes its place in the stack.
2. Of several handlers that are at work, one within the other (a ``with`` whose ``__exit__`` runs the ``except`` of a generator), the
   innermost in scope counts, else the innermost.

Where no handler caught it, and the caller of the frame it left last went on, C code dropped it: see ``dropping.py``.

What does not work: an exception that is stored and raised again elsewhere counts as a new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.cpython import facts, opcodes
from pytest_maskcheck.interrupts.cpython.bytecode import target
from pytest_maskcheck.interrupts.cpython.frames import stack
from pytest_maskcheck.interrupts.cpython.positions import line_of
from pytest_maskcheck.interrupts.dropping import Dropped, is_finalizing
from pytest_maskcheck.interrupts.places import OUTERMOST
from pytest_maskcheck.interrupts.strike import Strike
from pytest_maskcheck.system.own_code import is_ours

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

    from pytest_maskcheck.interrupts.places import InScope


@dataclass(slots=True, eq=False, repr=False)
class Handling:
    """A handler that an interrupt entered and has not left, as far as is known.

    Attributes:
        frame: its frame, by ``id``.
        code: its code.
        line: of the ``except`` clause that matched or of the ``with``; in ``finally``, the first line that ran.
        is_with: it is that of a ``with``, whose ``__exit__`` decides.
        settled: ``line`` and ``is_with`` are final.
        decides: the ``__exit__`` that was called, if that is Python code.
        module: the module of ``decides``.
        home: the module of ``code``.
        site: the innermost line in scope that called it, or its own.
    """

    frame: int
    code: CodeType
    line: int
    is_with: bool = False
    settled: bool = False
    decides: CodeType | None = None
    module: str = ""
    home: str = ""
    site: tuple[CodeType, int] | None = None
    _begun: bool = False
    _checked: int = 0
    _target: int = -1
    _group: bool = False  # ``except*`` pops what did not match

    def runs(self, offset: int) -> None:
        """Take the next instruction that runs in it."""
        operation = facts.bytecode(self.code)[offset]
        # What a handler is shows in its first instructions, past those that every handler begins with.
        if self.settled or operation in opcodes.BEGINS_HANDLER_OR_NOTHING:
            return
        if self._target >= 0:
            if offset != self._target:
                self.line, self.settled = self._checked, True  # no jump to the next clause: this one matched
                return
            self._target, self._checked, self._begun = -1, 0, False  # on to the next clause
        line = line_of(self.code, offset)
        if operation in opcodes.MATCHES:
            self._checked, self._group = line, operation == opcodes.MATCHES_GROUP
        elif operation in opcodes.CONDITIONAL_JUMPS and self._checked:  # taken if the clause does not match
            self._target = target(self.code, offset)
        elif operation in opcodes.CONDITIONAL_JUMPS and self.is_with:  # upon what ``__exit__`` returned
            self.settled = True
        elif not self._begun:
            self.line, self.is_with, self.settled = (
                line,
                operation == opcodes.WITH_EXCEPT_START,
                operation == opcodes.POP_TOP and not self._group,
            )
        self._begun = True


class Catching:
    """The handlers that an interrupt enters and leaves in one run.

    Parameters:
        counts: whether an exception is the interrupt; see :meth:`.mechanism.Mechanism.is_delivered`.
        in_scope: which code is audited.

    Attributes:
        strike: what became of the interrupt.
        outermost: the code of the outermost frame in scope when it landed: the test's.
    """

    def __init__(self, counts: Callable[[BaseException, Strike], bool], in_scope: InScope) -> None:
        self.strike = Strike()
        self.outermost: CodeType | None = None
        self._counts = counts
        self._in_scope = in_scope
        self._handling: list[Handling] = []
        self._left: Dropped | None = None

    def begins(self, frame: FrameType | None) -> None:
        """Take the frame in which the interrupt lands."""
        for running in stack(frame):
            if id(running.f_code) in OUTERMOST:
                break
            if self._in_scope(running.f_code.co_filename):
                self.outermost = running.f_code

    def is_interrupt(self, error: object) -> bool:
        """Return whether an exception is the interrupt."""
        return isinstance(error, BaseException) and self._counts(error, self.strike)

    def handled(self, frame: FrameType, offset: int) -> Handling | None:
        """Note that the interrupt entered a handler; return the handling to which its instructions are to be reported."""
        code = frame.f_code
        if is_ours(code.co_filename) or facts.bytecode(code)[offset] != opcodes.PUSH_EXC_INFO:
            return None
        self._forget(frame)  # an earlier handler in this frame has raised it again
        home = str(frame.f_globals.get("__name__", ""))
        handling = Handling(id(frame), code, line_of(code, offset), home=home, site=self._site(frame))
        self._handling.append(handling)
        return handling

    def _site(self, frame: FrameType) -> tuple[CodeType, int] | None:
        for running in stack(frame):
            if id(running.f_code) in OUTERMOST:
                break
            if self._in_scope(running.f_code.co_filename):
                return running.f_code, line_of(running.f_code, running.f_lasti)
        return None

    def runs(self, frame: FrameType, offset: int) -> bool:
        """Take an instruction that is about to run; return whether further ones of this frame matter."""
        handling = self._in(frame)
        if handling is None:
            return False
        handling.runs(offset)
        return not handling.settled

    def _in(self, frame: FrameType) -> Handling | None:
        """Return the latest handler in a frame."""
        within = (each for each in reversed(self._handling) if each.frame == id(frame) and each.code is frame.f_code)
        return next(within, None)

    def starts(self, frame: FrameType) -> None:
        """Note that a function begins: it may be the ``__exit__`` of the ``with`` that is left."""
        handling = self._in(frame.f_back) if self._handling and frame.f_back is not None else None
        if handling is not None and handling.is_with and not handling.settled and handling.decides is None:
            handling.decides = frame.f_code
            handling.module = str(frame.f_globals.get("__name__", ""))

    def left(self, frame: FrameType) -> None:
        """Note that the interrupt left a frame: no handler in it caught it, nor any that had ended before."""
        self._forget(frame)
        code = frame.f_code
        if not is_ours(code.co_filename):
            self._left = Dropped(code, line_of(code, frame.f_lasti), is_finalizing(frame))

    def _forget(self, frame: FrameType) -> None:
        """Forget handlers in frames that do not run any more, and in ``frame``."""
        if self._handling:
            # Frames that ended without ``left`` (a ``return`` in ``finally``) are on the stack no more either.
            running = {id(each) for each in stack(frame.f_back)}
            self._handling = [each for each in self._handling if each.frame in running]

    def catcher(self) -> Handling | None:
        """Return the handler in which the interrupt ended, once the run is over; ``None`` if none was seen."""
        within = [each for each in self._handling if self._in_scope(each.code.co_filename)]
        handling = within or self._handling
        return handling[-1] if handling else None

    def dropped(self) -> Dropped | None:
        """Return the function out of which the interrupt went into code in C, once a run is over out of which it did not come."""
        return None if self._handling else self._left
