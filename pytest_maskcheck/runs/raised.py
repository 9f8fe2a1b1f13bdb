"""Exceptions that come out of a run: which of them are interrupts, which are the audit's own, and how to let go of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_maskcheck.results import Packed
from pytest_maskcheck.runs.tracebacks import entries_of
from pytest_maskcheck.system.own_code import PACKAGE
from pytest_maskcheck.system.untrusted import cause_of, context_of, is_a, let_go, parts_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_maskcheck.results import Frame


@dataclass(frozen=True, slots=True)
class Raised(Packed):
    """An exception that came out of a run, as plain data.

    Parameters:
        type: the qualified name of its type.
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


def count_interrupts(error: BaseException) -> int:
    """Return how many of an exception and those that it was raised from are a ``KeyboardInterrupt``."""
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


def is_audits(error: BaseException, raises_in: str) -> bool:
    """Return whether the code that delivers interrupts raised an error of its own amid the code under test.

    A ``RecursionError`` or a ``MemoryError`` is the test's.

    Parameters:
        error: the exception.
        raises_in: the module that calls the test's handlers; see :class:`~pytest_maskcheck.interrupts.mechanism.Mechanism`.
    """
    if not is_a(error, Exception) or is_a(error, RecursionError, MemoryError):
        return False
    module = ""
    for entry in entries_of(error)[-1:]:
        module = str(entry.frame.f_globals.get("__name__"))
    return module.startswith(f"{PACKAGE}.interrupts.") and module != raises_in


def drop(error: BaseException) -> None:
    """Drop the frames that ``error`` and all that it was raised from keep alive."""
    for item in list(chain(error)):
        let_go(item)
