"""The directory of ``tmp_path``, emptied after a run and passed to the next one instead of being removed and made anew.

To set ``tmp_path`` up and tear it down takes longer than most runs, and ext4 waits for the disk whenever a directory is removed.

Rules:

1. Only in a worker, which makes the directory itself: processes that were forked from one another must not share it.
2. Only if no other fixture is set up for each run, and only after a run that left nothing behind but files: whatever else it left might
   refer to the directory.
3. The directory must be as it was when it was new, down to its inode, size and attributes. Otherwise it is removed, as usual.
4. A run must find the path that it would have found: newer versions of pytest count directories, so the path differs in each run.

What does not work: where the system keeps the time when an inode was made, a test can see by it that such a directory is not new.
"""

from __future__ import annotations

import array
import sys
from typing import Any

from pytest_maskcheck.system.unpatched import fcntl, os, shutil

_GET_FLAGS = 0x80086601 if sys.platform == "linux" and sys.maxsize > 1 << 32 else 0
"""``FS_IOC_GETFLAGS`` of Linux on 64 bits: the attributes that ``chattr`` sets."""


class KeptDirectory:
    """A directory that is to be used again.

    Parameters:
        path: the directory, which has just been made.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._new = _state(path)

    def empty(self, then: str) -> bool:
        """Remove what the directory contains, and give it the name ``then``; return whether it is like a new one."""
        try:
            for entry in os.listdir(self.path):
                inner = os.path.join(self.path, entry)
                if os.path.isdir(inner) and not os.path.islink(inner):
                    shutil.rmtree(inner)
                else:
                    os.unlink(inner)
            if _state(self.path) != self._new:
                return False
            if then != self.path:
                os.rename(self.path, then)
                self.path = then
            os.utime(then)
        except OSError:
            return False
        return True


def _state(path: str) -> tuple[Any, ...]:
    """Return what distinguishes a directory from a new one, apart from its times."""
    status = os.lstat(path)
    # ext4 does not make a directory smaller again.
    plain = (
        status.st_dev,
        status.st_ino,
        status.st_mode,
        status.st_nlink,
        status.st_uid,
        status.st_gid,
        status.st_size,
    )
    more = tuple(os.listxattr(path, follow_symlinks=False)) if hasattr(os, "listxattr") else ()
    return (*plain, *more, _flags(path))


def _flags(path: str) -> int:
    if not _GET_FLAGS:
        return 0
    flags = array.array("i", [0])
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, _GET_FLAGS, flags)
    except OSError:  # a file system without such attributes
        return 0
    finally:
        os.close(descriptor)
    return flags[0]
