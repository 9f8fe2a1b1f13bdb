"""Probes CPython itself for checkpoints, with a signal that nothing else uses.

``with Probe(heard) as probe`` installs a handler for the signal. A callback that ends with ``return probe.trip.now`` makes the
signal pending. CPython calls the handler at the next checkpoint, and the handler passes the frame of that checkpoint to ``heard``.
If that frame is one of this package, there was no checkpoint before the next callback.
"""

from __future__ import annotations

import _thread
from typing import TYPE_CHECKING, Self

from pytest_maskcheck.interrupts.cpython.frames import stack
from pytest_maskcheck.interrupts.cpython.unavailable import EngineUnavailableError
from pytest_maskcheck.system.unpatched import signal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import CodeType, FrameType, TracebackType


class Trip(int):
    """A signal number; reading ``trip.now`` marks the signal as arrived without handling it."""

    now = property(_thread.interrupt_main)  # a builtin as getter is called without a frame, and so without a checkpoint


def _spare(avoid: Collection[int]) -> int:
    candidates: list[int] = [*range(getattr(signal, "SIGRTMAX", 0), getattr(signal, "SIGRTMIN", 1) - 1, -1)]
    # Real-time signals first: programs seldom use them.
    candidates += [getattr(signal, name) for name in ("SIGUSR2", "SIGXFSZ", "SIGBREAK") if hasattr(signal, name)]
    # Ignored signals are the second choice: a process may have been started with all of them ignored.
    for unused in (signal.SIG_DFL, signal.SIG_IGN):
        for number in candidates:
            if number not in avoid and signal.getsignal(number) == unused:
                return number
    message = "maskcheck needs one signal without a handler to find checkpoints; all of them have one"
    raise EngineUnavailableError(message)


class Probe:
    """A signal of our own that can be left pending.

    Parameters:
        heard: called with the frame where CPython handled the signal; an exception that it raises comes out in that frame.
        avoid: signals that have another use.
    """

    def __init__(self, heard: Callable[[FrameType], object], avoid: Collection[int] = ()) -> None:
        self.trip = Trip(_spare(avoid))
        self.home = 0
        """The frame, by ``id``, where the signal is to arrive; in frames it called, such as finalizers, it is left pending again."""
        self._heard = heard
        self._before: object = signal.SIG_DFL

    def __enter__(self) -> Self:
        """Install the handler."""
        self._before = signal.signal(self.trip, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Restore the previous action of the spare signal: the default one, or to ignore it."""
        signal.signal(self.trip, self._before)  # type: ignore[arg-type]

    def _handle(self, _: int, frame: FrameType | None) -> object:
        if frame is None:
            return None
        if self.home and any(id(running) == self.home for running in stack(frame.f_back)):
            return self.trip.now  # must be the last act: no checkpoint of this package may come in between
        self._heard(frame)
        return None

    _handle.__unmasked__ = True  # type: ignore[attr-defined]  # masks under audit must not defer this handler


HANDLER: CodeType = Probe._handle.__code__  # noqa: SLF001
"""The code of the handler; CPython calls it, not the code under test."""
