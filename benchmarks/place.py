"""The environment of the measurements of ``run.py``: interpreters, a folder for tests, and pytest as a user runs it."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[1]
PLUGIN = "pytest_maskcheck.plugin"


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

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command that must succeed.

        Raises:
            RuntimeError: it failed; the message has its output.
        """
        # Settings of an outer Python, pytest or coverage would change what is measured.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "COV"))}
        if self.load:
            kept |= {"PYTHONPATH": str(REPOSITORY), "PYTHONPYCACHEPREFIX": str(self.folder / "pycache")}
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=kept,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode not in {0, 5}:  # 5: pytest collected nothing, as from an empty file
            message = f"{' '.join(command)}\nexit status {done.returncode}\n{done.stdout}"
            raise RuntimeError(message)
        return done

    def pytest(self, *arguments: str) -> float:
        """Run pytest as a command, and return the wall-clock seconds from start to end."""
        begin = time.perf_counter()
        self.run(self.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *self.load, *arguments)
        return time.perf_counter() - begin

    def processor(self, *arguments: str, python: str = "") -> float:
        """Run pytest as a command, and return its processor seconds, which other processes disturb less."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.run(python or self.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def audit(self, *arguments: str) -> float:
        """Audit all points, and return the wall-clock seconds from start to end."""
        return self.pytest("--maskcheck", "--maskcheck-max-points=1000000", *arguments)

    def points(self, *arguments: str) -> int:
        """Return the number of points that an audit with these arguments audits.

        Raises:
            RuntimeError: a point was not audited, or the test was refused.
        """
        report = self.folder / "report.json"
        self.audit(*arguments, f"--maskcheck-report=json:{report}")
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
        if option not in self.run(self.python, "-m", "pytest", *self.load, "--help").stdout:
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


def environment(folder: Path, *packages: str) -> str:
    """Return the interpreter of a new virtual environment that has these packages."""
    print(f"making an environment with {', '.join(packages)}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *packages], check=True)
    return python
