"""The content of a file that may be gone at any moment, or may not be read."""

from __future__ import annotations

from pytest_maskcheck.system.unpatched import io


def content_of(path: str) -> bytes:
    """Return the content of a file; nothing if it cannot be read."""
    try:
        with io.open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
