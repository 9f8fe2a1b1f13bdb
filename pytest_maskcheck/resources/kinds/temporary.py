"""Temporary directories and files of ``tempfile`` that were not cleaned up or closed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pytest_maskcheck.resources.heap import Family
from pytest_maskcheck.resources.open_objects import OpenObjects
from pytest_maskcheck.system.unpatched import os
from pytest_maskcheck.system.untrusted import read


class TemporaryDirectories(OpenObjects):
    """``TemporaryDirectory`` objects whose directory still exists. With ``delete=False`` it is meant to, and does not count."""

    name = "tempdir"
    owns = True
    warns = "Implicitly cleaning up <TemporaryDirectory"
    outlives = True
    family = Family("tempfile:TemporaryDirectory")

    def is_open(self, thing: Any) -> bool:
        finalizer = read(thing, "_finalizer")
        if finalizer is None or not finalizer.alive or not read(thing, "_delete", True):
            return False
        return os.path.lexists(read(thing, "name"))

    def key_and_detail(self, thing: Any) -> tuple[str, str]:
        name = os.fsdecode(read(thing, "name"))
        return self.surroundings.key(name), f"temporary directory {name} was not cleaned up"

    def close(self, thing: Any) -> None:
        thing.cleanup()

    @contextmanager
    def canary(self) -> Iterator[None]:
        import tempfile

        with tempfile.TemporaryDirectory():
            yield


class TemporaryFiles(OpenObjects):
    """``NamedTemporaryFile`` objects that are open or still to be deleted, and spooled files that are on disk."""

    name = "tempfile"
    owns = True
    files = ("",)
    warns = "<_TemporaryFileWrapper"
    outlives = True
    family = Family("tempfile:_TemporaryFileWrapper", "tempfile:SpooledTemporaryFile")

    def is_open(self, thing: Any) -> bool:
        inside = read(thing, "__dict__", {})
        closer = inside.get("_closer")
        if closer is None:
            return bool(inside.get("_rolled")) and not inside["_file"].closed
        if not closer.file.closed:
            return True
        lasting = closer.delete and not getattr(closer, "delete_on_close", True)
        return lasting and not closer.cleanup_called and os.path.lexists(closer.name)

    def key_and_detail(self, thing: Any) -> tuple[str, str]:
        closer = read(thing, "__dict__", {}).get("_closer")
        if closer is None:
            return "spooled", "a spooled temporary file is still open"
        name = os.fsdecode(closer.name)
        left = "deleted" if closer.file.closed else "closed"
        return self.surroundings.key(name), f"temporary file {name} was not {left}"

    def descriptors(self, thing: Any) -> Iterable[Any]:
        inside = read(thing, "__dict__", {})
        return (inside.get("file") or inside["_file"],)

    def close(self, thing: Any) -> None:
        thing.close()
        closer = read(thing, "__dict__", {}).get("_closer")
        if closer is not None and hasattr(closer, "cleanup"):
            closer.cleanup()

    @contextmanager
    def canary(self) -> Iterator[None]:
        import tempfile

        with tempfile.NamedTemporaryFile():
            yield
