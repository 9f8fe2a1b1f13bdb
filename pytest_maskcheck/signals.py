"""Names of signals, which of them can be audited, and what they do where nobody handles them."""

from __future__ import annotations

import re
import signal

_UNCATCHABLE = ("SIGKILL", "SIGSTOP")
_FAULTS = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT")
_IGNORED = ("SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH")
_STOPS = ("SIGTSTP", "SIGTTIN", "SIGTTOU")
_REALTIME = re.compile(r"SIGRTMIN\+(\d+)")


def name(signum: int) -> str:
    """Return the name of a signal, such as ``SIGTERM`` or ``SIGRTMIN+3``."""
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"SIGRTMIN+{signum - signal.SIGRTMIN}"


def parse(value: object) -> int:
    """Return the number of the signal that a name, a number or a member of ``signal.Signals`` stands for.

    Raises:
        ValueError: it stands for none, or for one that cannot be audited.
    """
    number = -1
    if isinstance(value, str):
        number = _number(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = int(value)
    if number not in signal.valid_signals() or name(number) in {*_UNCATCHABLE, *_FAULTS}:
        raise ValueError
    return number


def _number(text: str) -> int:
    """Return the number of the signal with this name or number, or -1."""
    if text.isdecimal():
        return int(text)
    if (realtime := _REALTIME.fullmatch(text)) and hasattr(signal, "SIGRTMIN"):
        return int(signal.SIGRTMIN) + int(realtime[1])
    return int(signal.Signals.__members__.get(text, -1))


def default_action(signum: int) -> str:
    """Return what a signal does where it has its default action: ``ends the process`` and the like."""
    if name(signum) in _IGNORED:
        return "does nothing"
    return "stops the process" if name(signum) in _STOPS else "ends the process"


def blocked() -> frozenset[int]:
    """Return the signals that this thread blocks in the kernel."""
    if not hasattr(signal, "pthread_sigmask"):
        return frozenset()
    return frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
