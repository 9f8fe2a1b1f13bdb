"""Files that reports are read from and written to: never one on which this process would wait for ever, or read without an end."""

from __future__ import annotations

import stat

from pytest_maskcheck.unpatched import io, os

_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
"""A named pipe is opened at once: with it, there is nothing to read, or an error, where no other process has it open."""


def read(path: str) -> bytes:
    """Return what is in a file, or what another process writes into a pipe that it has open.

    Raises:
        OSError: the file cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | _NO_WAIT | getattr(os, "O_BINARY", 0))
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
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _NO_WAIT | getattr(os, "O_BINARY", 0), 0o666)
    if _NO_WAIT:
        os.set_blocking(descriptor, True)
    with io.open(descriptor, "wb") as file:
        file.write(data)
