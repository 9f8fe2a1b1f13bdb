"""Whether a source file is the one that was read before."""

from __future__ import annotations

from pytest_maskcheck.system.unpatched import os

Version = tuple[int, int, int, int]
"""Equal for a file that was not written in between: device, inode, size and time of modification."""


def version_of(path: str) -> Version | None:
    """Return the version of a file, ``None`` if there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # ValueError: not a path, such as one with a null character
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
