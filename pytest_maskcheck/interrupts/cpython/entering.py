"""Finds out whether ``with`` checks for signals once ``__enter__`` has returned: a defect that any release may fix.

CPython 3.14 calls ``__enter__`` with an ordinary ``CALL``, which checks (gh-148874). A version number does not settle the question, so the
running interpreter is probed.
"""

from __future__ import annotations

import _thread
from functools import cache, partial
from typing import TYPE_CHECKING, Any, cast

from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.interrupts.cpython.probe import Probe

if TYPE_CHECKING:
    import signal
    from types import CodeType, FrameType

_WARM = 20
"""Number of runs after which every instruction is specialised."""


class _HandledError(Exception):
    """Raised by the handler in :func:`with_checks_on_entering`."""


@cache
def with_checks_on_entering() -> bool:
    """Return whether ``with`` checks for signals when ``__enter__`` has returned, before ``__exit__`` is due (gh-148874).

    To find out, an ``__enter__`` in C leaves a signal of our own pending. The first call must come from the main thread, before a
    recording begins.
    """

    def handle(_: FrameType) -> None:
        raise _HandledError

    class Entered:
        __enter__: Any

        def __exit__(self, *_: object) -> None:
            pass

    def enters() -> bool:
        within = False
        try:
            with Entered():
                within = True  # a store is no checkpoint: the next one is the entry of __exit__
        except _HandledError:
            pass
        return within

    with Probe(handle) as probe:
        Entered.__enter__ = staticmethod(partial(_thread.interrupt_main, cast("signal.Signals", int(probe.trip))))
        return not all(enters() for _ in range(_WARM))


def checks_on_return(code: CodeType, offset: int) -> bool:
    """Return whether the instruction checks for signals when its callee returns.

    ``LOAD_SUPER_ATTR`` does not: it fires the events of a call of ``super``, but avoids the call.
    """
    return facts.is_call(code, offset) and (not facts.enters_with(code, offset) or with_checks_on_entering())
