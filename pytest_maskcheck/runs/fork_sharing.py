"""What processes share after a fork: open descriptors, and memory that has a name. Files that are only read do no harm."""

from __future__ import annotations

import stat
import sys

from pytest_maskcheck.reasons import Reason, Strategy
from pytest_maskcheck.system.unpatched import io, os

FDS = "/proc/self/fd"
"""The directory of the descriptors of this process."""

HAS_PROC = sys.platform == "linux" and os.path.isdir(FDS) and os.path.exists("/proc/self/maps")
"""Whether this system lists what a process has open."""


def descriptors() -> frozenset[int]:
    """Return the open descriptors, without the one that is open only to list them."""
    return frozenset(filter(_is_open, map(int, os.listdir(FDS)))) if HAS_PROC else frozenset()


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def shared(fd: int) -> Reason | None:
    """Return what is shared through a descriptor; ``None`` if it is closed, ``/dev/null``, or a file that is only read."""
    try:
        if stat.S_ISREG(os.fstat(fd).st_mode) and flags_of(fd) & os.O_ACCMODE == os.O_RDONLY:
            return None
    except OSError:
        return None
    target = os.readlink(f"{FDS}/{fd}")
    return None if target == os.devnull else Reason(Strategy.DESCRIPTOR, descriptor=fd, target=target)


def flags_of(fd: int) -> int:
    """Return the flags with which a file was opened; ``fcntl`` would raise an audit event that counts as an effect."""
    with io.open(f"/proc/self/fdinfo/{fd}", encoding="utf-8") as lines:
        return next(int(line.split()[1], 8) for line in lines if line.startswith("flags:"))


def shared_memory() -> Reason | None:
    """Return memory that is shared by name, such as a semaphore of ``multiprocessing``; ``None`` if there is none."""
    if "_multiprocessing" not in sys.modules:
        return None
    with io.open("/proc/self/maps", encoding="utf-8", errors="replace") as lines:
        shared = [line.split(maxsplit=5) for line in lines if " rw-s " in line]
    names = [words[5].strip() for words in shared if len(words) > 5 and not words[5].startswith("/dev/zero")]
    return Reason(Strategy.MEMORY, name=names[0]) if names else None
