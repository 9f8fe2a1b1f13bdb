"""Which code is in scope, and which lines of it a run reached. The only module that imports coverage.

coverage.py measures one run with an instance of our own, which takes over the scope and the exclusions of
the user's configuration and nothing else of it: an instance started with ``patch``, ``concurrency``, plugins or
contexts would act on the process.
"""

from __future__ import annotations

import inspect
import re
import sys
import sysconfig
from bisect import bisect_right
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib.machinery import EXTENSION_SUFFIXES, PathFinder
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import coverage
from coverage.files import GlobMatcher, prep_patterns

from pytest_maskcheck.points import distribution
from pytest_maskcheck.system.own_code import is_ours
from pytest_maskcheck.system.plain import brief, described, quoted
from pytest_maskcheck.system.unpatched import io, keep, os, unpatched
from pytest_maskcheck.system.untrusted import read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from importlib.machinery import ModuleSpec

    from pytest_maskcheck.points.distribution import Installed

# coverage.py, and what it reads sources with.
keep("importlib._bootstrap_external", "inspect", "linecache", "tokenize", "traceback")
keep(*(name for name in sys.modules if name.partition(".")[0] == "coverage"))

IGNORE = r"#\s*maskcheck:\s*ignore\b"
"""The comment that takes a line, or the block that it heads, out of the audit."""

_UNREACHED = "coverage did not see the line in its own run: the test takes another way each time"
_EXCLUDED = "excluded by coverage's configuration"
_IGNORED = "# maskcheck: ignore"
_NO_SOURCE = "its source cannot be read: the code was generated, or its file is gone or no Python"

_SUSPENDABLE = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


class UnknownScopeError(ValueError):
    """An entry of ``include`` or ``exclude``, or coverage's configuration, cannot be used; the message is a sentence."""


def _unusable(entry: str, why: str) -> UnknownScopeError:
    return UnknownScopeError(f"maskcheck include or exclude: {quoted(entry)} {why}")


def running() -> coverage.Coverage | None:
    """Return the coverage measurement of this process that the user started, if any."""
    return coverage.Coverage.current()


def measures_forks() -> bool:
    """Tell whether coverage's ``patch`` makes each forked process measure itself and save what it measured."""
    measurement = running()
    try:
        patches = measurement.get_option("run:patch") if measurement is not None else ()
    except coverage.CoverageException:  # coverage before 7.10
        return False
    return not {"fork", "_exit"}.isdisjoint(_strings(patches))


_SWITCHES = ("start", "stop", "save", "switch_context")
"""What plugins call on a measurement between one test phase and the next; without effect while it is paused."""

_ENVIRON = ("COVERAGE_PROCESS_", "COV_CORE_")
"""How the variables begin that make a child process measure itself and save what it measured."""


@contextmanager
def paused(*known: coverage.Coverage) -> Iterator[None]:
    """Pause the user's own measurements, here and in processes started from here.

    Collectors are a process-wide stack, and ours would run beside them; and what audited runs reach is none of the
    user's numbers.

    Parameters:
        known: measurements that may not be running any more, because coverage's ``patch = fork`` put another
            in their place in this process.
    """
    stopped: list[tuple[coverage.Coverage, list[Any]]] = []
    while (outer := running()) is not None:  # "coverage run -m pytest --cov" has two
        stopped.append((outer, _tracers(outer)))
        outer.stop()
    idle = {id(measurement): measurement for measurement in (*(outer for outer, _ in stopped), *known)}.values()
    for measurement in idle:
        vars(measurement).update(dict.fromkeys(_SWITCHES, _nothing))
    environ = {name: os.environ.pop(name) for name in [*os.environ] if name.startswith(_ENVIRON)}
    try:
        yield
    finally:
        os.environ.update(environ)
        for measurement in idle:
            for name in _SWITCHES:
                del vars(measurement)[name]
        for outer, tracers in reversed(stopped):
            with _unpatched(outer):
                outer.start()
            _hand_over(tracers, _tracers(outer))


def _nothing(*_: object, **__: object) -> None:
    """Stand in for a switch of a measurement that is paused."""


def _tracers(measurement: coverage.Coverage) -> list[Any]:
    """Return what measures at present; a private name, see ``tests/compat/test_coverage.py``."""
    return list(getattr(getattr(measurement, "_collector", None), "tracers", ()))


def _hand_over(before: list[Any], after: list[Any]) -> None:
    """Have new tracers measure also what old ones saw begin.

    A tracer of the ``sysmon`` core arms code as it begins; a generator, such as a fixture, that was suspended
    over the pause never begins again.
    """
    for old, new in zip(before, after, strict=False):
        for code in getattr(old, "code_objects", ()):
            info = old.code_infos[id(code)]
            if info.tracing:
                new.sysmon_py_start(code, 0)
            if info.tracing and code.co_flags & _SUSPENDABLE:
                new.code_infos[id(code)].last_line = getattr(info, "last_line", None)


@contextmanager
def _unpatched(measurement: coverage.Coverage) -> Iterator[None]:
    """Keep a measurement that starts once more from patching ``os._exit`` and the like once more."""
    try:
        patches = measurement.get_option("run:patch")
    except coverage.CoverageException:  # coverage before 7.10
        yield
        return
    measurement.set_option("run:patch", [])
    try:
        yield
    finally:
        measurement.set_option("run:patch", patches)


class Reach:
    """Scope, lines reached and exclusions.

    Parameters:
        root: the root directory; code below it, and that of the project's own distribution, is in scope where neither
            ``include`` nor coverage's configuration says otherwise.
        include, exclude: file globs relative to ``root``, names of modules or packages, or ``stdlib``; empty:
            coverage's ``source``, ``include`` and ``omit``.

    Attributes:
        configured: what coverage's configuration includes, as patterns; empty if it says nothing, or ``include`` is given.
        project: the project's own installed distribution, if it is in scope by default.
        unmeasured: modules that ``include`` names and that no line can be audited of -> why not.

    Raises:
        UnknownScopeError: an entry is neither a glob nor an importable name, or coverage cannot read its configuration.
    """

    def __init__(self, root: str, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> None:
        """Read coverage's configuration; nothing is started."""
        started = running()
        with _somewhere(root):
            settings = started or _configuration(root)
        self._root = root
        everything = _below(root)
        base = (
            os.path.abspath(os.curdir) if started else root
        )  # what relative paths of coverage's configuration are relative to
        self.unmeasured: dict[str, str] = {}
        self._exclusions = _strings(settings.get_option("report:exclude_lines"))
        given = list(include)
        own = [pattern for entry in given for pattern in self._patterns(entry)]
        unmeasured = dict(self.unmeasured)
        self.configured = [] if given else _configured(settings, base)
        self.project: Installed | None = None
        self._include = own or self.configured or ([] if given else [everything])
        self._omit = [pattern for entry in exclude for pattern in self._patterns(entry)]
        self.unmeasured = unmeasured  # what is excluded need not be there
        self._installed: list[str] = []  # in scope although they lie in what is not the project's
        self._foreign: list[str] = []  # not in scope although they lie below the root: other people's code
        if not given:
            self._omit += _absolute(settings.get_option("run:omit"), base)
        if not given and self._include == [everything]:
            self._foreign = ["**/site-packages/**", *_installation_below(root)]
        if not given and not self.configured:
            self._take_in(distribution.own(root))
        try:
            _matcher(*self._include), _matcher(*self._omit)
        except (
            coverage.CoverageException,
            re.error,
            ValueError,
            OSError,
        ) as error:  # entries of ours were tried one by one
            message = f"coverage's configuration has a file pattern that cannot be used: {brief(str(error))}"
            raise UnknownScopeError(message) from None
        self._lines: dict[str, set[int]] = {}
        self._open: list[str] | None = None
        self._files: dict[str, str | None] = {}
        self._statements: dict[str, tuple[dict[int, str], list[int]]] = {}
        self._reached: dict[str, set[int]] = {}
        self._ignores_used: set[tuple[str, int]] = set()

    def _take_in(self, project: Installed | None) -> None:
        """Let the project's own distribution be in scope, wherever it is installed."""
        if project is None:
            return
        self.project = project
        patterns = [*map(_below, project.directories), *map(_escaped, project.files)]
        if project.editable:  # a virtual environment may lie in the project's directory
            self._include += patterns
        else:
            self._installed = patterns

    def _patterns(self, entry: str) -> list[str]:
        """Return the file patterns that an entry of ``include`` or ``exclude`` stands for."""
        if entry == "stdlib":
            self.unmeasured |= {name: _FROZEN for name in sorted(sys.stdlib_module_names) if _is_frozen(name)}
            return _standard_library()
        path = os.path.join(self._root, entry)
        if os.path.isdir(path):
            return [_below(path)]
        if os.path.isfile(path):
            return [_escaped(path)]
        if any(character in entry for character in "*?["):
            pattern = os.path.join(_escaped(self._root), entry)
            try:
                _matcher(pattern)
            except (coverage.CoverageException, re.error, ValueError, OSError, Warning) as error:
                raise _unusable(entry, f"is no glob that coverage.py can use: {brief(str(error))}") from None
            return [pattern]
        try:
            patterns = _module_patterns(entry)
        except (Exception, SystemExit) as error:  # noqa: BLE001  (packages above the module are imported)
            raise _unusable(entry, f"cannot be imported: {described(error)}") from None
        if patterns == []:
            self.unmeasured[entry] = _why_unmeasured(entry)
        if patterns is None:
            raise _unusable(
                entry, f"is neither a file below {self._root}, nor a glob, nor a module that can be imported"
            )
        return patterns

    @contextmanager
    def measuring(self, *files: str) -> Iterator[None]:
        """Measure the run in the body of the ``with`` statement; ``files`` are in scope whatever the settings say."""
        own = [*map(_escaped, files)]
        hides = bool(self._installed) or any(map(_matcher(*self._foreign).match, files))
        measurement = coverage.Coverage(
            data_file=None,
            config_file=False,
            cover_pylib=True,
            include=[*self._include, *self._installed, *own],
            # Omit wins over include in coverage: where that would hide what is in scope, more is measured, and dropped below.
            omit=[*self._omit, *([] if hides else self._foreign)] or None,
            check_preimported=False,
        )
        measurement.set_option("run:disable_warnings", ["no-data-collected", "module-not-measured", "already-imported"])
        with _somewhere(self._root), unpatched(), _unasked():  # it reads sources
            measurement.start()
        try:
            yield
        finally:
            measurement.stop()
            with _somewhere(self._root), unpatched(), _closing_data(measurement):
                data = measurement.get_data()
                self._lines = {
                    path: set(data.lines(path) or ()) for path in data.measured_files() if self._matches(path, own)
                }
        self._open = None
        self._files.clear()
        self._reached.clear()
        self._ignores_used.clear()

    def open_up(self, *files: str) -> None:
        """Let files be in scope that the measured run did not reach, as runs that are interrupted may.

        What is known to be out of scope stays so: it called the test.

        Parameters:
            files: as for :meth:`measuring`.
        """
        self._open = [*map(_escaped, files)]

    @property
    def files(self) -> frozenset[str]:
        """The files in scope of which the run reached lines."""
        return frozenset(self._lines)

    def in_scope(self, filename: str) -> bool:
        """Tell whether code with this ``co_filename`` is in scope and was reached."""
        return self._measured(filename) is not None

    def reached(self, filename: str) -> bool:
        """Tell whether lines of a file were reached, whatever is opened up later."""
        return os.path.abspath(filename) in self._lines

    def covers(self, filename: str) -> bool:
        """Tell whether a file is in scope, reached or not."""
        path = os.path.abspath(filename)
        return path in self._lines or self._wanted(path)

    def _measured(self, filename: str) -> str | None:
        try:
            return self._files[filename]
        except KeyError:
            path = os.path.abspath(filename)
            found = next((path for path in (filename, path, os.path.realpath(path)) if path in self._lines), None)
            if found is None and self._open is not None and self._wanted(path, self._open):
                found = path
                self._lines[path] = set()
            self._files[filename] = found
            return found

    def _wanted(self, path: str, own: Iterable[str] = ()) -> bool:
        """Tell whether coverage would measure a file."""
        return os.path.isfile(path) and self._matches(path, own)

    def _matches(self, path: str, own: Iterable[str]) -> bool:
        """Tell whether a path is in scope.

        Parameters:
            path: an absolute path.
            own: patterns of the test's own files.
        """
        if is_ours(path) or _matcher(*self._omit).match(path):
            return False
        if _matcher(*self._installed, *own).match(path):
            return True
        return _matcher(*self._include).match(path) and not _matcher(*self._foreign).match(path)

    def reason_against(self, filename: str, line: int, *, entry: bool = False, reached: bool = False) -> str:
        """Return why a point on this line is not audited, or ``""``.

        Parameters:
            filename: a ``co_filename``.
            line: the line.
            entry: the point is a function's entry, on the line of its ``def``, which ran when the module was imported.
            reached: the point is reached after an interrupt, which the measured run says nothing about.
        """
        path = self._measured(filename)
        if path is None:
            return "not in scope"
        try:
            excluded, statements = self._analysis(path)
        except coverage.CoverageException:
            return _NO_SOURCE
        statement = _statement(statements, line)
        reason = excluded.get(statement) or excluded.get(line) or ""
        if reason == _IGNORED:
            self._ignores_used.add((path, self._comment(path, line)))
        if (
            not reason
            and not entry
            and not reached
            and line not in self._lines[path]
            and statement not in self._statements_reached(path)
        ):
            reason = _UNREACHED
        return reason

    def statements(self) -> dict[str, list[int]]:
        """Return the first lines of the statements that the run reached in each file, in order, without those that are excluded."""
        reached: dict[str, list[int]] = {}
        for path in self._lines:
            with suppress(coverage.CoverageException):  # a file that is gone, or no Python: there are no points in it
                excluded = self._analysis(path)[0]
                reached[path] = sorted(self._statements_reached(path) - excluded.keys())
        return reached

    def _statements_reached(self, path: str) -> set[int]:
        if path not in self._reached:
            self._reached[path] = {_statement(self._analysis(path)[1], line) for line in self._lines[path]}
        return self._reached[path]

    def _analysis(self, path: str) -> tuple[dict[int, str], list[int]]:
        """Return excluded lines with the reason, and the first lines of all statements in order.

        Raises:
            coverage.CoverageException: the file is gone, or is no Python.
        """
        if path not in self._statements:
            excluded: dict[int, str] = {}
            statements: set[int] = set()
            for reason, patterns in ((_EXCLUDED, self._exclusions), (_IGNORED, [IGNORE])):
                with _somewhere(self._root):
                    lines, out = _lines_of(path, patterns)
                excluded |= dict.fromkeys(out, reason)
                statements |= {*lines, *out}
            self._statements[path] = (excluded, sorted(statements))
        return self._statements[path]

    def ignores(self) -> dict[tuple[str, int], bool]:
        """Return (file, line) of every ``# maskcheck: ignore`` in the files reached, and whether it ignored a point."""
        places = [(path, line) for path in self._lines for line in _comments(path)]
        return {place: place in self._ignores_used for place in places}

    def _comment(self, path: str, line: int) -> int:
        return max((comment for comment in _comments(path) if comment <= line), default=line)


@contextmanager
def _somewhere(root: str) -> Iterator[None]:
    """Let coverage find functions of the standard library as they were, and a working directory, whose name it asks for."""
    with unpatched():
        try:
            os.getcwd()
        except OSError:
            place = os.open(os.curdir, os.O_RDONLY)
        else:
            yield
            return
        try:
            os.chdir(root)
            yield
        finally:
            os.fchdir(place)
            os.close(place)


@contextmanager
def _unasked() -> Iterator[None]:
    """Keep coverage from noting which calls started it: ``inspect`` asks all modules for their files then, and code under test may have put any object among them."""
    names = vars(sys.modules.get("coverage.collector", sys))
    former = names.get("short_stack")
    if former is None:
        yield
        return
    names["short_stack"] = lambda *_, **__: ""
    try:
        yield
    finally:
        names["short_stack"] = former


def _lines_of(path: str, exclusions: Iterable[str]) -> tuple[list[int], list[int]]:
    """Return the first lines of the statements of a file, and the lines that some patterns exclude.

    Raises:
        coverage.CoverageException: there is no such file, or it is no Python.
    """
    if not os.path.isfile(path):  # whoever opens a FIFO waits for somebody who writes to it
        message = f"no file: {path}"
        raise coverage.CoverageException(message)
    reader = coverage.Coverage(data_file=None, config_file=False)
    reader.clear_exclude()
    for pattern in exclusions:
        reader.exclude(pattern)
    with _closing_data(reader):
        try:
            _, lines, excluded, *_ = reader.analysis2(path)
        except coverage.CoverageException:
            raise
        except Exception as error:  # noqa: BLE001  (encodings and the tokenizer raise more than coverage translates)
            raise coverage.CoverageException(described(error)) from None
    return lines, excluded


@contextmanager
def _closing_data(measurement: coverage.Coverage) -> Iterator[None]:
    """Close the data of a measurement at the end; left open, it warns when it is collected."""
    try:
        yield
    finally:
        measurement.get_data().close(force=True)


def _statement(statements: list[int], line: int) -> int:
    """Return the first line of the statement that ``line`` belongs to."""
    position = bisect_right(statements, line)
    return statements[position - 1] if position else line


def _comments(path: str) -> list[int]:
    if not os.path.isfile(path):
        return []
    with suppress(OSError), io.open(path, encoding="utf-8", errors="replace") as source:
        return [number for number, text in enumerate(source, 1) if re.search(IGNORE, text)]
    return []


def _module_patterns(name: str) -> list[str] | None:
    """Return the patterns of the files of a module or package, ``None`` if there is no such module."""
    spec = _spec_of(name)
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return [_below(place) for place in spec.submodule_search_locations]
    return [_escaped(spec.origin)] if spec.origin and _is_python(spec.origin) else []


def _spec_of(name: str) -> ModuleSpec | None:
    """Return the spec of a module, ``None`` if there is none; a module may have put an object without one in its place."""
    with suppress(ImportError, ValueError, AttributeError):
        return find_spec(name)  # its package may raise anything else when it is imported
    with suppress(Exception):
        if name not in sys.modules:
            return None
        package = sys.modules.get(name.rpartition(".")[0])
        return PathFinder.find_spec(name, read(package, "__path__"))
    return None


def _is_python(origin: str) -> bool:
    return os.path.isfile(origin) and not origin.endswith(tuple(EXTENSION_SUFFIXES))


_FROZEN = "CPython keeps it frozen and its lines without a file; `python -X frozen_modules=off -m pytest` audits it"


def _is_frozen(name: str) -> bool:
    spec = read(sys.modules.get(name), "__spec__")
    return bool(read(spec, "origin") == "frozen")


def _why_unmeasured(name: str) -> str:
    """Return why no line of a module can be audited."""
    origin = read(_spec_of(name), "origin")
    if origin == "frozen":
        return _FROZEN
    if origin == "built-in" or str(origin).endswith(tuple(EXTENSION_SUFFIXES)):
        return "it is not written in Python"
    return "its source is no file"


def _standard_library() -> list[str]:
    """Return the patterns of the standard library, without what is installed below it."""
    place = sysconfig.get_path("stdlib")
    return [
        _below(entry.path) if entry.is_dir() else _escaped(entry.path)
        for entry in os.scandir(place)
        if entry.name.endswith(".py") or (entry.is_dir() and entry.name not in {"site-packages", "dist-packages"})
    ]


def _escaped(path: str) -> str:
    """Return a pattern that matches ``path``; coverage's patterns know no escapes."""
    return re.sub(r"[*?\[\]]", "?", path)


@lru_cache(maxsize=64)
def _matcher(*patterns: str) -> GlobMatcher:
    return GlobMatcher(prep_patterns(patterns), "")


def _below(directory: str) -> str:
    """Return a pattern for all that is below a directory."""
    return os.path.join(_escaped(os.path.abspath(directory)), "**")


def _configured(settings: coverage.Coverage, base: str) -> list[str]:
    """Return the patterns of the user's ``source``, ``source_pkgs`` or ``include``."""
    patterns: list[str] = []
    for entry in _strings(settings.get_option("run:source")) + _strings(settings.get_option("run:source_pkgs")):
        place = os.path.join(base, entry)
        found = [_below(place)] if os.path.isdir(place) else None
        with suppress(
            Exception
        ):  # packages above the module are imported; coverage would say that nothing was measured
            found = found or _module_patterns(entry)
        patterns += found or []
    return patterns or _absolute(settings.get_option("run:include"), base)


def _absolute(patterns: object, base: str) -> list[str]:
    """Return patterns of coverage's configuration, relative ones made absolute as coverage does."""
    return [
        pattern if pattern.startswith(("*", "?")) else os.path.join(_escaped(base), pattern)
        for pattern in _strings(patterns)
    ]


def _strings(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, (list, tuple)) else []


def _configuration(root: str) -> coverage.Coverage:
    """Return coverage with the configuration that it would read when started in ``root``; it is not started.

    Raises:
        UnknownScopeError: that cannot be read.
    """
    path: str | bool = False
    try:
        path = _config_file(root)
        return coverage.Coverage(data_file=None, config_file=path)
    except (coverage.CoverageException, OSError, ValueError) as error:
        message = f"coverage's configuration cannot be read: {described(error)}; repair {path or 'it'}"
        raise UnknownScopeError(message) from None


def _config_file(root: str) -> str | bool:
    """Return the configuration that ``coverage`` would read when started in ``root``."""
    for name in (".coveragerc", "setup.cfg", "tox.ini", "pyproject.toml"):
        path = os.path.join(root, name)
        if os.path.isfile(path):
            with io.open(path, encoding="utf-8", errors="replace") as text:
                if name == ".coveragerc" or re.search(r"^\[(tool\.)?coverage[:.\]]", text.read(), re.MULTILINE):
                    return path
    return False


def _installation_below(root: str) -> list[str]:
    """Return patterns for the parts of the Python installation that lie below ``root`` (a virtual environment)."""
    prefix = os.path.abspath(sysconfig.get_path("data"))
    return [_below(prefix)] if prefix.startswith(root.rstrip(os.sep) + os.sep) else []
