"""Private names of pytest, pluggy and unittest, each with the reason why it is needed. The only module that imports ``_pytest``.

An audit runs one item again and again, with fresh fixtures of function scope, in silence. pytest offers no public way to do that
(pytest#14779). Update ``tests/session/test_private.py`` with this file: that test names what is gone when pytest changes something.
"""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from _pytest._code.code import (  # a failure is drawn from recorded frames: those of the interrupted run are gone
    ExceptionChainRepr,
    ReprEntry,
    ReprFileLocation,
    ReprTraceback,
)
from _pytest.junitxml import (
    xml_key,  # stash key of the JUnit XML of a session; only a fixture gives access to its properties
)
from _pytest.python import get_direct_param_fixture_func  # marks fixtures that stand for a parameter: never set up anew
from _pytest.runner import runtestprotocol  # one run with all hooks, for items that need them
from _pytest.threadexception import thread_exceptions  # stash key of exceptions that keep frames of a run alive
from _pytest.tmpdir import tmp_path as _tmp_path  # recognized, so that its directory can be used again
from _pytest.tmpdir import tmppath_result_key  # ``tmp_path`` reads it at teardown; the protocol's hook would set it
from _pytest.unraisableexception import unraisable_exceptions  # as thread_exceptions

from pytest_maskcheck.system.unpatched import os, pathlib

try:
    from _pytest.subtests import failed_subtests_key  # subtests of repeated runs must not count
except ImportError:  # pytest before 9
    FAILED_SUBTESTS: Any = None
else:
    FAILED_SUBTESTS = failed_subtests_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from _pytest.junitxml import LogXML
    from _pytest.runner import SetupState

__all__ = [
    "FAILED_SUBTESTS",
    "ExceptionChainRepr",
    "ReprEntry",
    "ReprFileLocation",
    "ReprTraceback",
    "get_direct_param_fixture_func",
    "junit_log",
    "runtestprotocol",
    "thread_exceptions",
    "tmp_path_fixture",
    "tmppath_result_key",
    "unraisable_exceptions",
]


def setup_state(item: pytest.Item) -> SetupState:
    """Return the object that sets up and tears down: runs without the protocol call its ``setup`` and ``teardown_exact``."""
    return item.session._setupstate  # noqa: SLF001


def junit_log(config: pytest.Config) -> LogXML | None:
    """Return what writes the JUnit XML of a session; ``None`` if none is written."""
    return config.stash.get(xml_key, None)


def begin_request(item: pytest.Function) -> None:
    """Give an item a new fixture request, as ``runtestprotocol`` does."""
    item._initrequest()  # noqa: SLF001


def end_request(item: Any) -> None:
    """Drop an item's fixture request, as ``runtestprotocol`` does."""
    item._request = False  # noqa: SLF001
    item.funcargs = None


def fresh_instance(item: pytest.Function) -> None:
    """Give a test method a new ``self``; ``unittest`` items do so themselves."""
    if item.cls is not None and not is_unittest(item):
        item._obj = None  # noqa: SLF001  (the bound method is made anew)
        with suppress(AttributeError):
            del item._instance  # noqa: SLF001


def is_unittest(item: pytest.Function) -> bool:
    """Return whether an item is a method of a ``unittest.TestCase``; its class is private, and other plugins derive from it."""
    return hasattr(item, "_excinfo") or type(item).__name__ == "TestCaseFunction"


def forget_unittest_outcome(item: pytest.Function) -> None:
    """Drop the exceptions that a ``unittest`` item has collected: they would count as those of the next run."""
    vars(item).pop("_excinfo", None)


@contextmanager
def replaced_method(case: Any, around: Callable[[Callable[[], object]], None]) -> Iterator[None]:
    """Call ``around(body)`` where ``unittest`` calls the test method: between ``setUp`` and ``tearDown``."""
    method = case._callTestMethod  # noqa: SLF001
    case._callTestMethod = lambda function: around(lambda: method(function))  # noqa: SLF001
    try:
        yield
    finally:
        del case._callTestMethod  # noqa: SLF001


def report_sections(item: pytest.Item) -> list[tuple[str, str, str]]:
    """Return the captured output that an item keeps for its reports: it grows with each run."""
    return item._report_sections  # noqa: SLF001


def fixtures(item: pytest.Item) -> list[pytest.FixtureDef[Any]]:
    """Return the definitions of the fixtures that an item uses, as collected."""
    info = getattr(item, "_fixtureinfo", None)
    return [definition for several in info.name2fixturedefs.values() for definition in several] if info else []


def arguments(item: pytest.Item) -> Sequence[str]:
    """Return the names of the fixtures that a test itself requests as arguments."""
    info = getattr(item, "_fixtureinfo", None)
    return info.argnames if info else ()


def finalizers(definition: pytest.FixtureDef[Any]) -> list[Callable[[], object]]:
    """Return the finalizers of a fixture: each run adds some to fixtures that outlive it."""
    return definition._finalizers  # noqa: SLF001


def temporary_directory(config: pytest.Config) -> str:
    """Return the directory that ``tmp_path_factory`` makes its numbered ones in; ``""`` if there is none yet."""
    factory: Any = getattr(config, "_tmp_path_factory", None)
    return str(getattr(factory, "_basetemp", None) or "")


def set_temporary_directory(config: pytest.Config, directory: object) -> None:
    """Make ``tmp_path_factory`` use another directory: other processes use that of the session, too."""
    factory: Any = getattr(config, "_tmp_path_factory", None)  # none with -p no:tmpdir
    if factory is not None:
        factory._basetemp = directory  # noqa: SLF001


tmp_path_fixture: Any = getattr(_tmp_path, "_get_wrapped_function", lambda: None)()
"""The function behind pytest's own ``tmp_path``; ``None`` where it cannot be found."""


def next_temporary(item: pytest.Item, path: str) -> str:
    """Return the path that ``tmp_path`` would have in the next run if it had ``path`` in the one before; ``""`` if that is unknown."""
    factory: Any = getattr(item.config, "_tmp_path_factory", None)
    numbers = getattr(factory, "_next_number", None)
    if numbers is None:  # the number is the first one that is not taken: that of the directory just removed
        return path
    directory, name = os.path.split(path)
    prefix = _prefix(item)
    number = numbers.get(prefix.lower(), 0)
    if name != f"{prefix}{number - 1}":
        return ""
    numbers[prefix.lower()] = number + 1
    return os.path.join(directory, f"{prefix}{number}")


def _prefix(item: pytest.Item) -> str:
    """Return what the names of an item's ``tmp_path`` begin with; numbers follow."""
    return re.sub(r"[\W]", "_", item.name)[:30]


def renumber(item: pytest.Function, path: str) -> None:
    """Let an item that is set up find its ``tmp_path`` under another name, with the link to the current one."""
    (definition,) = (each for each in fixtures(item) if each.argname == "tmp_path")
    _, key, _ = definition.cached_result  # type: ignore[misc]
    item.funcargs["tmp_path"] = directory = pathlib.Path(path)
    definition.cached_result = (directory, key, None)
    with suppress(OSError):
        link = os.path.join(os.path.dirname(path), f"{_prefix(item)}current")
        os.unlink(link)
        os.symlink(path, link)


@contextmanager
def without_tee(capture: Any, nowhere: Any) -> Iterator[None]:
    """Keep ``--capture=tee-sys`` from passing captured output on to the terminal.

    Parameters:
        capture: pytest's capture manager.
        nowhere: the stream to pass it on to instead.
    """
    streams = capture._global_capturing  # noqa: SLF001
    files = [getattr(each, "tmpfile", None) for each in (streams.out, streams.err)]
    tees: list[Any] = [file for file in files if hasattr(file, "_other")]
    others = [tee._other for tee in tees]  # noqa: SLF001
    for tee in tees:
        tee._other = nowhere  # noqa: SLF001
    try:
        yield
    finally:
        for tee, other in zip(tees, others, strict=True):
            tee._other = other  # noqa: SLF001


@contextmanager
def replaced_hooks(config: pytest.Config, names: Sequence[str], *instead: Any) -> Iterator[None]:
    """Call only the implementations ``instead`` of these hooks: pluggy has no way to silence those of other plugins."""
    callers: list[Any] = [getattr(config.hook, name) for name in names]
    implementations = [caller._hookimpls for caller in callers]  # noqa: SLF001
    for caller in callers:
        caller._hookimpls = [*instead]  # noqa: SLF001
    try:
        yield
    finally:
        for caller, kept in zip(callers, implementations, strict=True):
            caller._hookimpls = kept  # noqa: SLF001
