"""Exceptions that come out of a run: which of them are interrupts, which are the audit's own, and how to let go of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.signals import delivery
from pytest_maskcheck.results import Packed
from pytest_maskcheck.runs.tracebacks import OURS, entries_of, walk
from pytest_maskcheck.system.unpatched import signal
from pytest_maskcheck.system.untrusted import cause_of, context_of, is_a, let_go, parts_of
from pytest_maskcheck.system.untrusted import traceback_of as kept_traceback

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_maskcheck.interrupts import Strike
    from pytest_maskcheck.results import Frame


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


def is_interrupt(error: BaseException, strike: Strike | None = None) -> bool:
    """Tell whether ``error`` is an interrupt, or a group of interrupts (as trio raises it).

    Besides ``KeyboardInterrupt``, that is the exception that the handler of ``strike`` raised; where that is not known, any
    exception that came out of that handler.
    """
    if is_a(error, BaseExceptionGroup) and not _from_handler(error, strike):
        return all(is_interrupt(part, strike) for part in parts_of(error))
    return is_a(error, KeyboardInterrupt) or _from_handler(error, strike)


def _from_handler(error: BaseException, strike: Strike | None) -> bool:
    """Tell whether a handler that was sent a signal raised ``error``, or another exception of its type."""
    for one in strike.in_turn() if strike else ():
        if one.error is not None and type(error) is one.error:
            return True
        if one.fired and not one.landed and one.handler_code is not None:
            codes = (entry.tb_frame.f_code for entry in walk(kept_traceback(error)))
            if any(code is one.handler_code for code in codes):
                return True
    return False


def is_delivered(error: BaseException, strike: Strike) -> bool:
    """Tell whether ``error`` is the very interrupt that was sent, and not one that the test raises itself, or a group of it.

    Where the audit ran the handler, its frames are in the traceback.
    """
    if not is_interrupt(error, strike):
        return False
    if not strike.landed:
        return True
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) and not _from_handler(error, strike) else ()
    traces = walk(error.__traceback__)
    came = any(each.tb_frame.f_globals.get("__name__") == delivery.__name__ for each in traces)
    return came or any(is_delivered(part, strike) for part in parts)


def may_interrupt(strike: Strike) -> bool:
    """Tell whether a ``KeyboardInterrupt`` can come of a strike."""
    return strike.signum == signal.SIGINT or strike.error is None or issubclass(strike.error, KeyboardInterrupt)


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


def is_audits(error: BaseException) -> bool:
    """Tell whether what delivers interrupts raised an exception of its own, in the midst of the code under test.

    Too deep a recursion, or memory that is at its end, is the test's.
    """
    if not is_a(error, Exception) or is_a(error, RecursionError, MemoryError):
        return False
    module = ""
    for entry in entries_of(error)[-1:]:
        module = str(entry.frame.f_globals.get("__name__"))
    return module.startswith(OURS + "interrupts.") and module != delivery.__name__


def drop(error: BaseException) -> None:
    """Let go of the frames that ``error`` and all that it was raised from keep alive."""
    for item in list(chain(error)):
        let_go(item)
