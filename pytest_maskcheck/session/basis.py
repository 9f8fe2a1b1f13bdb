"""The basis of a test's result: a digest of everything known to decide it.

Two audits with the same basis find the same. It has three parts: what all tests share (:mod:`.environment`), the test with its settings,
parameters, marks and fixtures, and the code (:mod:`pytest_maskcheck.points.deciding_code`).
"""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from functools import cached_property
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.points.code_names import CodeNames
from pytest_maskcheck.points.code_view import Place
from pytest_maskcheck.points.coverage_globs import escaped
from pytest_maskcheck.points.deciding_code import DecidingCode, Reached
from pytest_maskcheck.points.functions import digest
from pytest_maskcheck.points.module_files import is_installed
from pytest_maskcheck.reasons import Note, reason_of
from pytest_maskcheck.session.environment import environment
from pytest_maskcheck.session.item_code import body_code, own_files
from pytest_maskcheck.session.plain_text import as_text
from pytest_maskcheck.session.private import fixtures
from pytest_maskcheck.system.entered import AT_IMPORT, ENTERED
from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import pytest

    from pytest_maskcheck.points.deciding_code import Deciding
    from pytest_maskcheck.points.scope import Scope
    from pytest_maskcheck.points.source_files import SourceFiles
    from pytest_maskcheck.results import Audit
    from pytest_maskcheck.session.audited_items import AuditedItems

_ONCE = frozenset(f"{when}{what}" for when in ("setup_", "teardown_") for what in ("module", "class")) | {
    *("setUpClass", "tearDownClass", "setUpModule", "tearDownModule", "pytest_generate_tests"),
}
"""Names of functions that pytest and unittest call for several tests, although nothing mentions them."""

_ALWAYS = _ONCE | {
    *("setup_function", "setup_method", "teardown_function", "teardown_method"),
    *("setUp", "tearDown", "asyncSetUp", "asyncTearDown", "runTest"),
}
"""Those that they call for each test, too."""

_HOOK = "pytest_"


@dataclass(frozen=True, slots=True, repr=False)
class _Test:
    """Where the code of a test begins, whatever it reaches.

    Parameters:
        starts: the files that its code begins in.
        entered: functions that run unmeasured.
        once: those of them that run only in the process of the session.
        scope: what its scope was made of.
        own: patterns of the test's own files.
    """

    starts: frozenset[str]
    entered: tuple[Place, ...]
    once: tuple[Place, ...]
    scope: Scope
    own: tuple[str, ...]

    def matches(self, path: str) -> bool:
        """Return whether a file is in scope."""
        return self.scope.matches(path, self.own)

    @property
    def of_scope(self) -> str:
        """Equal for tests of which the same files are in scope."""
        return " ".join(self.own) + repr(self.scope.decisive)


class Bases:
    """Determines the basis of each test.

    Parameters:
        config: pytest's configuration.
        items: the tests to audit, with their settings.
        sources: the source files.
    """

    def __init__(self, config: pytest.Config, items: AuditedItems, sources: SourceFiles) -> None:
        self._config = config
        self._items = items
        self._sources = sources
        self._code = DecidingCode(sources)
        self._codes = CodeNames(sources)
        self._plugin_files: list[str] | None = None
        self._fixture_texts: dict[int, str] = {}
        self._fixture_places: dict[int, Place | None] = {}

    @cached_property
    def environment(self) -> str:
        """What all tests of the session share."""
        return environment(self._config)

    def of(self, item: pytest.Function, reached: Reached) -> str:
        """Return the basis of a test, as of now.

        Parameters:
            item: the test.
            reached: what an audit of it has shown about the code that decides.
        """
        test = self._test(item)
        entered, always = (test.once, _ONCE) if reached.is_all else (test.entered, _ALWAYS)
        code = self._code.digest(
            test.starts, test.matches, test.of_scope, reached=reached, entered=entered, always=always
        )
        return digest(self.environment, self._described(item), repr(test.scope.decisive), code)

    def deciding(self, item: pytest.Function) -> Callable[[Mapping[str, Iterable[int]]], Deciding]:
        """Return a function that returns the code that decides a test's audit, by the lines that the test reaches.

        Most files are read now: the function may be called in a process that is forked for this test alone.
        """
        test = self._test(item)

        def deciding(lines: Mapping[str, Iterable[int]]) -> Deciding:
            ours = {path: {*numbers} for path, numbers in lines.items() if test.matches(path)}
            _add_body(item, ours)
            return self._code.deciding(
                test.starts,
                test.matches,
                test.of_scope,
                files=ours,
                reached=lambda: Reached.of(self._sources, ours),
                entered=test.entered,
                always=_ALWAYS,
            )

        deciding({})
        return deciding

    def was_edited(self, item: pytest.Function, reached: Reached, since: float) -> bool:
        """Return whether code that decides has been edited since then: the session may have loaded what it was before."""
        test = self._test(item)
        inside, outside = self._code.files([*test.starts, *reached.functions], test.matches, test.of_scope)
        return self._sources.changed_since(since, inside | outside)

    def reached(self, item: pytest.Function, audit: Audit) -> Reached:
        """Return what an audit that has just ended shows about the code that decides it."""
        lines = _lines_reached(audit, str(self._config.rootpath))
        _add_body(item, lines)
        if not self._was_all_seen(audit):
            return Reached.of(self._sources, lines)
        test = self._test(item)
        inside, _ = self._code.files([*test.starts, *lines], test.matches, test.of_scope)
        known = AT_IMPORT.keys
        return Reached.entered(
            self._codes, lines, inside, lambda key: key in known or ENTERED.has(key), AT_IMPORT.files
        )

    def _was_all_seen(self, audit: Audit) -> bool:
        """Return whether the record of the code that an audit entered is complete."""
        others = any(reason_of(note).code is Note.DIVIDED for note in audit.notes)  # other workers audited points
        return ENTERED.end() and not others

    def positions(self, reached: Reached) -> str:
        """Return a digest of where the functions are that were reached: if it changes, lines in results have moved."""
        places = (
            f"{path} {each.name} {each.first}"
            for path, names in sorted(reached.functions.items())
            for each in self._sources.read(path).functions
            if each.name in names
        )
        return digest(*places)

    def texts(self, reached: Reached) -> str:
        """Return a digest of the functions that were reached, and of what their files do outside of functions; no test need be collected."""
        found = []
        for path, names in sorted(reached.functions.items()):
            source = self._sources.read(path)
            found.append(f"{path} {source.rest}")
            found += [f"{path} {each.name} {each.digest}" for each in source.functions if each.name in names]
        return digest(*found)

    # The test

    def _test(self, item: pytest.Function) -> _Test:
        code = body_code(item)
        starts = {str(item.path), *self._classes(item), *self._plugins(item)}
        found = [(each.scope, place) for each in fixtures(item) if (place := self._fixture_place(each)) is not None]
        if code is not None:
            starts.add(os.path.abspath(code.co_filename))
        hooks = [
            (path, each.name)
            for path in self._plugins(item)
            for each in self._sources.read(path).functions
            if each.short.startswith(_HOOK)
        ]
        starts |= {path for _, (path, _) in found} | {path for path, _ in hooks}
        return _Test(
            frozenset(starts),
            (*(place for _, place in found), *hooks),
            (*(place for scope, place in found if scope != "function"), *hooks),
            self._items.reach(self._items.settings(item)).scope,
            tuple(map(escaped, sorted(own_files(item)))),
        )

    def _described(self, item: pytest.Function) -> str:
        """Return a digest of what is compared of a test besides code: settings, parameters, marks and fixtures."""
        return digest(*self._descriptions(item), *map(self._fixture_text, fixtures(item)))

    def _descriptions(self, item: pytest.Function) -> Iterator[str]:
        yield repr(self._items.settings(item))
        yield f"{type(item).__module__}.{type(item).__qualname__}"
        yield " ".join(item.fixturenames)
        for mark in item.iter_markers():
            yield f"{mark.name} {as_text(mark.args)} {as_text(mark.kwargs)}"
        spec = getattr(item, "callspec", None)
        if spec is not None:
            yield as_text(dict(spec.params))

    def _fixture_text(self, definition: pytest.FixtureDef[Any]) -> str:
        key = id(definition)
        if key not in self._fixture_texts:
            what = definition.argname, definition.scope, definition.baseid, *definition.argnames
            self._fixture_texts[key] = " ".join((*what, as_text(definition.params)))
        return self._fixture_texts[key]

    def _fixture_place(self, definition: pytest.FixtureDef[Any]) -> Place | None:
        """Return where the function of a fixture is if that is no installed code."""
        key = id(definition)
        if key not in self._fixture_places:
            self._fixture_places[key] = self._place(getattr(inspect.unwrap(definition.func), "__code__", None))
        return self._fixture_places[key]

    def _place(self, code: object) -> Place | None:
        """Return the function that a code object belongs to."""
        if not isinstance(code, CodeType):
            return None
        path = os.path.abspath(code.co_filename)
        if is_installed(path):
            return None
        line = code.co_firstlineno
        name = next((each.name for each in self._sources.read(path).functions if each.first <= line <= each.last), "")
        return (path, name) if name else None

    def _classes(self, item: pytest.Function) -> Iterator[str]:
        """Yield the files of the classes that a test method's class derives from."""
        for each in type.mro(item.cls) if item.cls is not None else ():
            module = sys.modules.get(each.__module__)
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and not is_installed(file):
                yield os.path.abspath(file)

    def _plugins(self, item: pytest.Item) -> list[str]:
        """Return the files of the plugins that apply to a test and are no installed packages, such as ``conftest.py``."""
        if self._plugin_files is None:
            modules = [plugin for plugin in self._config.pluginmanager.get_plugins() if isinstance(plugin, ModuleType)]
            files = {
                os.path.abspath(file) for each in modules if isinstance(file := getattr(each, "__file__", None), str)
            }
            self._plugin_files = sorted(file for file in files if not is_installed(file))
        place = str(item.path)
        return [
            file
            for file in self._plugin_files
            if os.path.basename(file) != "conftest.py" or place.startswith(os.path.dirname(file) + os.sep)
        ]


def _add_body(item: pytest.Function, lines: dict[str, set[int]]) -> None:
    """Add the test's function to the lines that it reached."""
    code = body_code(item)
    if code is not None:
        lines.setdefault(os.path.abspath(code.co_filename), set()).add(code.co_firstlineno)


def _lines_reached(audit: Audit, root: str) -> dict[str, set[int]]:
    """Return the lines that runs of an audit reached, by absolute path: those of points, and those that coverage measured."""
    lines: dict[str, set[int]] = {}
    files: dict[str, str] = {}
    for point in audit.points:
        for each in (point, *([point.first] if point.first else [])):
            lines.setdefault(each.file, set()).add(each.line)
            files[each.path] = each.file
            for frame in each.context:
                lines.setdefault(frame.file, set()).add(frame.line)
                files[frame.path] = frame.file
    for path, numbers in audit.lines_reached.items():
        file = files.get(path) or _absolute(path, root)
        lines.setdefault(file, set()).update(numbers)
    return lines


def _absolute(path: str, root: str) -> str:
    """Return the file that reports name so: relative to the root directory, or to where modules are imported from."""
    places = [root, *sys.path]
    candidates = (os.path.join(place, path) for place in places)
    return next((each for each in candidates if os.path.isfile(each)), os.path.join(root, path))
