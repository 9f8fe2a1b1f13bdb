"""filelock: the descriptor of the lock file is lost until it is stored, and wherever the lock is not yet owned."""

import contextlib
import os

import filelock

INCLUDE = ["filelock"]
FRESH = True
UNSEEN = ["_audit_fork_safety"]
"""An audit hook, which CPython runs untraced, so that it has no points; a signal that lands there leaks what one at the next call does."""


def body(place: str) -> None:
    """Take and give back the lock of a file."""
    with filelock.FileLock(os.path.join(place, "a.lock"), timeout=0.3):
        os.getpid()


def left(place: str) -> list[str]:
    """Return what is left behind."""
    names = [os.readlink(entry.path) for entry in os.scandir("/proc/self/fd") if os.path.exists(entry.path)]
    return ["descriptor"] if any(name.startswith(place) for name in names) else []


def repair(place: str) -> None:
    """Take away what is left behind."""
    for entry in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{entry}").startswith(place):
                os.close(int(entry))
