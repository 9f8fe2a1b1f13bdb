"""A digest of what decides the audits of all tests of a session: interpreter, distributions, this package, pytest's configuration.

Results of a session count only in sessions with the same digest. A change of what does not matter costs a new audit; a change that is
not seen would keep a wrong result. So everything counts but what is known not to matter.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pytest_maskcheck.points.functions import digest
from pytest_maskcheck.results import SCHEMA
from pytest_maskcheck.session.plain_text import as_text
from pytest_maskcheck.system.own_code import PACKAGE, ROOT
from pytest_maskcheck.system.unpatched import io, os

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

_SELECTION = """
    keyword markexpr maxfail collectonly ignore ignore_glob deselect keepduplicates collect_in_virtualenv pyargs file_or_dir
    continue_on_collection_errors lf failedfirst newfirst last_failed_no_failures stepwise stepwise_skip stepwise_reset setuponly
    setupshow setupplan cacheshow cacheclear doctestmodules doctestglob doctest_ignore_import_errors doctest_continue_on_failure
"""
_DISPLAY = """
    markers durations durations_min showfixtures show_fixtures_per_test version help traceconfig debug verbose quiet no_header
    no_summary fold_skipped force_short_summary reportchars disable_warnings max_warnings showlocals tbstyle xfail_tb showcapture
    fulltrace color code_highlight pastebin xmlpath junitprefix doctestreport tb_summary cov_report no_cov_on_fail cov_fail_under
    cov_append cov_precision maskcheck_github
"""
_WORKERS = """
    numprocesses maxprocesses maxworkerrestart dist loadscopereorder tx px distload rsyncdir rsyncignore testrunuid maxschedchunk
    looponfail loadgroup basetemp
"""
_COMPARED_ELSEWHERE = "rootdir inifilename confcutdir"
"""The root directory, the content of the configuration file, and each test's ``conftest.py`` files."""

_UNIMPORTANT = frozenset(f"{_SELECTION} {_DISPLAY} {_WORKERS} {_COMPARED_ELSEWHERE}".split())
"""Options of pytest and of common plugins that do not change what an audit finds."""

_UNIMPORTANT_PLUGINS = frozenset({"no:terminal", "no:cacheprovider", "xdist", "xdist.plugin", "pytest-xdist"})
"""Plugins, as named after ``-p`` and as distributions, that do not change what an audit finds."""

_VARIABLES = ("PYTHON", "COVERAGE_")
"""Prefixes of the environment variables that decide; others are the test's own, and are not compared."""


def environment(config: pytest.Config) -> str:
    """Return the digest for a session."""
    return digest(
        *_interpreter(),
        *_distributions(),
        *_own_sources(),
        str(config.rootpath),
        _content(config.inipath),
        *_options(config),
        *sorted(f"{key}={value}" for key, value in os.environ.items() if key.startswith(_VARIABLES)),
    )


def _interpreter() -> Iterator[str]:
    yield sys.version
    yield sys.implementation.name
    yield " ".join((sys.platform, os.uname().machine if hasattr(os, "uname") else "", str(sys.maxsize)))
    yield repr(sys.flags)
    yield repr(sorted(sys._xoptions.items(), key=str))  # noqa: SLF001  (documented)


def _distributions() -> Iterator[str]:
    """Yield what identifies each installed distribution: its name and version, and the digests of its files in RECORD.

    A distribution that is installed again in the same version (a wheel built from a working tree) has other digests.
    """
    found: dict[str, None] = {}
    for place in dict.fromkeys(sys.path):
        try:
            names = sorted(
                name
                for name in os.listdir(place or os.curdir)
                if name.endswith((".dist-info", ".egg-info", ".egg-link"))
            )
        except OSError:
            continue
        for name in names:
            # The names of compiled files, and of scripts with the path of the interpreter in them, differ from machine to machine.
            record = _content(os.path.join(place, name, "RECORD"))
            lines = [line for line in record.splitlines() if ",sha256=" in line and not line.startswith("..")]
            found[f"{name} {digest(*sorted(lines))}"] = None
    return iter(found)


def _own_sources() -> Iterator[str]:
    """Yield what identifies this package if it is no installed copy, which the digests of its distribution identify."""
    yield f"{PACKAGE} {SCHEMA}"
    if is_installed_copy():
        return
    for place, folders, names in os.walk(ROOT):
        folders.sort()
        for name in sorted(names):
            if name.endswith(".py"):
                found = os.stat(os.path.join(place, name))
                yield f"{name} {found.st_mtime_ns} {found.st_size}"


def is_installed_copy() -> bool:
    """Return whether this package is installed as a copy, not in editable form."""
    return f"{os.sep}site-packages{os.sep}" in ROOT


def _options(config: pytest.Config) -> Iterator[str]:
    """Yield the options that may matter, and the plugins that are loaded."""
    for name, value in sorted(vars(config.option).items()):
        # The settings of a test are compared with the test.
        if not name.startswith("maskcheck") and name not in _UNIMPORTANT:
            yield f"{name} {as_text(_without_unimportant(name, value))}"
    loaded = {getattr(each, "project_name", "") for _, each in config.pluginmanager.list_plugin_distinfo()}
    yield " ".join(sorted(loaded - _UNIMPORTANT_PLUGINS))


def _without_unimportant(name: str, value: object) -> object:
    """Return the value of an option without the parts of it that do not matter."""
    if name == "plugins" and isinstance(value, list):
        return [each for each in value if each not in _UNIMPORTANT_PLUGINS]
    if name == "override_ini" and isinstance(value, list):
        return [each for each in value if not str(each).startswith("maskcheck_")]
    return value


def _content(path: object) -> str:
    """Return the text of a file; ``""`` if there is none."""
    if path is None:
        return ""
    try:
        with io.open(str(path), encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except (OSError, ValueError):
        return ""
