"""The scope of a test: which files are audited.

The first of these that applies:

1. ``include`` and ``exclude`` of the settings, if ``include`` is given.
2. Coverage's ``source``, ``source_pkgs`` or ``include``, less its ``omit``.
3. The root directory, without the virtual environment and packages installed below it, and the project's own distribution, wherever it
   is installed.

The test's own files are in scope regardless of the settings; this package never is.
"""

from __future__ import annotations

import sysconfig
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_maskcheck.points import distribution
from pytest_maskcheck.points.coverage_config import (
    configuration,
    option,
    paths,
    running,
    usable_for_coverage,
)
from pytest_maskcheck.points.coverage_globs import PATTERN_ERRORS, below, escaped, matcher
from pytest_maskcheck.points.scope_entries import UnknownScopeError, module_patterns, patterns_of
from pytest_maskcheck.system.own_code import is_ours
from pytest_maskcheck.system.plain import brief
from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pytest_maskcheck.points.coverage_config import CoverageSettings
    from pytest_maskcheck.points.distribution import Installed
    from pytest_maskcheck.reasons import Reason


class Scope:
    """Which files are audited.

    Parameters:
        root: the root directory.
        include, exclude: file globs relative to ``root``, names of modules or packages, or ``stdlib``.

    Attributes:
        configured: patterns of the files that coverage's configuration includes; empty if there are none, or ``include`` is given.
        exclusions: coverage's ``exclude_lines``.
        project: the project's own installed distribution, if it is in scope by default.
        decisive: everything that the scope was made of, as plain data: equal for scopes that match the same files.
        unmeasured: modules in ``include`` without any line that can be audited -> why not.

    Raises:
        UnknownScopeError: an entry is neither a glob nor an importable name, or coverage's configuration cannot be read or used.
    """

    def __init__(self, root: str, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> None:
        started = running()
        with usable_for_coverage(root):
            settings = started or configuration(root)
        self._root = root
        everything = below(root)
        # Paths in coverage's configuration are relative to the directory where coverage was started.
        base = os.path.abspath(os.curdir) if started else root
        self.exclusions = option(settings, "report:exclude_lines")
        self.unmeasured: dict[str, Reason] = {}
        given = list(include)
        own = [pattern for entry in given for pattern in self._patterns(entry, self.unmeasured)]
        self.configured = [] if given else _configured(settings, base)
        self.project: Installed | None = None
        self._include = own or self.configured or ([] if given else [everything])
        # Excluded modules need not be measurable, so the reasons against them are dropped.
        self._omit = [pattern for entry in exclude for pattern in self._patterns(entry, {})]
        self._known: dict[str, bool] = {}
        self._installed: list[str] = []
        """Patterns of files in scope that lie among other people's code, such as in ``site-packages``."""
        self._foreign: list[str] = []
        """Patterns of files not in scope although they lie below the root: other people's code."""
        if not given:
            self._omit += paths(settings, "run:omit", base)
        if not given and self._include == [everything]:
            self._foreign = ["**/site-packages/**", *_installation_below(root)]
        if not given and not self.configured:
            self._take_in(distribution.project_distribution(root))
        try:
            matcher(*self._include), matcher(*self._omit)
        except PATTERN_ERRORS as error:  # must be coverage's: entries of our settings were tried one by one
            message = f"coverage's configuration has a file pattern that cannot be used: {brief(str(error))}"
            raise UnknownScopeError(message) from None
        self.decisive = (
            *map(tuple, (self._include, self._omit, self._installed, self._foreign, self.exclusions)),
            *(tuple(option(settings, f"run:{name}")) for name in ("concurrency", "plugins")),
        )

    def _take_in(self, project: Installed | None) -> None:
        """Put the project's own distribution in scope, wherever it is installed."""
        if project is None:
            return
        self.project = project
        patterns = [*map(below, project.directories), *map(escaped, project.files)]
        if project.editable:  # a virtual environment may lie in the project's directory
            self._include += patterns
        else:
            self._installed = patterns

    def _patterns(self, entry: str, unmeasured: dict[str, Reason]) -> list[str]:
        patterns, reasons = patterns_of(entry, self._root)
        unmeasured.update(reasons)
        return patterns

    def measured_files(self, files: Collection[str]) -> tuple[list[str], list[str] | None]:
        """Return the patterns for coverage to include and to omit, so that it measures at least the files in scope.

        Parameters:
            files: the test's own files.
        """
        include = [*self._include, *self._installed, *map(escaped, files)]
        # In coverage, omit wins over include. Where that would hide files in scope, more files are measured, and matches() drops them.
        hides = bool(self._installed) or any(map(matcher(*self._foreign).match, files))
        return include, [*self._omit, *([] if hides else self._foreign)] or None

    def is_installed(self, path: str) -> bool:
        """Return whether a path belongs to an installed copy of the project."""
        return matcher(*self._installed).match(path)

    def matches(self, path: str, own: Iterable[str] = ()) -> bool:
        """Return whether a path is in scope.

        Parameters:
            path: an absolute path.
            own: patterns of the test's own files.
        """
        if own:
            return self._matches(path, own)
        if path not in self._known:
            self._known[path] = self._matches(path, ())
        return self._known[path]

    def _matches(self, path: str, own: Iterable[str]) -> bool:
        if is_ours(path) or matcher(*self._omit).match(path):
            return False
        if matcher(*self._installed, *own).match(path):
            return True
        return matcher(*self._include).match(path) and not matcher(*self._foreign).match(path)


def _configured(settings: CoverageSettings, base: str) -> list[str]:
    """Return the patterns of the user's ``source``, ``source_pkgs`` or ``include``."""
    patterns: list[str] = []
    for entry in option(settings, "run:source") + option(settings, "run:source_pkgs"):
        place = os.path.join(base, entry)
        found = [below(place)] if os.path.isdir(place) else None
        # Parent packages of the module are imported, and may raise; coverage itself reports sources that it did not measure.
        with suppress(Exception):
            found = found or module_patterns(entry)
        patterns += found or []
    return patterns or paths(settings, "run:include", base)


def _installation_below(root: str) -> list[str]:
    """Return a pattern for the Python installation if it lies below ``root`` (a virtual environment), else no pattern."""
    prefix = os.path.abspath(sysconfig.get_path("data"))
    return [below(prefix)] if prefix.startswith(root.rstrip(os.sep) + os.sep) else []
