"""Source files as they are now, each read once; what they consist of may be known from earlier sessions."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from pytest_maskcheck.points.functions import VERSION, SourceFile, digest, source_of
from pytest_maskcheck.system.unpatched import io, os

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_ABOUT = f"{VERSION} {sys.implementation.cache_tag}"
"""Part of the digest of each file: another interpreter may parse it in another way."""


class SourceFiles:
    """Reads source files.

    Parameters:
        known: returns data of earlier sessions by the digest of a file's content.

    Attributes:
        learned: digest -> data that was not known.
        used: digests of the files that were read.
    """

    def __init__(self, known: Callable[[], Mapping[str, str]] = dict) -> None:
        self._known = known
        self._earlier: Mapping[str, str] | None = None
        self._texts: dict[str, str] = {}
        self._digests: dict[str, str] = {}
        self._files: dict[str, SourceFile] = {}
        self.learned: dict[str, str] = {}
        self.used: set[str] = set()

    def text(self, path: str) -> str:
        """Return the text of a file; ``""`` if it cannot be read."""
        if path not in self._texts:
            try:
                with io.open(path, encoding="utf-8", errors="surrogateescape") as file:
                    self._texts[path] = file.read()
            except (OSError, ValueError):
                self._texts[path] = ""
        return self._texts[path]

    def digest(self, path: str) -> str:
        """Return the digest of a file's content."""
        if path not in self._digests:
            self._digests[path] = digest(_ABOUT, self.text(path))
        return self._digests[path]

    def read(self, path: str) -> SourceFile:
        """Return what a file consists of."""
        if path not in self._files:
            self._files[path] = self._read(path)
        return self._files[path]

    def _read(self, path: str) -> SourceFile:
        key = self.digest(path)
        self.used.add(key)
        if self._earlier is None:
            self._earlier = self._known()
        if key in self._earlier:
            return SourceFile.from_json(json.loads(self._earlier[key]))
        found = source_of(self.text(path))
        self.learned[key] = json.dumps(found.to_json(), separators=(",", ":"))
        return found

    def changed_since(self, began: float, paths: Iterable[str]) -> bool:
        """Return whether one of these files has been written since then: what was loaded from it may be older."""
        return any(_written(path) > began for path in paths)


def _written(path: str) -> float:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return float("inf")
    # The time of the last change of the file's attributes cannot be set, other than that of its content.
    return max(found.st_mtime, found.st_ctime)
