"""Reads coverage.py's configuration, as coverage would when started in the root directory."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import coverage

from pytest_maskcheck.points.coverage_globs import escaped
from pytest_maskcheck.points.scope_entries import UnknownScopeError
from pytest_maskcheck.system.plain import described
from pytest_maskcheck.system.unpatched import io, keep, os, unpatched

# Keep the functions of coverage.py and of the modules it reads sources with: a test may replace them, and coverage runs between tests.
keep("importlib._bootstrap_external", "inspect", "linecache", "tokenize", "traceback")
keep(*(name for name in sys.modules if name.partition(".")[0] == "coverage"))


CoverageSettings = coverage.Coverage
"""The object that options are read from."""


def running() -> CoverageSettings | None:
    """Return the coverage measurement that the user started in this process, or ``None``."""
    return coverage.Coverage.current()


def configuration(root: str) -> CoverageSettings:
    """Return a measurement, not started, with the configuration that coverage would read if started in ``root``.

    Raises:
        UnknownScopeError: the configuration exists and cannot be read.
    """
    path: str | bool = False
    try:
        path = _config_file(root)
        return coverage.Coverage(data_file=None, config_file=path)
    except (coverage.CoverageException, OSError, ValueError) as error:
        message = f"coverage's configuration cannot be read: {described(error)}; repair {path or 'it'}"
        raise UnknownScopeError(message) from None


def _config_file(root: str) -> str | bool:
    """Return the configuration file that ``coverage`` would read if started in ``root``; ``False`` if there is none."""
    for name in (".coveragerc", "setup.cfg", "tox.ini", "pyproject.toml"):
        path = os.path.join(root, name)
        if os.path.isfile(path):
            with io.open(path, encoding="utf-8", errors="replace") as text:
                if name == ".coveragerc" or re.search(r"^\[(tool\.)?coverage[:.\]]", text.read(), re.MULTILINE):
                    return path
    return False


def option(settings: CoverageSettings, name: str) -> list[str]:
    """Return the value of an option that is a list; an empty list if the value is not a list."""
    value = settings.get_option(name)
    return [str(item) for item in value] if isinstance(value, (list, tuple)) else []


def paths(settings: CoverageSettings, name: str, base: str) -> list[str]:
    """Return the value of an option that is a list of file patterns; make relative patterns absolute, as coverage does."""
    return [
        pattern if pattern.startswith(("*", "?")) else os.path.join(escaped(base), pattern)
        for pattern in option(settings, name)
    ]


@contextmanager
def usable_for_coverage(root: str) -> Iterator[None]:
    """Run the body with the original functions of the standard library and an existing working directory, as coverage needs both."""
    with unpatched():
        try:
            os.getcwd()
        except OSError:  # the test has removed the working directory
            place = os.open(os.curdir, os.O_RDONLY)  # a removed directory has no path by which to return to it
        else:
            yield
            return
        try:
            os.chdir(root)
            yield
        finally:
            os.fchdir(place)
            os.close(place)
