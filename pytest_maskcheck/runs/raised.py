"""Exceptions that come out of a run: whether they are interrupts, where they came from, and how to let go of them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from pytest_maskcheck.interrupts.cpython.frames import walk
from pytest_maskcheck.interrupts.cpython.positions import line_of
from pytest_maskcheck.results import Packed
from pytest_maskcheck.system.untrusted import attempt, cause_of, context_of, is_a, let_go, name_of, parts_of, text_of
from pytest_maskcheck.system.untrusted import traceback_of as kept_traceback

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType

    from pytest_maskcheck.results import Frame

_HARNESS = __name__.partition(".")[0] + "."


@dataclass(frozen=True, slots=True)
class Raised(Packed):
    """An exception that came out of a run, as plain data.

    Parameters:
        type: its qualified name.
        text: as the last line of a traceback would show it.
        interrupt: it is an interrupt: ``KeyboardInterrupt``, what the signal's handler raised, or a group of nothing else.
        over: it was raised while an interrupt was being handled.
        frames: from the test's body to where it was raised, harness left out.
        late: it was raised only after the body had ended.
    """

    type: str
    text: str
    interrupt: bool
    frames: tuple[Frame, ...]
    late: bool
    over: bool = False


class Entry(NamedTuple):
    """An entry of a traceback, taken apart once: each reading of ``tb_frame`` and of ``f_code`` raises an audit event."""

    traceback: TracebackType
    frame: FrameType
    code: CodeType

    @property
    def line(self) -> int:
        """Its line; ``tb_lineno`` is None at a jump for which the compiler noted none."""
        return line_of(self.code, self.traceback.tb_lasti)


def entries_of(error: BaseException) -> list[Entry]:
    """Return the entries of the traceback of ``error``, outermost first."""
    return [Entry(traceback, frame := traceback.tb_frame, frame.f_code) for traceback in walk(kept_traceback(error))]


def traceback_of(entries: list[Entry]) -> TracebackType | None:
    """Return a traceback of these entries, for a debugger to stop at the interrupted line."""
    traceback = None
    for entry in reversed(entries):
        traceback = TracebackType(traceback, entry.frame, entry.traceback.tb_lasti, entry.line)
    return traceback


def count_interrupts(error: BaseException) -> int:
    """Return how many interrupts the exception and what it was raised from are."""
    return sum(type(item) is KeyboardInterrupt for item in chain(error))


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, what it was raised from, and the parts of groups, each once."""
    seen: set[int] = set()
    queue = [error]
    while queue:
        item = queue.pop()
        if id(item) not in seen:
            seen.add(id(item))
            queue += [other for other in (cause_of(item), context_of(item)) if other is not None]
            queue += parts_of(item)
            yield item


def is_harness(frame: FrameType) -> bool:
    """Tell whether the frame is this package's or pytest's way to the test."""
    module = frame.f_globals.get("__name__", "")
    harness = isinstance(module, str) and module.startswith((_HARNESS, "_pytest.", "pluggy."))
    return harness and module != _HARNESS + "masking"


def is_audits(error: BaseException, raises_in: str) -> bool:
    """Tell whether what delivers interrupts raised an exception of its own, in the midst of the code under test.

    Too deep a recursion, or memory that is at its end, is the test's.

    Parameters:
        error: the exception.
        raises_in: the module that calls handlers of the test's; see :class:`.mechanism.Mechanism`.
    """
    if not is_a(error, Exception) or is_a(error, RecursionError, MemoryError):
        return False
    module = ""
    for entry in entries_of(error)[-1:]:
        module = str(entry.frame.f_globals.get("__name__"))
    return module.startswith(_HARNESS + "interrupts.") and module != raises_in


_EXPECTING = ("_pytest.", "unittest.case", "unittest.async_case")
"""Modules of what tests use to catch what they expect: ``pytest.raises``, ``assertRaises``."""


def is_expecting(module: str) -> bool:
    """Tell whether code of a module catches exceptions for tests that expect them."""
    return module.startswith(_EXPECTING)


def drop(error: BaseException) -> None:
    """Let go of the frames that ``error`` and all that it was raised from keep alive."""
    for item in list(chain(error)):
        let_go(item)


def finalizer_of(unraisable: sys.UnraisableHookArgs) -> str:
    """Return the name of the function that CPython called; some versions give it, some only a traceback that starts there."""
    if unraisable.object is None and unraisable.exc_traceback is not None:
        return unraisable.exc_traceback.tb_frame.f_code.co_qualname
    kind = name_of(type(unraisable.object))
    return text_of(attempt(lambda: getattr(unraisable.object, "__qualname__", kind), kind))
