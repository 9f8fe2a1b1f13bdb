"""Finalizers called during a run: whether their time counts as the test's, and which interrupts CPython drops in them."""

from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.system.frozen_heap import FrozenHeap
from pytest_maskcheck.system.stopwatch import their_time
from pytest_maskcheck.system.untrusted import attempt, name_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from types import CodeType

    from pytest_maskcheck.interrupts import Mechanism
    from pytest_maskcheck.runs.requests import RunResult


def finalizers_time() -> AbstractContextManager[None]:
    """Return the context manager for collecting garbage: finalizers are the test's, and may hang.

    Where the heap is not frozen, most of the time goes into walking it, and counts as the audit's.
    """
    return their_time if FrozenHeap.is_frozen() else nullcontext()


@contextmanager
def noting_lost_interrupts(ran: RunResult, codes: list[CodeType], mechanism: Mechanism[Any]) -> Iterator[None]:
    """Record interrupts that CPython drops in finalizers, and keep exceptions of finalizers off the terminal.

    Parameters:
        ran: the result of the run; its ``lost`` is filled in.
        codes: receives the code of these finalizers.
        mechanism: recognizes interrupts.
    """
    lost: list[str] = []

    # The snapshot was taken before this hook is installed, so the kind ``excepthook`` recognizes it by its module.
    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if unraisable.exc_value is not None and mechanism.is_interrupt(unraisable.exc_value, ran.strike):
            lost.append(_finalizer_of(unraisable))
            if unraisable.exc_traceback is not None:
                codes.append(unraisable.exc_traceback.tb_frame.f_code)

    before = sys.unraisablehook
    sys.unraisablehook = hook
    try:
        yield
    finally:
        if sys.unraisablehook is hook:  # if not, the test has installed another one, which is a finding
            sys.unraisablehook = before
        ran.lost = tuple(lost)


def _finalizer_of(unraisable: sys.UnraisableHookArgs) -> str:
    """Return the name of the function that CPython called; some versions pass that, some only a traceback that starts in it."""
    if unraisable.object is None and unraisable.exc_traceback is not None:
        return unraisable.exc_traceback.tb_frame.f_code.co_qualname
    kind = name_of(type(unraisable.object))
    return text_of(attempt(lambda: getattr(unraisable.object, "__qualname__", kind), kind))
