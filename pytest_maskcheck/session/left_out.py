"""What a session leaves out before it begins: tests that are not collected, or deselected, and leftovers that settings drop.

A baseline needs it: a defect that nobody looked for is not gone. Registered as a plugin of its own, it watches the collection of each worker.
"""

from __future__ import annotations

from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck import settings
from pytest_maskcheck.reports.evidence import LeftOut
from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from pathlib import Path

    from pytest_maskcheck.session.audited_items import AuditedItems

NAME = "left_out"
"""Under this name a worker of xdist sends what it has seen."""


class Collected:
    """Watches what is collected.

    Parameters:
        config: pytest's configuration.
        items: the items to audit.
    """

    def __init__(self, config: pytest.Config, items: AuditedItems) -> None:
        self._config: Any = config
        self._items = items
        self._tests = False
        self._kinds: set[str] = set()
        self._allowed: set[str] = set()

    @property
    def left_out(self) -> LeftOut:
        """What was left out."""
        option = self._config.option
        # Tests that did not fail last time are not even collected.
        tests = self._tests or bool(getattr(option, "lf", False)) or self._names_some()
        return LeftOut(tests, frozenset(self._kinds), frozenset(self._allowed))

    # Workers of xdist

    def to_plain(self) -> list[Any]:
        """Return what a worker sends to the controller."""
        return [self._tests, sorted(self._kinds), sorted(self._allowed)]

    def add(self, plain: list[Any]) -> None:
        """Add what a worker has sent."""
        tests, kinds, allowed = plain
        self._tests = self._tests or tests
        self._kinds.update(kinds)
        self._allowed.update(allowed)

    # Tests

    @pytest.hookimpl(wrapper=True)
    def pytest_ignore_collect(self, collection_path: Path) -> Generator[None, bool | None, bool | None]:
        """Note files of tests, and folders, that an option or a ``conftest.py`` ignores."""
        ignored = yield
        if ignored and not self._tests:
            self._tests = self._may_have_tests(collection_path)
        return ignored

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note files that cannot be imported, or skip themselves."""
        self._tests = self._tests or not report.passed

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, None, None]:
        """Note tests that are deselected: not every ``conftest.py`` that removes items calls ``pytest_deselected``."""
        before = [*items]
        yield
        left = {item.nodeid for item in items}
        gone = [item for item in before if item.nodeid not in left]
        self._tests = self._tests or any(map(self._items.wants, gone))
        self._note_settings(item for item in items if item in self._items)

    def _note_settings(self, items: Iterable[pytest.Item]) -> None:
        """Note what the settings of tests drop; a kind that is off by default counts only if no test looks for it."""
        known = self._items.kinds()
        defaults = {name for name, on in known.items() if on}
        chosen = list(dict.fromkeys(map(self._items.settings, items)))
        wanted = [settings.switched(each.kinds, known) for each in chosen]
        self._kinds = known.keys() - frozenset[str]().union(*wanted) | {
            name for each in wanted for name in defaults - each
        }
        self._allowed = {allow.glob for each in chosen for allow in each.allow}

    def _may_have_tests(self, path: Path) -> bool:
        if path.is_dir():
            patterns = ("__pycache__", *self._config.getini("norecursedirs"))
            return not (_matches(path, patterns) or any(map(os.path.exists, _marks_of_environments(path))))
        return path.suffix == ".py" and _matches(path, self._config.getini("python_files"))

    def _names_some(self) -> bool:
        """Return whether the command line names files or tests, or folders beside which there are other tests."""
        names = [str(name).partition("::") for name in self._config.args]
        if any(separator or name.endswith(".py") for name, separator, _ in names):
            return True
        base = self._config.invocation_params.dir
        folders = {os.path.realpath(os.path.join(base, name)) for name, _, _ in names}
        root = os.path.realpath(self._config.rootpath)
        wanted = [os.path.realpath(os.path.join(root, name)) for name in self._config.getini("testpaths")] or [root]
        return any(self._has_tests_beside(each, folders) for each in wanted)

    def _has_tests_beside(self, top: str, folders: set[str]) -> bool:
        if any(_is_below(top, folder) for folder in folders):
            return False
        patterns = self._config.getini("python_files")
        skipped = ("__pycache__", *self._config.getini("norecursedirs"))
        for folder, inner, names in os.walk(top):
            inner[:] = [
                name
                for name in inner
                if os.path.join(folder, name) not in folders
                and not any(fnmatch(name, pattern) for pattern in skipped)
                and not os.path.exists(os.path.join(folder, name, "pyvenv.cfg"))
            ]
            if any(name.endswith(".py") and fnmatch(name, pattern) for name in names for pattern in patterns):
                return True
        return False


def _matches(path: Path, patterns: Iterable[str]) -> bool:
    return any(fnmatch(path.name, pattern) or fnmatch(str(path), pattern) for pattern in patterns)


def _marks_of_environments(path: Path) -> Iterator[str]:
    """Yield the files of which one is in a virtual environment, where pytest does not look for tests."""
    yield str(path / "pyvenv.cfg")
    yield str(path / "conda-meta" / "history")


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
