"""Tries edits on a copy of the project: audits the tests that meet a defect again, and compares."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import tokenize
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_maskcheck.patches import passing as plugin
from pytest_maskcheck.reports import reading
from pytest_maskcheck.results import Verdict, over_tests

if TYPE_CHECKING:
    from pytest_maskcheck.results import Audit, Point, SharedDefect

_NOT_NEEDED = shutil.ignore_patterns(
    ".*_cache", ".git", ".hg", ".nox", ".tox", ".venv", "__pycache__", "node_modules", "venv", "*.pyc"
)
"""What is not copied: it is large, and no test needs it."""

_CANNOT_COPY = (stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK)
"""Types of files that have no content."""

_OPTIONS = ("-q", "-p", "no:cacheprovider", "--continue-on-collection-errors")
"""Tests run also if an edit breaks the module of another one."""

_AUDIT = ("--maskcheck-all", "--maskcheck-repeats=all")
"""Each test is audited at all of its points."""

_AGAIN = 50
"""The greatest number of tests that are run a second time alone, as one that fails now and then must not count against an edit."""

_LEAST, _SLOWER = 60.0, 10.0
"""A session may take this many seconds, and this many times as long as the first one of its sort."""

Identity = tuple[str, str, str]


class TrialError(Exception):
    """The tests cannot be audited in the copy; the message says why."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an audit of a test in the copy found.

    Parameters:
        defects: those that make a test fail.
        listed: verdict, kind and key of those that are only listed, except for what reference counting released. An edit that turns a defect
            into one of them (a ``with`` whose manager, out of scope, loses the thing) cures nothing.
        points: the number of points where an interrupt was delivered.
        reached: path and name of the functions that have such a point.
        sound: the test passed by itself, and was audited.
    """

    defects: tuple[SharedDefect, ...]
    listed: frozenset[Identity]
    points: int
    reached: frozenset[tuple[str, str]]
    sound: bool

    def find(self, known: SharedDefect) -> SharedDefect | None:
        """Return a defect as it is now: the one with a fingerprint of it."""
        fingerprints = {*known.defect.fingerprints}
        near = (each for each in self.defects if not fingerprints.isdisjoint(each.defect.fingerprints))
        return next(near, None)

    def is_progress(self, before: Outcome, known: SharedDefect) -> bool:
        """Return whether a known defect is at fewer points than before, or at none, and there are no other ones."""
        if not self.sound or not self.identities <= before.identities or len(self.defects) > len(before.defects):
            return False
        if not self.listed <= before.listed or not self._comes_back(before, known):
            return False
        return self.is_cured(before, known) or self._points_of(known) < before._points_of(known)

    def is_no_worse(self, before: Outcome) -> bool:
        """Return whether nothing is found that was not found before, if the test could be audited then."""
        if not before.sound:
            return True
        new = not self.identities <= before.identities or not self.listed <= before.listed
        return self.sound and not new and len(self.defects) <= len(before.defects)

    def is_cured(self, before: Outcome, known: SharedDefect) -> bool:
        """Return whether a known defect is gone, and neither listed instead, nor only gone from the line where it was, nor out of the way.

        A test may take another way each time. Where it does not come to the functions of the defect again, nothing is known.
        """
        if not self.sound or not self.listed <= before.listed or _identity(known) in self.listed:
            return False
        if not self._comes_back(before, known):
            return False
        return self.find(known) is None and len(self._equal(known)) < len(before._equal(known))

    def _comes_back(self, before: Outcome, known: SharedDefect) -> bool:
        found = before.find(known)
        return found is None or self.comes_to(found.points)

    def comes_to(self, points: Iterable[Point]) -> bool:
        """Return whether the functions of these points, where interrupts led to a defect before, were audited again."""
        return {(point.path, point.function) for point in points} <= self.reached

    def _points_of(self, known: SharedDefect) -> int:
        return sum(len(each.points) for each in self._equal(known))

    def _equal(self, known: SharedDefect) -> list[SharedDefect]:
        return [each for each in self.defects if _identity(each) == _identity(known)]

    @property
    def identities(self) -> set[Identity]:
        """Verdict, kind and key of each defect."""
        return {_identity(each) for each in self.defects}


class Copy:
    """A copy of a project.

    Parameters:
        root: its root directory.
        folder: where the copy is.
        arguments: further arguments for pytest.
        limit: seconds that a session may take; ``None``: it depends on the first one.
    """

    def __init__(self, root: Path, folder: Path, arguments: Sequence[str], limit: float | None = None) -> None:
        self._root = root
        self._folder = folder
        self._arguments = arguments
        self._encodings: dict[str, str] = {}
        self._sessions = 0
        self._limit = limit
        self._suite_limit: float | None = None

    def name(self, path: str) -> str:
        """Return the path below the root of the file that a path names, which may be a symbolic link.

        Raises:
            TrialError: it is no file of the project.
        """
        try:
            return str((self._folder / path).resolve(strict=True).relative_to(self._folder.resolve()))
        except (OSError, ValueError) as error:
            message = f"{path} is no file of the project: {error}"
            raise TrialError(message) from None

    def read(self, path: str) -> str:
        """Return the text of a file, by its path below the root.

        Raises:
            TrialError: it cannot be read.
        """
        try:
            data = (self._folder / path).read_bytes()
            self._encodings[path] = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
            return data.decode(self._encodings[path])  # line endings stay as they are
        except (OSError, UnicodeDecodeError, SyntaxError) as error:
            message = f"{path} cannot be read: {error}"
            raise TrialError(message) from None

    def encoded(self, path: str, text: str) -> bytes:
        """Return the text of a file that was read, in its encoding, which may be one with a byte order mark."""
        return text.encode(self._encodings[path])

    def write(self, path: str, text: str) -> None:
        """Write the text of a file that was read."""
        (self._folder / path).write_bytes(self.encoded(path, text))

    def audit(self, tests: Sequence[str]) -> dict[str, Outcome]:
        """Audit these tests in one session; return what each of them meets.

        Raises:
            TrialError: pytest fails for another reason than a test, or takes far longer than at first.
        """
        report = self._new_file()
        began = time.monotonic()
        arguments = (*_AUDIT, f"--maskcheck-report=json:{report}", *self._arguments, *tests)
        status, output = self._pytest(arguments, self._limit)
        self._limit = self._limit or _longest(began)
        if status not in {0, 1} or not report.exists():
            raise _failed(status, output)
        return {audit.test: _outcome(audit) for audit in reading.read(str(report)).audits}

    def passing(self) -> frozenset[str]:
        """Run the whole suite without audits; return the tests that pass.

        Raises:
            TrialError: pytest fails for another reason than a test, or takes far longer than at first.
        """
        began = time.monotonic()
        passed = self._passing((), self._suite_limit)
        self._suite_limit = self._suite_limit or _longest(began)
        return passed

    def breaks(self, passing: frozenset[str]) -> bool:
        """Return whether one of these tests, which passed without edits, does not pass now."""
        try:
            failing = passing - self.passing()
            if 0 < len(failing) <= _AGAIN:
                failing -= self._passing(sorted(failing), self._suite_limit)
        except TrialError:
            return True
        return bool(failing)

    def _passing(self, tests: Sequence[str], limit: float | None) -> frozenset[str]:
        written = self._new_file()
        environment = {plugin.VARIABLE: str(written)}
        status, output = self._pytest(("-p", plugin.__name__, *self._arguments, *tests), limit, environment)
        if not written.exists():
            raise _failed(status, output)
        return frozenset(json.loads(written.read_bytes()))

    def _new_file(self) -> Path:
        """Return the path of a file that pytest writes in the next session."""
        self._sessions += 1
        return self._folder.parent / f"{self._sessions}.json"

    def _pytest(
        self, arguments: Sequence[str], limit: float | None, environment: Mapping[str, str] | None = None
    ) -> tuple[int | None, list[str]]:
        """Run pytest; return its exit status, ``None`` if it was stopped, and its output."""
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "pytest", *_OPTIONS, *arguments],
                cwd=self._folder,
                env=self._environment() | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                status = process.wait(limit)
            except subprocess.TimeoutExpired:  # an edit made the test wait for ever
                status = None
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            output.seek(0)
            lines = output.read().decode(errors="replace").strip().splitlines()
        return status, lines

    def _environment(self) -> dict[str, str]:
        """Return an environment in which modules come from the copy, even if the project is installed in editable mode."""
        places = [self._root, *map(Path, sys.path), self._root / "src"]
        below = [self._folder / place.relative_to(self._root) for place in places if place.is_relative_to(self._root)]
        given = os.environ.get("PYTHONPATH")
        paths = [*dict.fromkeys(str(place) for place in below if place.is_dir()), *([given] if given else [])]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}


def _identity(shared: SharedDefect) -> Identity:
    return (shared.defect.verdict, shared.defect.kind, shared.defect.key)


def _outcome(audit: Audit) -> Outcome:
    found = over_tests([audit])
    defects = tuple(each for each in found if each.fails)
    listed = frozenset(
        _identity(each) for each in found if not each.fails and each.defect.verdict is not Verdict.IMPLICIT
    )
    decided = {result.point for result in audit.results if not result.reason}
    reached = frozenset((point.path, point.function) for point in audit.points if point.id in decided)
    return Outcome(defects, listed, audit.audited, reached, bool(audit.audited) and not audit.broken)


def _longest(began: float) -> float:
    """Return how many seconds sessions like one that ends now may take."""
    return _LEAST + _SLOWER * (time.monotonic() - began)


def _failed(status: int | None, output: Sequence[str]) -> TrialError:
    """Return an error with the line of pytest's output that says most."""
    ending = "does not end" if status is None else f"ends with exit status {status}"
    lines = [line for line in output if line.strip()]
    telling = [line for line in lines if "error" in line.lower()] or lines
    cause = f": {telling[-1].removeprefix('E ').strip()}" if telling else ""
    return TrialError(f"pytest {ending} in a copy of the project{cause}")


@contextmanager
def copied(root: Path, arguments: Sequence[str], limit: float | None = None) -> Iterator[Copy]:
    """Yield a copy of a project, which is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="maskcheck-cure-") as directory:
        folder = Path(directory) / root.name
        shutil.copytree(root, folder, symlinks=True, ignore=_left_out)
        _redirect_links(root.resolve(), folder)
        yield Copy(root, folder, arguments, limit)


def _left_out(directory: str, names: list[str]) -> set[str]:
    """Return the names in a directory that are not copied."""
    special = {name for name in names if stat.S_IFMT(os.lstat(Path(directory, name)).st_mode) in _CANNOT_COPY}
    return special | {*_NOT_NEEDED(directory, names)}


def _redirect_links(root: Path, folder: Path) -> None:
    """Make absolute links to files of the project lead to those of the copy: an edit must not get into the project through them."""
    for directory, folders, names in os.walk(folder):
        for path in (Path(directory, name) for name in (*folders, *names)):
            if path.is_symlink() and (target := path.readlink()).is_absolute() and target.is_relative_to(root):
                path.unlink()
                path.symlink_to(folder / target.relative_to(root))
