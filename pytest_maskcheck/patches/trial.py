"""Tries edits on a copy of the project: audits the tests that meet a defect again, and compares."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_maskcheck.reports import reading
from pytest_maskcheck.results import over_tests

if TYPE_CHECKING:
    from pytest_maskcheck.results import SharedDefect

_LEFT_OUT = shutil.ignore_patterns(
    ".*_cache", ".git", ".hg", ".nox", ".tox", ".venv", "__pycache__", "node_modules", "venv", "*.pyc"
)
"""What is not copied: it is large, and no test needs it."""

_TAIL = 20
"""Lines of pytest's output that a message shows."""

Identity = tuple[str, str, str]


class TrialError(Exception):
    """The tests cannot be audited in the copy; the message says why."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an audit in the copy found.

    Parameters:
        defects: those that make a test fail.
        points: the number of points where an interrupt was delivered.
        sound: each test passed by itself, and was audited.
    """

    defects: tuple[SharedDefect, ...]
    points: int
    sound: bool

    @property
    def identities(self) -> set[Identity]:
        """Verdict, kind and key of each defect."""
        return {(each.defect.verdict, each.defect.kind, each.defect.key) for each in self.defects}


class Copy:
    """A copy of a project.

    Parameters:
        root: its root directory.
        folder: where the copy is.
        arguments: further arguments for pytest.
    """

    def __init__(self, root: Path, folder: Path, arguments: Sequence[str]) -> None:
        self._root = root
        self._folder = folder
        self._arguments = arguments
        self._audits = 0

    def read(self, path: str) -> str:
        """Return the text of a file, by its path below the root.

        Raises:
            TrialError: it cannot be read.
        """
        try:
            return (self._folder / path).read_bytes().decode()  # line endings stay as they are
        except (OSError, UnicodeDecodeError) as error:
            message = f"{path} cannot be read: {error}"
            raise TrialError(message) from None

    def write(self, path: str, text: str) -> None:
        """Write the text of a file."""
        (self._folder / path).write_bytes(text.encode())

    def audit(self, tests: Sequence[str]) -> Outcome:
        """Audit these tests.

        Raises:
            TrialError: pytest fails for another reason than a test.
        """
        self._audits += 1
        report = self._folder.parent / f"{self._audits}.json"
        command = [sys.executable, "-P", "-m", "pytest", "-q", "--maskcheck-all", f"--maskcheck-report=json:{report}"]
        done = subprocess.run(
            [*command, "-p", "no:cacheprovider", *self._arguments, *tests],
            cwd=self._folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode not in {0, 1} or not report.exists():
            lines = (done.stdout + done.stderr).strip().splitlines()[-_TAIL:]
            message = f"pytest ends with exit status {done.returncode} in a copy of the project:\n" + "\n".join(lines)
            raise TrialError(message)
        audits = reading.read(str(report)).audits
        sound = len(audits) == len(tests) and all(each.audited and not each.broken for each in audits)
        defects = tuple(each for each in over_tests(audits) if each.fails)
        return Outcome(defects, sum(each.audited for each in audits), sound)

    def _environment(self) -> dict[str, str]:
        """Return an environment in which modules come from the copy, even if the project is installed in editable mode."""
        places = [self._root, *map(Path, sys.path), self._root / "src"]
        below = [self._folder / place.relative_to(self._root) for place in places if place.is_relative_to(self._root)]
        given = os.environ.get("PYTHONPATH")
        paths = [*dict.fromkeys(str(place) for place in below if place.is_dir()), *([given] if given else [])]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}


@contextmanager
def copied(root: Path, arguments: Sequence[str]) -> Iterator[Copy]:
    """Yield a copy of a project, which is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="maskcheck-cure-") as directory:
        folder = Path(directory) / root.name
        shutil.copytree(root, folder, symlinks=True, ignore=_LEFT_OUT)
        yield Copy(root, folder, arguments)
