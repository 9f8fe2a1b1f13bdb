"""The content of source files, and its digest: the audit notes it, and a report compares it with the file as it is then.

Lines of a report are numbers. If the file has changed since the audit, a mark on one of them says nothing about the code that is there now:
a line that leaks could seem clean.
"""

from __future__ import annotations

import stat
from hashlib import sha256
from typing import TYPE_CHECKING

from pytest_maskcheck.reports import files
from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_maskcheck.results import Audit

_LARGEST = 2_000_000
"""Bytes of a file that is shown."""


def content(file: str) -> bytes:
    """Return the content of a source file.

    Raises:
        OSError: it cannot be read, is no regular file, or is too large to be shown.
        ValueError: the name is not a path.
    """
    status = os.stat(file)
    if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device could wait for ever
        raise OSError("it is no file")
    if status.st_size > _LARGEST:
        raise OSError(f"it has {status.st_size:,} bytes")
    return files.read(file)


def digest(data: bytes) -> str:
    """Return the digest of a content, short enough to stand in each audit."""
    return sha256(data).hexdigest()[:16]


def digest_of(file: str) -> str:
    """Return the digest of a file; ``""`` if its content cannot be read."""
    try:
        return digest(content(file))
    except (OSError, ValueError):
        return ""


def digests_of(audits: Iterable[Audit]) -> dict[str, set[str]]:
    """Return path -> the digests that audits have of the file: several if it changed between two sessions that were merged."""
    digests: dict[str, set[str]] = {}
    for audit in audits:
        for path, known in audit.digests.items():
            digests.setdefault(path, set()).add(known)
    return digests


def is_other(file: str, known: str) -> bool:
    """Return whether a file can be read and is not the one that was audited.

    Parameters:
        file: its path.
        known: the digest that the audit has; ``""`` if it has none, as the file was written while the session ran, say.
    """
    now = digest_of(file)
    return bool(now) and now != known


def was_written_since(file: str, began: float) -> bool:
    """Return whether a file was written since a time; False if there is no such file."""
    try:
        return os.stat(file).st_mtime > began
    except (OSError, ValueError):
        return False
