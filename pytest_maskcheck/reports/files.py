"""Files that reports are read from and written to: never one on which this process would wait for ever, or read without an end.

A report is written aside and renamed: whoever interrupts that, or fills the disk, finds the former file or none, and no half of one. Pipes, devices,
files of others, files with several names and files in directories that cannot be written are written in place.
"""

from __future__ import annotations

import stat
from contextlib import suppress

from pytest_maskcheck.system.unpatched import io, os

_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
"""A named pipe is opened at once: with it, there is nothing to read, or an error, where no other process has it open."""


_BINARY = getattr(os, "O_BINARY", 0)
"""Lines end as they are written."""


def read(path: str) -> bytes:
    """Return what is in a file, or what another process writes into a pipe that it has open.

    Raises:
        OSError: the file cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | _NO_WAIT | _BINARY)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISDIR(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        os.close(descriptor)
        raise OSError(f"{path} is no file")
    if _NO_WAIT:
        os.set_blocking(descriptor, True)
    with io.open(descriptor, "rb") as file:
        return file.read()


def write(path: str, data: bytes) -> None:
    """Write a file, or into a pipe that another process reads.

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
    """Tell whether nobody would miss the file itself if another one had its name; ``/dev/stdout`` may be a file that is written to."""
    if os.path.abspath(path).startswith(("/dev/", "/proc/")):
        return False
    try:
        found = os.lstat(target)
    except OSError:
        return True  # there is none; what else is wrong shows when it is made
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == getattr(os, "geteuid", int)()


def _replace(target: str, data: bytes) -> bool:
    """Write the file aside and give it its name; tell whether there is room for one beside it."""
    directory, name = os.path.split(target)
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
