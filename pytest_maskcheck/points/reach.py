"""The lines in scope that a run reached, and the reasons why other lines are not audited."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pytest_maskcheck.points.cleanup_calls import clauses, cleanup_lines
from pytest_maskcheck.points.coverage_globs import escaped
from pytest_maskcheck.points.coverage_runs import NoSourceError, measured, prepared
from pytest_maskcheck.points.exclusions import Exclusions
from pytest_maskcheck.points.scope import Scope
from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.system.loaded_modules import LOADED
from pytest_maskcheck.system.unpatched import os

_OUT_OF_SCOPE = Reason(NotAudited.OUT_OF_SCOPE)
_NO_SOURCE = Reason(NotAudited.NO_SOURCE)
_UNMEASURED = Reason(NotAudited.UNMEASURED)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_maskcheck.points.coverage_config import CoverageSettings as Measurement


class Reach:
    """The lines that the run under :meth:`measuring` reached, as coverage.py measured them.

    Parameters:
        root, include, exclude: as for :class:`~pytest_maskcheck.points.scope.Scope`.

    Attributes:
        scope: the files in scope, reached or not.

    Raises:
        UnknownScopeError: as for :class:`~pytest_maskcheck.points.scope.Scope`.
    """

    def __init__(self, root: str, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> None:
        self.scope = Scope(root, include, exclude)
        self._root = root
        self._exclusions = Exclusions(root, self.scope.exclusions)
        self._lines: dict[str, set[int]] = {}
        self._open: list[str] | None = None
        """Patterns of the test's own files, after :meth:`open_up`; ``None`` before: only files that were reached are in scope."""
        self._files: dict[str, str | None] = {}
        """``co_filename`` -> the key of the file in ``_lines``, or ``None`` if it has none."""
        self._statements: dict[str, set[int]] = {}
        self._outside: set[str] = set()
        """Absolute and normalized names of files out of scope; they may still be a test's own, and so be among ``_lines``."""
        self._noted: set[str] = set()
        """Files that earlier tests reached, still to be read; see :meth:`read_ahead`."""
        self._looked_at: dict[str, str] = {}
        """Names of loaded modules -> their files, as of the last look."""
        self._looks = 0
        self._modules: dict[str, None] = {}
        """Those of the names whose files may be in scope."""
        self._ready: tuple[frozenset[str], Measurement | None] = frozenset(), None
        """A test's own files, and a measurement that was made ready for them."""

    @contextmanager
    def measuring(self, *files: str) -> Iterator[None]:
        """Measure the run in the body of the ``with`` statement; ``files`` are in scope regardless of the settings."""
        own = [*map(escaped, files)]
        lines: dict[str, set[int]] = {}
        of, ready = self._ready
        self._ready = frozenset(), None  # it counts what it has measured, so it serves only once
        try:
            with measured(lines, self._root, *self.scope.measured_files(files), ready if of == {*files} else None):
                yield
        finally:
            self._lines = {path: numbers for path, numbers in lines.items() if self.scope.matches(path, own)}
        self._open = None
        self._files.clear()
        self._statements.clear()
        self._exclusions.forget_use()

    def read_ahead(self, *files: str) -> None:
        """Do now what processes forked later would all do for a test with these files of its own."""
        noted, self._noted = self._noted, set()
        LOADED.note()
        self._look_at_modules()
        self.scope.matches(self._root, [*map(escaped, files)])  # compiles the patterns
        self._exclusions.forget_changed()
        for path in {*files} | noted:
            with suppress(Exception):  # the audit reads the file again, and reports the error
                self._exclusions.of(path)
                self._exclusions.ignores(path)
                cleanup_lines(path)
        if self._ready[0] != {*files} or self._ready[1] is None:
            with suppress(Exception):  # likewise
                self._ready = frozenset(files), prepared(self._root, *self.scope.measured_files(files))

    def _look_at_modules(self) -> None:
        if self._looks == LOADED.looks:
            return
        for name, file in LOADED.files.items():
            if file and self._looked_at.get(name) != file and (self.covers(file) or file not in self._outside):
                self._modules[name] = None
        self._looked_at, self._looks = {**LOADED.files}, LOADED.looks

    def modules(self) -> list[str]:
        """Return the names of all loaded modules in scope, and perhaps of others, in the order in which they were loaded."""
        self._look_at_modules()
        return LOADED.in_order([*self._modules, *LOADED.of_files(self._lines), *LOADED.new()])

    def note(self, files: Iterable[str]) -> None:
        """Record files that a test reached: the next call of :meth:`read_ahead` reads them, too, as further tests may reach them."""
        self._noted.update(files)

    def open_up(self, *files: str) -> None:
        """Also treat files as in scope that the measured run did not reach, since interrupted runs may reach them.

        Files already found to be out of scope stay out of scope: their code called the test.

        Parameters:
            files: as for :meth:`measuring`.
        """
        self._open = [*map(escaped, files)]

    @property
    def files(self) -> frozenset[str]:
        """The files in scope where the run reached lines."""
        return frozenset(self._lines)

    def in_scope(self, filename: str) -> bool:
        """Return whether code with this ``co_filename`` is in scope and was reached."""
        return self._measured(filename) is not None

    def reached(self, filename: str) -> bool:
        """Return whether the measured run reached lines of a file."""
        return os.path.abspath(filename) in self._lines

    def covers(self, filename: str) -> bool:
        """Return whether a file is in scope, reached or not."""
        # This is called for each module several times an audit, and most are out of scope: one lookup decides.
        if filename in self._outside:
            return filename in self._lines
        path = os.path.abspath(filename)
        if path == filename and not self.scope.matches(path):
            self._outside.add(path)
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
        """Return whether coverage would measure a file."""
        # The scope is checked first: most files are not in scope, and then no access to the disk is needed.
        return self.scope.matches(path, own) and os.path.isfile(path)

    def reason_against(self, filename: str, line: int, *, entry: bool = False, reached: bool = False) -> Reason | None:
        """Return why a point on this line is not audited.

        Parameters:
            filename: a ``co_filename``.
            line: the line.
            entry: the point is a function's entry, on the line of its ``def``, which ran when the module was imported.
            reached: the point is reached after an interrupt, so the measured run cannot show whether it is reached.
        """
        path = self._measured(filename)
        if path is None:
            return _OUT_OF_SCOPE
        try:
            statements = self._exclusions.of(path)
        except NoSourceError:
            return _NO_SOURCE
        reason = statements.reason_against(line)
        if reason is not None and reason.code is NotAudited.IGNORED:
            self._exclusions.note_ignored(path, line)
        # The line of a ``def`` ran when its module was imported, so this run's measurement may lack it.
        if reason or entry or reached:
            return reason
        if line in self._lines[path] or statements.at(line) in self._statements_reached(path):
            return None
        return _UNMEASURED

    @property
    def lines(self) -> dict[str, set[int]]:
        """The lines that the run reached, excluded ones included, by absolute path."""
        return {path: {*lines} for path, lines in self._lines.items()}

    def statements(self) -> dict[str, list[int]]:
        """Return, for each file, the first lines of the statements that the run reached, in order and without excluded ones."""
        reached: dict[str, list[int]] = {}
        for path in self._lines:
            with suppress(NoSourceError):  # such a file has no points
                excluded = self._exclusions.of(path).excluded
                reached[path] = sorted(self._statements_reached(path) - excluded.keys())
        return reached

    def unreached(self, ran: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
        """Return, for each file, the first lines of statements that ran and were not reached in the measured run, as for :meth:`statements`.

        An ``except`` clause that did not match is left out: its first line runs, to find that out, but none of its body.

        Parameters:
            ran: the ``co_filename`` and the number of lines that ran.
        """
        found: dict[str, set[int]] = {}
        for filename, line in ran:
            path = self._measured(filename) or os.path.abspath(filename)
            with suppress(NoSourceError):
                statements = self._exclusions.of(path)
                reached = self._statements_reached(path) if path in self._lines else set[int]()
                if (first := statements.at(line)) not in reached and first not in statements.excluded:
                    found.setdefault(path, set()).add(first)
        matched = ((path, lines - _passed_over(path, lines)) for path, lines in found.items())
        return {path: sorted(lines) for path, lines in matched if lines}

    def _statements_reached(self, path: str) -> set[int]:
        if path not in self._statements:
            statements = self._exclusions.of(path)
            self._statements[path] = {statements.at(line) for line in self._lines[path]}
        return self._statements[path]

    def ignores(self) -> dict[tuple[str, int], bool]:
        """Return (file, line) of every ``# maskcheck: ignore`` in the reached files, and whether it has ignored a point."""
        return {place: used for path in self._lines for place, used in self._exclusions.ignores(path).items()}


def _passed_over(path: str, ran: set[int]) -> set[int]:
    """Return the first lines of ``except`` clauses of which no other line ran."""
    return {line for line, body in clauses(path).items() if line in ran and ran.isdisjoint(body)}
