"""Signals: their names, which of them can be audited, their default actions, and blocking them."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import re
from typing import TYPE_CHECKING

from pytest_maskcheck.system.unpatched import gc, signal

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_UNCATCHABLE = ("SIGKILL", "SIGSTOP")
_FAULTS = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT")
_IGNORED = ("SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH")
_STOPS = ("SIGTSTP", "SIGTTIN", "SIGTTOU")
_ALL = tuple(map(int, signal.valid_signals()))
# The function in ``signal`` makes members of an enum, and takes twenty times as long.
_change_mask = getattr(_signal, "pthread_sigmask", None)
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
    """Return the default action of a signal: ``ends the process`` and the like."""
    if name(signum) in _IGNORED:
        return "does nothing"
    return "stops the process" if name(signum) in _STOPS else "ends the process"


def blocked() -> frozenset[int]:
    """Return the signals that this thread blocks in the kernel."""
    if not hasattr(signal, "pthread_sigmask"):
        return frozenset()
    return frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


class _AllBlocked:
    """See :func:`all_blocked`. A class and no generator: every run enters it."""

    __slots__ = ("_before",)

    def __enter__(self) -> set[int]:
        # Asked for first: a handler that raises as the signals are blocked would lose the answer.
        self._before: set[int] = set() if _change_mask is None else _change_mask(signal.SIG_BLOCK, ())
        if _change_mask is not None:
            try:
                _change_mask(signal.SIG_BLOCK, _ALL)
            except BaseException:
                _change_mask(signal.SIG_SETMASK, self._before)
                raise
        return self._before

    def __exit__(self, *_: object) -> None:
        if _change_mask is not None:
            _change_mask(signal.SIG_SETMASK, self._before)


def all_blocked() -> AbstractContextManager[set[int]]:
    """Block all signals where that is possible; yield the mask that was in force."""
    return _AllBlocked()


def collect_garbage() -> int:
    """Collect garbage with signals blocked.

    The user's Ctrl-C, raised in the first finalizer or weakref callback, would be lost there.

    Returns:
        How many objects were garbage.
    """
    with all_blocked():
        return gc.collect()
