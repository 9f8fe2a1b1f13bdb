"""What changed since a commit, and which tests that can touch.

:mod:`pytest_maskcheck.points.changed_code` decides by the lines that a test reaches and what an interrupted run may come to besides. This module decides what needs no run: files that
any test may depend on, and the functions that pytest calls for a test.
"""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from fnmatch import fnmatch
from functools import cached_property
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.points.changed_code import WHOLE, Changed, ChangedFile, Hunk, changed_file
from pytest_maskcheck.points.source_files import SourceFiles
from pytest_maskcheck.reasons import NotAudited, Reason, count
from pytest_maskcheck.session.basis import Bases
from pytest_maskcheck.session.git_diff import Diff, differences
from pytest_maskcheck.session.item_code import own_files, supporting_code
from pytest_maskcheck.system.contents import content_of
from pytest_maskcheck.system.unpatched import os
from pytest_maskcheck.system.untrusted import read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_maskcheck.session.audited_items import AuditedItems

_CONFIGURATION = {
    ".coveragerc",
    ".pytest.ini",
    ".pytest.toml",
    "pyproject.toml",
    "pytest.ini",
    "pytest.toml",
    "setup.cfg",
    "tox.ini",
}
"""Files that can change what every test does; they count in the root directory and above it."""


class Changes:
    """What changed since a commit.

    Parameters:
        config: pytest's configuration.
        items: the tests to audit, with their settings.
        bases: finds the code that decides the audit of a test; ``None``: nothing else in the session does.
        commit: the commit, as the user named it.
        diff: the differences between it and the working tree.
    """

    def __init__(
        self, config: pytest.Config, items: AuditedItems, bases: Bases | None, commit: str, diff: Diff
    ) -> None:
        self._config = config
        self._items = items
        self._bases = bases or Bases(config, items, SourceFiles())
        self._root = os.path.join(os.path.realpath(config.rootpath), "")
        self._reason = Reason(NotAudited.UNTOUCHED, commit=commit)
        self._folders = tuple(diff.folders)
        self._commit = commit
        paths = [*diff.hunks, *diff.removed]
        self._configuration = sorted(filter(self._is_configuration, paths))
        self._below = tuple(
            os.path.join(os.path.dirname(path), "") for path in paths if os.path.basename(path) == "conftest.py"
        )
        self._files = {path: _file(path, hunks) for path, hunks in diff.hunks.items() if _is_python(path)}
        tests = ["conftest.py", *config.getini("python_files")]
        self._known: dict[str, Changed | None] = {}
        self._gone = [path for path in diff.removed if path.endswith(".py") and not _matches(path, tests)]

    @classmethod
    def since(cls, config: pytest.Config, items: AuditedItems, bases: Bases | None, commit: str) -> Changes:
        """Return what changed since a commit.

        Parameters:
            config, items, bases, commit: as for the class.

        Raises:
            pytest.UsageError: git cannot compare the working tree with it.
        """
        return cls(config, items, bases, commit, differences(_places(config), commit))

    def header(self) -> str:
        """Return the line of pytest's header."""
        if self._configuration:
            what = f"all tests, as {os.path.basename(self._configuration[0])} changed"
        else:
            what = f"tests that reach what changed in {count(self._files, 'Python file')}"
        return f"maskcheck: since {self._commit}: {what}"

    def for_item(self, item: pytest.Item) -> Changed | None:
        """Return what decides whether a test is touched; ``None`` if it is, whatever it reaches."""
        if item.nodeid not in self._known:  # asked for several times in the audit of each test
            self._known[item.nodeid] = self._found(item)
        return self._known[item.nodeid]

    def _found(self, item: pytest.Item) -> Changed | None:
        if self._configuration or os.path.realpath(item.path).startswith(self._below) or self._concerns_all:
            return None
        if not isinstance(item, pytest.Function):
            return Changed(self._reason, self._files, self._folders)
        own = frozenset(map(os.path.realpath, own_files(item)))
        is_copy = self._items.reach(self._items.settings(item)).scope.is_installed
        changed = Changed(self._reason, self._files, self._folders, own, is_copy)
        if changed.touches(supporting_code(item)):
            return None
        return changed if changed.is_nothing else replace(changed, deciding=self._bases.deciding(item))

    def _is_configuration(self, path: str) -> bool:
        folder, name = os.path.split(path)
        if name in _CONFIGURATION and self._root.startswith(os.path.join(folder, "")):
            return True
        return self._config.inipath is not None and path == os.path.realpath(self._config.inipath)

    @cached_property
    def _concerns_all(self) -> bool:
        """Whether nothing shows which tests use what changed: a module without functions, or one that is gone and still imported."""
        bare = {path for path, file in self._files.items() if file.is_bare and file.at_import}
        if not (bare or self._gone):
            return False
        loaded = {os.path.realpath(path) for path in _module_files()}
        if not loaded.isdisjoint(bare):
            return True
        names = "|".join(re.escape(_module_name(path)) for path in self._gone)
        importing = re.compile(rf"\b({names})\b".encode())
        ours = (path for path in loaded if names and path.startswith(self._root) and path.endswith(".py"))
        return any(importing.search(content_of(path)) for path in ours)


def _places(config: pytest.Config) -> Iterator[str]:
    """Yield the directories that may be in the repository: the root directory first, as the repository may also lie below it."""
    yield str(config.rootpath)
    yield str(config.invocation_params.dir)
    for argument in config.args:
        path = os.path.join(config.invocation_params.dir, argument.partition("::")[0])
        if os.path.exists(path):
            yield path if os.path.isdir(path) else os.path.dirname(path)


def _file(path: str, hunks: Iterable[Hunk]) -> ChangedFile:
    several = list(hunks)
    content = content_of(path)
    return changed_file(content, several) if several and content else WHOLE


def _is_python(path: str) -> bool:
    """Return whether a file can have lines that a test reaches; other files touch no test."""
    return path.endswith((".py", ".pyw")) or ("." not in os.path.basename(path) and content_of(path).startswith(b"#!"))


def _matches(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(os.path.basename(path), pattern) for pattern in patterns)


def _module_files() -> Iterator[str]:
    """Yield the files of all modules that are imported."""
    for module in [*sys.modules.values()]:
        file = read(module, "__file__")
        if isinstance(file, str):
            yield file


def _module_name(path: str) -> str:
    """Return the last part of a module's name."""
    folder, name = os.path.split(path)
    return os.path.basename(folder) if name == "__init__.py" else name.removesuffix(".py")
