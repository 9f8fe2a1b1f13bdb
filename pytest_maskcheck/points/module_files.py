"""The files of modules by name, found without importing anything."""

from __future__ import annotations

import sys
import sysconfig
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_maskcheck.system.own_code import ROOT
from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class ModuleFiles:
    """Finds the files that importing a module would execute, below ``sys.path`` and wherever finders of packages look."""

    def __init__(self) -> None:
        self._tops: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._below: dict[tuple[str, str], tuple[str, str]] = {}

    def of(self, name: str, importer: str) -> Iterator[str]:
        """Yield the files that the import of a module may execute, those of its packages first.

        Parameters:
            name: its name; leading dots make it relative to ``importer``.
            importer: the file that imports it.
        """
        bare = name.lstrip(".")
        parts = bare.split(".") if bare else []
        level = len(name) - len(bare)
        if level:
            place = importer
            for _ in range(level):
                place = os.path.dirname(place)
            yield from self._inside([place], parts)
            return
        if parts[0] in sys.stdlib_module_names:
            return
        file, places = self._top(parts[0])
        if file:
            yield file
        yield from self._inside(places, parts[1:])

    def _inside(self, places: Sequence[str], parts: Sequence[str]) -> Iterator[str]:
        """Yield the files of a module below packages in these places."""
        for part in parts:
            found = next((each for each in (self._step(place, part) for place in places) if any(each)), ("", ""))
            file, place = found
            if file:
                yield file
            if not place:
                return
            places = [place]

    def _step(self, place: str, part: str) -> tuple[str, str]:
        """Return the file of a module in a package's directory, and the directory of its own modules, ``""`` if there is none."""
        key = place, part
        if key not in self._below:
            inner = os.path.join(place, part)
            package = os.path.join(inner, "__init__.py")
            if os.path.isfile(package):
                self._below[key] = package, inner
            elif os.path.isfile(f"{inner}.py"):
                self._below[key] = f"{inner}.py", ""
            else:
                self._below[key] = "", inner if os.path.isdir(inner) else ""
        return self._below[key]

    def _top(self, name: str) -> tuple[str, tuple[str, ...]]:
        """Return the file of a module without a package, and the directories of its own modules."""
        if name not in self._tops:
            self._tops[name] = self._found(name)
        return self._tops[name]

    def _found(self, name: str) -> tuple[str, tuple[str, ...]]:
        for finder in sys.meta_path:
            if type(finder).__module__.partition(".")[0] in {"_pytest", "_frozen_importlib"}:
                continue  # pytest's takes note of what it finds; others of that name have no files
            with suppress(Exception):  # finders of packages are code of others
                spec = finder.find_spec(name, None)
                if spec is not None:
                    file = spec.origin if spec.origin and spec.origin.endswith(".py") else ""
                    return file, tuple(spec.submodule_search_locations or ())
        return "", ()


def packages_above(file: str) -> Iterator[str]:
    """Yield the ``__init__.py`` of each package that a file is in."""
    place = os.path.dirname(file)
    while os.path.isfile(package := os.path.join(place, "__init__.py")):
        yield package
        above = os.path.dirname(place)
        if above == place:
            return
        place = above


_LIBRARY = tuple({os.path.join(os.path.realpath(sysconfig.get_path(name)), "") for name in ("stdlib", "platstdlib")})


def is_installed(path: str) -> bool:
    """Return whether a file is known by the version of a distribution or of the interpreter."""
    return (
        f"{os.sep}site-packages{os.sep}" in path
        or f"{os.sep}dist-packages{os.sep}" in path
        or path.startswith(ROOT)
        or path.startswith(_LIBRARY)
    )
