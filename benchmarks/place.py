"""The environment of the measurements of ``run.py``: interpreters, a folder for tests, and pytest as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tree import Ran, run

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[1]
PLUGIN = "pytest_maskcheck.plugin"
AUDIT = ("--maskcheck", "--maskcheck-max-points=1000000")


class NotAvailableError(Exception):
    """A figure cannot be measured here."""


@dataclass(frozen=True, slots=True)
class Place:
    """Interpreters and a folder.

    Parameters:
        folder: the folder where tests are written.
        python: an interpreter with the package, pytest-repeat and pytest-xdist.
        bare: an interpreter with the same packages but this one, or ``""``.
        load: arguments that make pytest load the plugin; empty if the package is installed.
        quick: whether sizes are a twentieth, to check that everything works, not to measure.
        words: a description for the report.
    """

    folder: Path
    python: str
    bare: str
    load: tuple[str, ...]
    quick: bool
    words: str

    def size(self, number: int) -> int:
        """Return a size, reduced if ``quick``."""
        return max(2, number // 20) if self.quick else number

    def write(self, name: str, source: str) -> str:
        """Write a file, and return its name."""
        (self.folder / name).write_text(source, encoding="utf-8")
        return name

    def run(self, *command: str) -> Ran:
        """Run a command that must succeed.

        Raises:
            RuntimeError: it failed; the message has its output.
        """
        kept = environment_for_measuring()
        if self.load:
            kept |= {"PYTHONPATH": str(REPOSITORY), "PYTHONPYCACHEPREFIX": str(self.folder / "pycache")}
        ran = run(command, self.folder, kept)
        if ran.status not in {0, 5}:  # 5: pytest collected nothing, as from an empty file
            message = f"{' '.join(command)}\nexit status {ran.status}\n{ran.output}"
            raise RuntimeError(message)
        return ran

    def pytest(self, *arguments: str, python: str = "") -> Ran:
        """Run pytest as a command."""
        return self.run(python or self.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *self.load, *arguments)

    def processor(self, *arguments: str, python: str = "") -> float:
        """Run pytest as a command, and return the processor seconds of its processes, which others disturb less."""
        return self.pytest(*arguments, python=python).processor

    def audit(self, *arguments: str) -> float:
        """Audit all points, and return the processor seconds."""
        return self.pytest(*AUDIT, *arguments).processor

    def audit_wall(self, *arguments: str) -> float:
        """Audit all points, and return the seconds from start to end: for what runs in several processes at a time."""
        return self.pytest(*AUDIT, *arguments).wall

    def points(self, *arguments: str) -> int:
        """Return the number of points that an audit with these arguments audits.

        Raises:
            RuntimeError: a point was not audited, or the test was refused.
        """
        report = self.folder / "report.json"
        self.pytest(*AUDIT, *arguments, f"--maskcheck-report=json:{report}")
        (audit,) = json.loads(report.read_text(encoding="utf-8"))["audits"]
        unproven = [result for result in audit["results"] if result["reason"]]
        if unproven or audit["refused"]:
            message = f"{audit['test']}: {audit['refused'] or unproven[0]}"
            raise RuntimeError(message)
        return len(audit["results"])

    def require(self, option: str) -> None:
        """Require that pytest has an option.

        Raises:
            NotAvailableError: it has not.
        """
        if option not in self.run(self.python, "-m", "pytest", *self.load, "--help").output:
            message = f"there is no {option} yet"
            raise NotAvailableError(message)


@contextmanager
def place(*, here: bool, quick: bool) -> Iterator[Place]:
    """Make a place, and remove it at the end.

    Parameters:
        here: whether to measure in the environment of this interpreter instead of new ones.
        quick: see :class:`Place`.
    """
    with TemporaryDirectory(prefix="maskcheck-benchmarks-") as name:
        tests = Path(name, "tests")
        tests.mkdir()
        (tests / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        if here:
            installed = any(entry.value == PLUGIN for entry in entry_points(group="pytest11"))
            load = () if installed else ("-p", PLUGIN)
            yield Place(tests, sys.executable, "", load, quick, "the environment of this interpreter")
        else:
            with open(REPOSITORY / "pyproject.toml", "rb") as file:
                others = tomllib.load(file)["dependency-groups"]["benchmarks"]
            bare = environment(Path(name, "bare"), *others)
            python = environment(Path(name, "full"), *others, str(REPOSITORY))
            yield Place(tests, python, bare, (), quick, "new environments with the package installed")


def environment_for_measuring() -> dict[str, str]:
    """Return the variables of this process, without settings of an outer Python, pytest or coverage: they would change what is measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "COV"))}


def environment(folder: Path, *packages: str) -> str:
    """Return the interpreter of a new virtual environment that has these packages."""
    print(f"making an environment with {', '.join(packages)}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *packages], check=True)
    return python
