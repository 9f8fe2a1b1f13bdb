"""Reads and writes report files, without waiting for ever or reading without an end.

A report is written to another file, which is then renamed. If that is interrupted, or the disk is full, the former file is still there, or
none, but never half a file. Pipes, devices, files of other users, files with several names and files in directories without write
permission are written in place.
"""

from __future__ import annotations

import stat
from contextlib import suppress

from pytest_maskcheck.system.unpatched import io, os

_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
"""With this flag, opening a named pipe does not wait. If no other process has it open, there is nothing to read, or an error."""


_BINARY = getattr(os, "O_BINARY", 0)
"""With this flag, line endings are not translated (on Windows)."""


def read(path: str) -> bytes:
    """Return the content of a file, or what another process writes to a named pipe.

    Raises:
        OSError: the file cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | _NO_WAIT | _BINARY)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISDIR(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        os.close(descriptor)
        raise OSError(f"{path} is no file")
    if _NO_WAIT:
        os.set_blocking(descriptor, True)  # only opening must not wait; reading waits for the process that writes
    with io.open(descriptor, "rb") as file:
        return file.read()


def write(path: str, data: bytes) -> None:
    """Write to a file, or to a named pipe that another process reads.

    Raises:
        OSError: the file cannot be written.
    """
    target = os.path.realpath(path)
    if _is_replaceable(path, target) and _replace(target, data):
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _NO_WAIT | _BINARY, 0o666)
    if _NO_WAIT:
        os.set_blocking(descriptor, True)
    with io.open(descriptor, "wb") as file:
        file.write(data)


def _is_replaceable(path: str, target: str) -> bool:
    """Return whether a new file may replace it. Not in ``/dev``: standard output may be a file that others write to as well."""
    if os.path.abspath(path).startswith(("/dev/", "/proc/")):
        return False
    try:
        found = os.lstat(target)
    except OSError:
        return True  # there is no such file; any other problem shows when it is made
    # Windows has no geteuid(), and st_uid is 0 there, as int() is.
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == getattr(os, "geteuid", int)()


def _replace(target: str, data: bytes) -> bool:
    """Write another file and rename it; return False if no file can be made beside the target."""
    directory, name = os.path.split(target)
    # Shortened, as most file systems limit the length of a name.
    aside = os.path.join(directory, f".{name[:200]}.{os.getpid()}")
    try:
        try:
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
        except OSError:
            return False
        with io.open(descriptor, "wb") as file:
            with suppress(OSError):
                os.chmod(aside, stat.S_IMODE(os.stat(target).st_mode))  # the former file's
            file.write(data)
        os.replace(aside, target)
    except BaseException:
        with suppress(OSError):
            os.remove(aside)
        raise
    return True
