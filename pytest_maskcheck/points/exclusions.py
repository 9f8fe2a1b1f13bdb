"""The statements of a source file, and its lines that are excluded from the audit, with the reason."""

from __future__ import annotations

import re
from bisect import bisect_right
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_maskcheck.points.coverage_config import usable_for_coverage
from pytest_maskcheck.points.coverage_runs import lines_of
from pytest_maskcheck.points.source_versions import version_of
from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.system.unpatched import io, os

if TYPE_CHECKING:
    from pytest_maskcheck.points.source_versions import Version

IGNORE = r"#\s*maskcheck:\s*ignore\b"
"""The comment that excludes a line, or the block that the line heads, from the audit."""

_EXCLUDED = Reason(NotAudited.EXCLUDED)
_IGNORED = Reason(NotAudited.IGNORED)


@dataclass(frozen=True, slots=True)
class Statements:
    """The statements of a file.

    Parameters:
        first_lines: the first line of each statement, in order; excluded statements are included.
        excluded: line -> why it is excluded.
    """

    first_lines: list[int]
    excluded: dict[int, Reason]

    def at(self, line: int) -> int:
        """Return the first line of the statement that ``line`` belongs to."""
        position = bisect_right(self.first_lines, line)
        return self.first_lines[position - 1] if position else line

    def reason_against(self, line: int) -> Reason | None:
        """Return why ``line`` is excluded, or ``None``; the reason against its statement takes precedence."""
        return self.excluded.get(self.at(line)) or self.excluded.get(line)


class Exclusions:
    """The statements and exclusions of files; each version of a file is read once.

    Parameters:
        root: a directory that exists.
        patterns: regular expressions that exclude lines, from coverage's configuration.
    """

    def __init__(self, root: str, patterns: list[str]) -> None:
        self._root = root
        self._patterns = patterns
        self._files: dict[str, Statements] = {}
        self._versions: dict[str, Version | None] = {}
        self._comments: dict[str, tuple[Version | None, list[int]]] = {}
        self._ignores_used: set[tuple[str, int]] = set()

    def forget_use(self) -> None:
        """Forget which ``# maskcheck: ignore`` comments were used."""
        self._ignores_used.clear()

    def forget_changed(self) -> None:
        """Forget files that were written since they were read: tests may generate modules."""
        for path, version in self._versions.items():
            if version != version_of(path):
                self._files.pop(path, None)

    def of(self, path: str) -> Statements:
        """Return the statements of a file.

        Raises:
            NoSourceError: the file does not exist, or is not Python.
        """
        if path not in self._files:
            self._versions[path] = version_of(path)
            excluded: dict[int, Reason] = {}
            statements: set[int] = set()
            # The file is read once per reason, because coverage does not report which pattern excluded a line.
            for reason, patterns in ((_EXCLUDED, self._patterns), (_IGNORED, [IGNORE])):
                with usable_for_coverage(self._root):
                    lines, out = lines_of(path, patterns)
                excluded |= dict.fromkeys(out, reason)
                statements |= {*lines, *out}
            self._files[path] = Statements(sorted(statements), excluded)
        return self._files[path]

    def note_ignored(self, path: str, line: int) -> None:
        """Record that a comment has kept a point on ``line`` from being audited: the nearest comment above the line, or on it."""
        comment = max((comment for comment in self._comments_in(path) if comment <= line), default=line)
        self._ignores_used.add((path, comment))

    def ignores(self, path: str) -> dict[tuple[str, int], bool]:
        """Return (file, line) of every ``# maskcheck: ignore`` in a file, and whether it has ignored a point."""
        return {(path, line): (path, line) in self._ignores_used for line in self._comments_in(path)}

    def _comments_in(self, path: str) -> list[int]:
        version = version_of(path)
        if path not in self._comments or self._comments[path][0] != version or version is None:
            self._comments[path] = version, _comments(path)
        return self._comments[path][1]


def _comments(path: str) -> list[int]:
    if not os.path.isfile(path):  # opening a FIFO would block
        return []
    with suppress(OSError), io.open(path, encoding="utf-8", errors="replace") as source:
        return [number for number, text in enumerate(source, 1) if re.search(IGNORE, text)]
    return []
