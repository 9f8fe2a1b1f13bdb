"""How a signal is sent from inside a trace or monitoring callback.

Rules:

1. The handler and the mask in force decide. The handler is neither replaced nor wrapped: code that asks
   whether ``signal.default_int_handler`` is installed must get the usual answer.
2. Where CPython would check for signals between the callback and the next instruction, the signal is left
   *pending* and CPython delivers it itself (:data:`Trip`). Where the check lies behind (function entry) or
   does not happen in every state of warm-up (calls), the callback calls the handler, as CPython would have.
3. A signal that the main thread blocks is sent for real: the kernel decides who gets it, and when.

Leaving a signal pending needs that no checkpoint runs between the trip and the end of the callback, so
the trip is the attribute of an ``int`` and the callback's last act: ``return trip.now``. Other callbacks would be
checkpoints too; the engine switches its events off first.
"""

from __future__ import annotations

import _thread
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

    from pytest_maskcheck.interrupts.base import Strike


class Trip(int):
    """A signal number; reading ``trip.now`` marks the signal as arrived without handling it."""

    now = property(_thread.interrupt_main)  # a builtin as getter: called without a frame, and so without a checkpoint


class Kill(int):
    """A signal number; reading ``kill.now`` sends the signal to the process, as another process would."""

    @property
    def now(self) -> None:
        """Send the signal."""
        os.kill(os.getpid(), self)


def _blocked(signum: int) -> bool:
    return hasattr(signal, "pthread_sigmask") and signum in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def _name(handler: object) -> str:
    if handler is signal.default_int_handler:
        return ""
    if handler is None or isinstance(handler, int):
        return {None: "a handler installed from C", 0: "SIG_DFL", 1: "SIG_IGN"}[handler]
    return str(getattr(handler, "__qualname__", type(handler).__qualname__))


def pending(strike: Strike, signum: int) -> Trip | Kill:
    """Return the object whose ``now``, read as a callback's last act, leaves ``signum`` pending or sends it for real."""
    handler = signal.getsignal(signum)
    strike.handler = _name(handler)
    if _blocked(signum):
        strike.held = "signal mask"
        strike.sent = True
        return Kill(signum)
    if handler is signal.default_int_handler:
        strike.raised = True
    elif handler == signal.SIG_IGN:
        strike.raised = False
    strike.sent = not callable(handler)
    return Kill(signum) if strike.sent else Trip(signum)


def deliver(strike: Strike, signum: int, frame: FrameType) -> None:
    """Deliver ``signum`` to ``frame`` now: run the handler in force, or send the signal if it is blocked.

    Whatever the handler raises passes through.
    """
    handler = signal.getsignal(signum)
    strike.handler = _name(handler)
    if _blocked(signum):
        strike.held = "signal mask"
        strike.sent = True
        os.kill(os.getpid(), signum)
        return
    strike.raised = True
    if callable(handler) and not wakes_up():
        handler(signum, frame)
    else:
        strike.sent = True
        os.kill(os.getpid(), signum)  # runs the handler before it returns
    strike.raised = False


def withdraw(strike: Strike, signum: int) -> None:
    """Take a signal back that was held back to the end of the run: it is not for fixtures and not for the harness."""
    if strike.held and signum in signal.sigpending():
        signal.sigwait({signum})


def wakes_up() -> bool:
    """Tell whether C code writes arriving signals to a descriptor (``signal.set_wakeup_fd``)."""
    descriptor = signal.set_wakeup_fd(-1)
    if descriptor == -1:
        return False
    signal.set_wakeup_fd(descriptor)
    return True
