"""Finalizers called during a run: whether their time counts as the test's, and which interrupts CPython drops in them."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.system.frozen_heap import FrozenHeap
from pytest_maskcheck.system.stopwatch import their_time
from pytest_maskcheck.system.untrusted import attempt, name_of, text_of

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import CodeType

    from pytest_maskcheck.interrupts import Mechanism
    from pytest_maskcheck.runs.requests import RunResult


def finalizers_time() -> AbstractContextManager[None]:
    """Return the context manager for collecting garbage: finalizers are the test's, and may hang.

    Where the heap is not frozen, most of the time goes into walking it, and counts as the audit's.
    """
    return their_time if FrozenHeap.is_frozen() else nullcontext()


class noting_lost_interrupts:  # noqa: N801  (used like a function)
    """Record interrupts that CPython drops in finalizers, and keep exceptions of finalizers off the terminal.

    A class and no generator, as every run enters it, and suspended generators are looked at after it.

    Parameters:
        ran: the result of the run; its ``lost`` is filled in.
        codes: receives the code of these finalizers.
        mechanism: recognizes interrupts.
    """

    __slots__ = ("_before", "_codes", "_hook", "_lost", "_mechanism", "_ran")

    def __init__(self, ran: RunResult, codes: list[CodeType], mechanism: Mechanism[Any]) -> None:
        self._ran = ran
        self._codes = codes
        self._mechanism = mechanism
        self._lost: list[str] = []

        def hook(unraisable: sys.UnraisableHookArgs) -> None:
            self._note(unraisable)

        # The snapshot was taken before this hook is installed, so the kind ``excepthook`` recognizes it by its module. It is a function,
        # as a bound method has no module of its own.
        self._hook = hook

    def __enter__(self) -> None:
        self._before = sys.unraisablehook
        sys.unraisablehook = self._hook

    def __exit__(self, *_: object) -> None:
        if sys.unraisablehook is self._hook:  # if not, the test has installed another one, which is a finding
            sys.unraisablehook = self._before
        self._ran.lost = tuple(self._lost)
        del self._hook  # it refers to this object

    def _note(self, unraisable: sys.UnraisableHookArgs) -> None:
        if unraisable.exc_value is not None and self._mechanism.is_interrupt(unraisable.exc_value, self._ran.strike):
            self._lost.append(_finalizer_of(unraisable))
            if unraisable.exc_traceback is not None:
                self._codes.append(unraisable.exc_traceback.tb_frame.f_code)


def _finalizer_of(unraisable: sys.UnraisableHookArgs) -> str:
    """Return the name of the function that CPython called; some versions pass that, some only a traceback that starts in it."""
    if unraisable.object is None and unraisable.exc_traceback is not None:
        return unraisable.exc_traceback.tb_frame.f_code.co_qualname
    kind = name_of(type(unraisable.object))
    return text_of(attempt(lambda: getattr(unraisable.object, "__qualname__", kind), kind))
