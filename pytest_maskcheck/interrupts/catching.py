"""Finds what catches an interrupt: the last handler that it entered and did not leave.

Theory of operation. From the moment an interrupt lands, the engine reports each bytecode handler that it enters, the instructions of that
handler that run, and each frame that the interrupt leaves. ``except``, ``finally`` and ``with`` are all handlers; the interrupt ended in
the handler after which it left no further frame. ``except`` clauses are tried one after the other, and the instructions that run show
which of them matched.

============  =======================================  =============================================================
              ``sys.monitoring``                       ``sys.settrace``
============  =======================================  =============================================================
entered       ``EXCEPTION_HANDLED``                    ``opcode`` of a ``PUSH_EXC_INFO`` after an ``exception``
instructions  ``INSTRUCTION`` of that code             ``opcode``
left          ``PY_UNWIND``                            ``return`` at an instruction that does not return
``__exit__``  ``PY_START`` of what the frame calls     ``call``
============  =======================================  =============================================================

Rules:

1. No reference to the interrupt or to a frame is kept, so that such a run behaves like the others. Frames are identified by ``id``, and
   forgotten as soon as one is left or another takes its place on the stack.
2. When several handlers are active, one inside the other (a ``with`` whose ``__exit__`` runs the ``except`` of a generator), the
   innermost one in scope counts; if none is in scope, the innermost.

If no handler caught the interrupt, and the caller of the frame it left last went on, C code dropped it: see ``dropping.py``.

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
    """A handler that an interrupt entered and, as far as the engine has reported, has not left.

    Attributes:
        frame: its frame, by ``id``.
        code: its code.
        line: the line of the ``except`` clause that matched, or of the ``with``; in ``finally``, the first line that ran.
        is_with: the handler belongs to a ``with`` statement, whose ``__exit__`` decides.
        settled: ``line`` and ``is_with`` are final.
        decides: the ``__exit__`` that was called, if it is Python code.
        module: the module of ``decides``.
        home: the module of ``code``.
        site: its own line if it is in scope, else the innermost line in scope that led to it.
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
    _group: bool = False  # ``except*`` pops what did not match: a POP_TOP does not mean a bare ``except``

    def runs(self, offset: int) -> None:
        """Process the next instruction that runs in this handler."""
        operation = facts.bytecode(self.code)[offset]
        # The first instructions after the common prologue identify the sort of handler.
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
        elif operation in opcodes.CONDITIONAL_JUMPS and self._checked:  # the jump taken if the clause does not match
            self._target = target(self.code, offset)
        elif operation in opcodes.CONDITIONAL_JUMPS and self.is_with:  # tests the return value of ``__exit__``
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
        retells: lines are to be reported, too.
    """

    retells = False

    def __init__(self, counts: Callable[[BaseException, Strike], bool], in_scope: InScope) -> None:
        self.strike = Strike()
        self.outermost: CodeType | None = None
        self._counts = counts
        self._in_scope = in_scope
        self._handling: list[Handling] = []
        self._left: Dropped | None = None

    def begins(self, frame: FrameType | None) -> None:
        """Find the outermost code in scope, starting from the frame where the interrupt lands."""
        for running in stack(frame):
            if id(running.f_code) in OUTERMOST:
                break
            if self._in_scope(running.f_code.co_filename):
                self.outermost = running.f_code

    def is_interrupt(self, error: object) -> bool:
        """Return whether an exception is the interrupt."""
        return isinstance(error, BaseException) and self._counts(error, self.strike)

    def handled(self, frame: FrameType, offset: int) -> Handling | None:
        """Record that the interrupt entered a handler; return it if its instructions are to be reported, else ``None``."""
        code = frame.f_code
        if is_ours(code.co_filename) or facts.bytecode(code)[offset] != opcodes.PUSH_EXC_INFO:
            return None
        self._forget(frame)  # an earlier handler in this frame has re-raised it
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

    def line(self, code: CodeType, line: int) -> None:
        """Process a line that is about to run, if lines are reported."""

    def runs(self, frame: FrameType, offset: int) -> bool:
        """Process an instruction that is about to run; return whether further instructions of this frame matter."""
        handling = self._in(frame)
        if handling is None:
            return False
        handling.runs(offset)
        return not handling.settled

    def _in(self, frame: FrameType) -> Handling | None:
        """Return the handler that was entered last in a frame."""
        within = (each for each in reversed(self._handling) if each.frame == id(frame) and each.code is frame.f_code)
        return next(within, None)

    def starts(self, frame: FrameType) -> None:
        """Record that a function begins: it may be the ``__exit__`` of the ``with`` block that is being left."""
        handling = self._in(frame.f_back) if self._handling and frame.f_back is not None else None
        if handling is not None and handling.is_with and not handling.settled and handling.decides is None:
            handling.decides = frame.f_code
            handling.module = str(frame.f_globals.get("__name__", ""))

    def left(self, frame: FrameType) -> None:
        """Record that the interrupt left a frame: no handler in that frame caught it, nor did any handler in a frame that ended earlier."""
        self._forget(frame)
        code = frame.f_code
        if not is_ours(code.co_filename):
            self._left = Dropped(code, line_of(code, frame.f_lasti), is_finalizing(frame))

    def _forget(self, frame: FrameType) -> None:
        """Forget the handlers in ``frame`` and in frames that are no longer running."""
        if self._handling:
            # The stack is compared because some frames end without a call of ``left``: those with a ``return`` in ``finally``.
            running = {id(each) for each in stack(frame.f_back)}
            self._handling = [each for each in self._handling if each.frame in running]

    def catcher(self) -> Handling | None:
        """Return the handler that caught the interrupt, or ``None`` if none was seen; call this when the run is over."""
        within = [each for each in self._handling if self._in_scope(each.code.co_filename)]
        handling = within or self._handling
        return handling[-1] if handling else None

    def dropped(self) -> Dropped | None:
        """Return the function from which the interrupt passed into C code, or ``None`` if a handler caught it.

        Call this when the run is over and the interrupt did not come out of it.
        """
        return None if self._handling else self._left
