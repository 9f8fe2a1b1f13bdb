"""The terminal that controls the session, and what forked processes may do with it.

Auditing processes are in process groups of their own, in the background: Ctrl-C and Ctrl-Z go to pytest alone. The kernel treats a
background process that uses the terminal as the audit needs it:

- A process that reads is stopped (SIGTTIN). It would wait for the user in each of its runs, so the audit of that test ends there.
- A process that changes settings is stopped, too (SIGTTOU), unless it ignores that signal. So auditing processes ignore it.

If pytest itself is in the background, the terminal is somebody else's: it is left alone, and its settings are no state of the test.

What does not work: code that checks whether its group is in the foreground (``os.tcgetpgrp``) finds that it is not.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from pytest_maskcheck.system.unpatched import os, signal

try:
    import termios
except ImportError:  # Windows
    HAS_TERMINALS = False
else:
    HAS_TERMINALS = hasattr(os, "tcgetpgrp")

TERMINAL = "/dev/tty"
_GROUP = os.getpgrp() if HAS_TERMINALS else 0
"""The process group of pytest."""

STOPS = {getattr(signal, name) for name in ("SIGTTIN", "SIGTTOU") if hasattr(signal, name)}
"""The signals that stop a background process that uses the terminal."""

Settings = list[Any]


def is_others(fd: int) -> bool:
    """Return whether a descriptor is that of the controlling terminal, and another group is in its foreground."""
    if not HAS_TERMINALS:
        return False
    try:
        return bool(os.tcgetpgrp(fd) != _GROUP)
    except OSError:  # it controls another session, or is no terminal
        return False


def settings() -> Settings | None:
    """Return the settings of the terminal; ``None`` if there is none, or another group is in its foreground."""
    fd = _opened()
    if fd is None:
        return None
    try:
        return None if is_others(fd) else termios.tcgetattr(fd)
    except termios.error:
        return None
    finally:
        os.close(fd)


def put_back(kept: Settings | None) -> None:
    """Restore these settings if the terminal has others, and return it to pytest from a group that has ended.

    Call it with all signals blocked.
    """
    if kept is None or (fd := _opened()) is None:
        return
    try:
        if is_others(fd) and _has_ended(os.tcgetpgrp(fd)):  # code under test took it; Ctrl-C would reach nobody
            os.tcsetpgrp(fd, _GROUP)
        if not is_others(fd) and termios.tcgetattr(fd) != kept:
            termios.tcsetattr(fd, termios.TCSANOW, kept)
    except (OSError, termios.error):
        pass  # the terminal is gone
    finally:
        os.close(fd)


def _has_ended(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def may_change_settings() -> None:
    """Let this process, in the background, change the settings of the terminal."""
    with suppress(OSError, ValueError):
        if signal.getsignal(signal.SIGTTOU) == signal.SIG_DFL:
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)


def _opened() -> int | None:
    if not HAS_TERMINALS:
        return None
    try:
        return int(os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return None
