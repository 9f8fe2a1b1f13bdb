"""Names for the directories that differ from run to run, so that the keys of leftovers stay the same."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pytest_maskcheck.system.unpatched import os

_DIGITS = re.compile(r"\d+")
_TEMPORARY = re.compile(r"tmp[a-z0-9_]{8}(?![a-z0-9_])")  # as ``tempfile`` makes them


@dataclass(slots=True, repr=False)
class Surroundings:
    """The directories of a run by name, and which code is in scope.

    Parameters:
        places: word -> absolute directory, such as ``{"tmp_path": "/tmp/pytest-0/test_a0"}``. The audit updates it before
            every run, and looks for new files there.
        in_scope: returns whether a file contains code that is audited.
        modules: returns the names of all loaded modules in scope, and perhaps of others.
        named_only: word -> directory, like ``places``, but nothing is looked for there.
        others: directory -> word, of further directories that share their word with another one.
        root: the root directory of the tests: keys name files below it as reports do, relative to it.
    """

    places: dict[str, str] = field(default_factory=dict)
    in_scope: Callable[[str], bool] = lambda _path: False
    modules: Callable[[], list[str]] = lambda: [*sys.modules]
    named_only: dict[str, str] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)
    root: str = ""

    def ordered(self) -> Iterator[tuple[str, str]]:
        """Yield (word, directory), the longest directory first."""
        yield from sorted((self.named_only | self.places).items(), key=lambda place: -len(place[1]))

    def _all(self) -> list[tuple[str, str]]:
        others = [(word, directory) for directory, word in self.others.items()]
        return sorted([*others, *self.ordered()], key=lambda place: -len(place[1]))

    def key(self, path: str) -> str:
        """Return ``path`` as a key: volatile directories replaced by their names, random parts and numbers masked."""
        for word, directory in self._all():
            if path == directory or path.startswith(directory + os.sep):
                return f"<{word}>" + self.text(path[len(directory) :])
        if self.root and path.startswith(self.root.rstrip(os.sep) + os.sep):
            return self.text(path[len(self.root.rstrip(os.sep)) + 1 :])
        return self.text(path)

    def text(self, text: str) -> str:
        """Return ``text`` with volatile directories replaced by their names, and temporary names and numbers masked."""
        return _DIGITS.sub("#", _TEMPORARY.sub("tmp*", self.named(text)))

    def named(self, text: str) -> str:
        """Return ``text`` with volatile directories replaced by their names, for display."""
        # Most texts are those of interrupts, and name none.
        if not any(
            directory in text
            for some in (self.named_only.values(), self.places.values(), self.others)
            for directory in some
        ):
            return text
        for word, directory in self._all():
            text = text.replace(directory, f"<{word}>")
        return text
