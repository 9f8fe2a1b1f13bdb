"""Who catches an interrupt: which handler it entered last and did not leave again.

Theory of operation. From the moment at which an interrupt lands, the engine tells when a handler of the bytecode is entered with it,
which instructions of that handler run, and which frames it leaves. ``except``, ``finally`` and ``with`` are all handlers; in which one
it ended is known when no frame was left after it. ``except`` clauses are tried one after the other: the instructions that
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

1. Neither the interrupt nor a frame is held: frames are known by ``id``, and as soon as one is left or another takes its place in the stack, it is
   forgotten. So such a run does what the others do.
2. Of several handlers that are at work, one within the other (a ``with`` whose ``__exit__`` runs the ``except`` of a generator), the
   innermost in scope counts, else the innermost.

Where no handler caught it, and the frame that had called the one it left last went on, C code dropped it: see ``dropping.py``.

What does not work: an exception that is stored and raised again elsewhere is a new one to whoever catches it then.
"""

from __future__ import annotations

import dis
import sys
from dataclasses import dataclass
from sys import settrace
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.interrupts.signals.base import OUTERMOST, Strike, caller_frame, line_of, stack
from pytest_maskcheck.interrupts.signals.dropping import Dropped, is_finalizing
from pytest_maskcheck.system.own_code import is_ours
from pytest_maskcheck.system.unpatched import threading

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

    from pytest_maskcheck.interrupts.signals.base import InScope

_PUSH = dis.opmap["PUSH_EXC_INFO"]
_WITH = dis.opmap["WITH_EXCEPT_START"]
_POP = dis.opmap["POP_TOP"]
_GROUP_CHECK = dis.opmap["CHECK_EG_MATCH"]
_CHECKS = frozenset({dis.opmap["CHECK_EXC_MATCH"], _GROUP_CHECK})
_JUMPS = frozenset(number for name, number in dis.opmap.items() if name.startswith("POP_JUMP"))
_NOTHING = frozenset(
    dis.opmap[name] for name in ("PUSH_EXC_INFO", "NOP", "CACHE", "EXTENDED_ARG", "NOT_TAKEN") if name in dis.opmap
)
_GOES = frozenset(number for name, number in dis.opmap.items() if name.startswith(("RETURN_", "YIELD_")))


@dataclass(slots=True, eq=False, repr=False)
class Handling:
    """A handler that an interrupt entered, and did not leave again as far as is known.

    Attributes:
        frame: its frame, by ``id``.
        code: its code.
        line: of the ``except`` clause that matched or of the ``with``; in ``finally``, the first line that ran.
        is_with: it is that of a ``with``, whose ``__exit__`` decides.
        settled: what it is does not change any more.
        decides: the ``__exit__`` that was called, if that is Python code.
        module: that of ``decides``.
        home: the module of its code.
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
        """Take the next instruction that runs."""
        operation = facts.bytecode(self.code)[offset]
        if self.settled or operation in _NOTHING:
            return
        if self._target >= 0:
            if offset != self._target:
                self.line, self.settled = self._checked, True
                return
            self._target, self._checked, self._begun = -1, 0, False  # the next clause
        line = line_of(self.code, offset)
        if operation in _CHECKS:
            self._checked, self._group = line, operation == _GROUP_CHECK
        elif operation in _JUMPS and self._checked:
            self._target = facts.target(self.code, offset)
        elif operation in _JUMPS and self.is_with:  # upon what ``__exit__`` returned
            self.settled = True
        elif not self._begun:
            self.line, self.is_with, self.settled = line, operation == _WITH, operation == _POP and not self._group
        self._begun = True


class Catching:
    """What handlers an interrupt enters and leaves in one run.

    Parameters:
        counts: tells whether an exception is the interrupt.
        in_scope: tells which code is audited.

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
        """Tell whether an exception is the interrupt."""
        return isinstance(error, BaseException) and self._counts(error, self.strike)

    def handled(self, frame: FrameType, offset: int) -> Handling | None:
        """Note that the interrupt entered a handler; return what is to be told of its instructions."""
        code = frame.f_code
        if is_ours(code.co_filename) or facts.bytecode(code)[offset] != _PUSH:
            return None
        self._forget(frame)
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
        """Take an instruction that is about to run; tell whether further ones of this frame matter."""
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
            running = {id(each) for each in stack(frame.f_back)}
            self._handling = [each for each in self._handling if each.frame in running]

    def catcher(self) -> Handling | None:
        """Return the handler in which the interrupt ended, once the run is over; ``None`` if that is not known."""
        within = [each for each in self._handling if self._in_scope(each.code.co_filename)]
        handling = within or self._handling
        return handling[-1] if handling else None

    def dropped(self) -> Dropped | None:
        """Return the function out of which the interrupt went into code in C, once a run is over out of which it did not come."""
        return None if self._handling else self._left


class MonitoredCatching:
    """Tells a :class:`Catching` what happens, by ``sys.monitoring``; see :class:`~.base.Phase`.

    Parameters:
        tool: the number of the tool.
        catching: what is told.
        lives: tells whether the tool is still ours.
    """

    def __init__(self, tool: int, catching: Catching, lives: Callable[[], bool]) -> None:
        self._tool = tool
        self._catching = catching
        self._lives = lives
        self._main = threading.main_thread().ident
        self._watched: dict[int, CodeType] = {}
        self._monitoring: Any = sys.__dict__["monitoring"]

    def start(self, frame: FrameType | None) -> None:
        """Begin when the interrupt lands in ``frame``."""
        events = self._monitoring.events
        self._catching.begins(frame)
        for event, callback in (
            (events.EXCEPTION_HANDLED, self._handled),
            (events.PY_UNWIND, self._unwind),
            (events.PY_START, self._start),
            (events.INSTRUCTION, self._instruction),
        ):
            self._monitoring.register_callback(self._tool, event, callback)
        self._monitoring.set_events(self._tool, events.EXCEPTION_HANDLED | events.PY_UNWIND | events.PY_START)

    def stop(self) -> None:
        """End."""
        if self._lives():
            self._monitoring.set_events(self._tool, 0)
            for code in self._watched.values():
                self._monitoring.set_local_events(self._tool, code, 0)
            self._monitoring.register_callback(self._tool, self._monitoring.events.EXCEPTION_HANDLED, None)
        self._watched.clear()

    def _is_main(self) -> bool:
        return threading.get_ident() == self._main and self._lives()

    def _handled(self, code: CodeType, offset: int, error: BaseException) -> None:
        if self._is_main() and self._catching.is_interrupt(error) and self._catching.handled(caller_frame(), offset):
            self._watched[id(code)] = code
            self._monitoring.set_local_events(self._tool, code, self._monitoring.events.INSTRUCTION)

    def _instruction(self, code: CodeType, offset: int) -> None:
        if self._is_main() and not self._catching.runs(caller_frame(), offset):
            self._watched.pop(id(code), None)
            self._monitoring.set_local_events(self._tool, code, 0)

    def _start(self, _: CodeType, __: int) -> None:
        if self._is_main():
            self._catching.starts(caller_frame())

    def _unwind(self, _: CodeType, __: int, error: BaseException) -> None:
        if self._is_main() and self._catching.is_interrupt(error):
            self._catching.left(caller_frame())


class TracedCatching:
    """Tells a :class:`Catching` what happens, by ``sys.settrace``; see :class:`~.base.Phase`."""

    def __init__(self, catching: Catching) -> None:
        self._catching = catching
        self._carrying: set[int] = set()  # frames that the interrupt has entered, by ``id``

    def start(self, frame: FrameType | None) -> None:
        """Begin when the interrupt lands in ``frame``."""
        self._catching.begins(frame)
        for running in stack(frame):
            if id(running.f_code) in OUTERMOST:
                break
            running.f_trace, running.f_trace_lines = self._local, False
        settrace(self._enter)

    def stop(self) -> None:
        """End: the engine takes its trace function away."""

    def _enter(self, frame: FrameType, _: str, __: object) -> Any:
        self._carrying.discard(id(frame))
        self._catching.starts(frame)
        frame.f_trace_lines = False
        return self._local

    def _local(self, frame: FrameType, event: str, about: Any) -> Any:
        if event == "exception":
            if self._catching.is_interrupt(about[1]):
                self._carrying.add(id(frame))
                frame.f_trace_opcodes = True
            else:
                self._carrying.discard(id(frame))
        elif event == "opcode":
            if id(frame) in self._carrying and facts.bytecode(frame.f_code)[frame.f_lasti] == _PUSH:
                self._catching.handled(frame, frame.f_lasti)
            else:
                self._catching.runs(frame, frame.f_lasti)
        elif event == "return" and id(frame) in self._carrying:
            self._carrying.discard(id(frame))
            if facts.bytecode(frame.f_code)[frame.f_lasti] not in _GOES:
                self._catching.left(frame)
        return self._local
