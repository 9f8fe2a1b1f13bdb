"""The main thread's signal mask: which signals the kernel holds back."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast

from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.kinds.signal_handlers import signal_name
from pytest_maskcheck.resources.process_state import ProcessState
from pytest_maskcheck.system.unpatched import os, signal

HAS_SIGMASK = hasattr(signal, "pthread_sigmask")
_CAN_TAKE_PENDING = hasattr(signal, "sigtimedwait")  # not on macOS


_read: Callable[[], set[int]] = partial(_signal.pthread_sigmask, _signal.SIG_BLOCK, ()) if HAS_SIGMASK else set


class SignalMask(ProcessState["set[int]"]):
    """The set of signals blocked in the calling thread."""

    name = "sigmask"
    available = HAS_SIGMASK

    read = staticmethod(_read)

    def differences(self, before: set[int], now: set[int]) -> Iterator[Leftover]:
        for number in sorted(before ^ now):
            name = signal_name(number)
            change = "is blocked now" if number in now else "is no longer blocked"
            yield self.altered(name, f"{name} {change}", number, number in before)

    def put_back(self, of: Hashable, value: object) -> None:
        number = cast("int", of)
        if not value and _CAN_TAKE_PENDING and number in signal.sigpending():
            # A pending signal that this process sent belongs to the run that is over; any other is delivered.
            taken = signal.sigtimedwait({number}, 0)
            if taken is not None and taken.si_pid != os.getpid():
                os.kill(os.getpid(), number)
        signal.pthread_sigmask(signal.SIG_BLOCK if value else signal.SIG_UNBLOCK, {number})

    @contextmanager
    def canary(self) -> Iterator[None]:
        number = signal.SIGUSR2 if signal.SIGUSR2 not in self.read() else signal.SIGUSR1
        old = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, old)
