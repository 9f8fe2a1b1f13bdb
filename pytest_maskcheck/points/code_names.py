"""The code objects of the functions of a source file: name and first line of each, as a record of entered code has them."""

from __future__ import annotations

import warnings
from types import CodeType
from typing import TYPE_CHECKING

from pytest_maskcheck.system.entered import key_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_maskcheck.points.functions import Function
    from pytest_maskcheck.points.source_files import SourceFiles
    from pytest_maskcheck.system.entered import Key


class CodeNames:
    """Finds the code objects of functions; a file is compiled once."""

    def __init__(self, sources: SourceFiles) -> None:
        self._sources = sources
        self._files: dict[str, Sequence[tuple[Function, tuple[Key, ...]]]] = {}

    def of(self, path: str) -> Sequence[tuple[Function, tuple[Key, ...]]]:
        """Return the functions at module and class level of a file, each with its code objects and those nested in it."""
        if path not in self._files:
            found = _codes(self._sources.text(path), path)
            keys = [key_of(path, each.co_name, each.co_firstlineno) for each in found]
            self._files[path] = [
                (each, tuple(key for key in keys if each.first <= key[2] <= each.last))
                for each in self._sources.read(path).functions
            ]
        return self._files[path]


def _codes(text: str, path: str) -> Iterator[CodeType]:
    """Yield all code objects of a file; none if it is no Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they were shown when the file was imported
            queue = [compile(text, path, "exec", dont_inherit=True)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    while queue:
        yield (code := queue.pop())
        queue += [each for each in code.co_consts if isinstance(each, CodeType)]
