"""Measure what an audit of the whole test suite of a real project costs, compared with the suite itself.

Run ``python benchmarks/suites.py``. It downloads the projects' source distributions, whose contents are pinned, and runs their suites in
a new environment; ``README.md`` beside this file explains the phases. A phase that does not end within ``--seconds`` is interrupted, as by
Ctrl-C, and the table says how far it came.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from machine import add_options, check, load_text, progress, shown, table, title, write
from place import REPOSITORY, environment, environment_for_measuring
from tree import Ran, run

REQUIREMENTS = ("pytest==9.2.0", "coverage==7.17.5", "click==8.5.1", "pyyaml==6.0.4", "sh==2.4.0")
"""What the suites need, pinned. pyyaml: a storage in the tests of tinydb. click, sh: the command of python-dotenv, and its tests."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of one function: a statement that does nothing is added in front of one of its lines.

    Parameters:
        file: the file.
        function: the name of the function, as defined in it once or first.
        line: the line, without its indentation; the first one in the function counts.
    """

    file: str
    function: str
    line: str

    def make(self, folder: Path) -> None:
        """Make the change.

        Raises:
            ValueError: there is no such line.
        """
        path = folder / self.file
        head, found, tail = path.read_text(encoding="utf-8").partition(f"def {self.function}(")
        before, line, after = tail.partition(self.line)
        if not (found and line):
            message = f"{path} has no {self.line!r} in {self.function}"
            raise ValueError(message)
        indentation = before[before.rindex("\n") + 1 :]
        path.write_text(f"{head}{found}{before}pass\n{indentation}{line}{after}", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Suite:
    """The test suite of a project.

    Parameters:
        name: the project.
        version: its version.
        digest: SHA-256 of its source distribution.
        edit: the change of the last phases.
        arguments: for pytest.
        settings: lines of a ``pytest.ini``, which replaces the project's own settings; empty: these are used.
        why: why they are replaced, or what is left out.
    """

    name: str
    version: str
    digest: str
    edit: Edit
    arguments: tuple[str, ...] = ("tests",)
    settings: str = ""
    why: str = ""


SUITES = (
    Suite(
        "cachetools",
        "6.2.1",
        "3f391e4bd8f8bf0931169baf7456cc822705f4e2a31f840d218f445b9a854201",
        Edit("src/cachetools/__init__.py", "popitem", "try:"),
    ),
    Suite(
        "tinydb",
        "4.8.2",
        "f7dfc39b8d7fda7a1ca62a8dbb449ffd340a117c1206b68c50b1a481fb95181d",
        Edit("tinydb/table.py", "insert", "if not isinstance(document, Mapping):"),
    ),
    Suite(
        "python-dotenv",
        "1.2.1",
        "42667e897e16ab0d66954af0e60a9caa94f0fd4ecf3aaf6d2d260eec1aa36ad6",
        Edit("src/dotenv/parser.py", "read", "if len(result) < count:"),
        (
            "tests",
            "--deselect=tests/test_main.py::test_set_key_permission_error",
            "--deselect=tests/test_main.py::test_set_key_unauthorized_file",
        ),
        why="without two tests that fail for root, who may read any file",
    ),
    Suite(
        "h11",
        "0.16.0",
        "4e35b956cf45792e4caa5885e69fba00bdbc6ffafbfa020300e549b208ee5ff1",
        Edit("h11/_util.py", "bytesify", "if isinstance(s, str):"),
        ("h11/tests",),
    ),
    Suite(
        "portalocker",
        "3.2.0",
        "1f3002956a54a8c3730586c5c77bf18fae4149e07eaf1c29fc3faf4d5a3f89ac",
        Edit("portalocker/utils.py", "_get_lock", "portalocker.lock("),
        (
            "portalocker_tests",
            "--ignore=portalocker_tests/test_redis.py",
            "--ignore=portalocker_tests/test_redis_random_sleep.py",
        ),
        "[pytest]\npython_files = portalocker_tests/*.py\n",
        "without its options for pytest-cov and pytest-timeout; without the tests that need a server of redis",
    ),
)

AUDIT = ("--maskcheck-all",)
DEPTH = "--maskcheck-depth=lines"
CHANGED = "--maskcheck-changed"
SINCE = "--maskcheck-since"


@dataclass(frozen=True, slots=True)
class Phase:
    """One of the commands that are measured, in this order, in one folder.

    Parameters:
        name: its name.
        arguments: for pytest.
        needs: the option that pytest must have.
        edited: the function is edited before.
        reports: the results are written to a file, which says how far the phase came. Results of an earlier session need not be read
            in full if no file is wanted, so phases that use them write none.
    """

    name: str
    arguments: tuple[str, ...] = ()
    needs: str = ""
    edited: bool = False
    reports: bool = True


PLAIN = Phase("plain")
PHASES = (
    PLAIN,
    Phase("lines", (*AUDIT, DEPTH), DEPTH.partition("=")[0]),
    Phase("whole", AUDIT),
    Phase("again", (*AUDIT, CHANGED), CHANGED, reports=False),
    Phase("edited", (*AUDIT, CHANGED), CHANGED, edited=True, reports=False),
    Phase("since", (*AUDIT, f"{SINCE}=HEAD"), SINCE, edited=True),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of a phase.

    Parameters:
        ran: the command.
        collected: how many tests the suite has.
        tests: how many of them were audited; -1 if that is not known.
        points: at how many points.
        untouched: how many tests were not to be audited.
    """

    ran: Ran
    collected: int
    tests: int
    points: int
    untouched: int

    def how_far(self) -> str:
        """Return what was audited, and whether the phase ended."""
        end = "" if self.ran.in_time else f"not ended after {self.ran.wall:.0f} s: "
        if self.tests < 0:
            return f"{end}not known" if end else f"{self.collected} tests run"
        left = f"; {self.untouched} tests not touched" if self.untouched else ""
        return f"{end}{self.tests} of {self.collected} tests at {self.points} points{left}"


@dataclass(frozen=True, slots=True)
class Bench:
    """Where suites are measured.

    Parameters:
        folder: for the source distributions.
        python: the interpreter of the environment.
        options: those that pytest has, as ``--help`` shows them.
        limit: the seconds that a phase may take.
        phases: what is measured.
    """

    folder: Path
    python: str
    options: str
    limit: float
    phases: tuple[Phase, ...]

    def measure(self, suite: Suite, say: Callable[[str], None]) -> dict[str, Measured]:
        """Measure all phases of a suite once, in a new folder; return them by name, without those that need an option that is missing."""
        place = self.folder / "run"
        shutil.copytree(self.folder / "sources" / suite.name, place)
        try:
            install(self.python, place)
            if suite.settings:
                (place / "pytest.ini").write_text(suite.settings, encoding="utf-8")
            commit(place)
            self._run(suite, place, PLAIN, 0)  # compiles the files
            listed = run(
                [self.python, "-m", "pytest", "--co", "-q", *suite.arguments], place, environment_for_measuring()
            )
            collected = sum("::" in line for line in listed.output.splitlines())
            found, edited = {}, False
            for phase in self.phases:
                if phase.needs not in self.options:
                    continue
                say(f"{suite.name}: {phase.name}")
                if phase.edited and not edited:
                    suite.edit.make(place)
                    edited = True
                found[phase.name] = self._run(suite, place, phase, collected)
            return found
        finally:
            shutil.rmtree(place)

    def _run(self, suite: Suite, place: Path, phase: Phase, collected: int) -> Measured:
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        limit = None if phase is PLAIN else self.limit  # the others are compared with it
        arguments = [*suite.arguments, *phase.arguments]
        arguments += [f"--maskcheck-report=json:{report}"] if phase.arguments and phase.reports else []
        ran = run([self.python, "-m", "pytest", "-q", *arguments], place, environment_for_measuring(), limit=limit)
        # 1: an audit found a defect; 2: interrupted, or the time was up.
        if ran.status not in ({0, 1, 2, -2} if phase.arguments else {0}) and ran.in_time:
            message = f"{suite.name}, {phase.name}: exit status {ran.status}\n{ran.output}"
            raise RuntimeError(message)
        if not report.exists():
            return Measured(ran, collected, -1, 0, 0)
        audits = json.loads(report.read_text(encoding="utf-8"))["audits"]
        points = [sum(1 for result in audit["results"] if not result["reason"]) for audit in audits]
        untouched = sum("reaches no line changed" in audit["refused"] for audit in audits)
        return Measured(ran, collected, sum(1 for number in points if number), sum(points), untouched)


HEAD = ("suite", "phase", "processor", "x plain", "wall", "x plain", "audited", "note")


def rows(suite: Suite, rounds: list[dict[str, Measured]], phases: tuple[Phase, ...]) -> list[tuple[str, ...]]:
    """Return the rows of the table for one suite: medians over rounds."""

    def median(phase: str, side: str) -> float:
        return statistics.median(getattr(each[phase].ran, side) for each in rounds)

    lines = []
    for phase in phases:
        label = (f"{suite.name} {suite.version}", phase.name)
        if phase.name not in rounds[0]:
            lines.append((*label, "", "", "", "", "", f"there is no {phase.needs}"))
            continue
        times = []
        # Of the rounds, the one that came least far.
        least = min((each[phase.name] for each in rounds), key=lambda each: (each.ran.in_time, each.points))
        more = "" if least.ran.in_time else "over "
        for side in ("processor", "wall"):
            seconds = median(phase.name, side)
            times += [f"{more}{shown(seconds)}", f"{more}{seconds / median(PLAIN.name, side):.3g}"]
        lines.append((*label, *times, least.how_far(), suite.why if phase is PLAIN else ""))
    return lines


def fetch(suites: list[Suite], folder: Path) -> None:
    """Download and unpack the source distributions, whose contents are checked."""
    wanted = folder / "wanted.txt"
    wanted.write_text("".join(f"{suite.name}=={suite.version} --hash=sha256:{suite.digest}\n" for suite in suites))
    command = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--no-deps"]
    command += [
        "--no-binary=:all:",
        "--require-hashes",
        "--dest",
        str(folder / "archives"),
        "--requirement",
        str(wanted),
    ]
    subprocess.run(command, check=True)
    for suite in suites:
        name = f"{suite.name.replace('-', '_')}-{suite.version}"
        with tarfile.open(folder / "archives" / f"{name}.tar.gz") as archive:
            archive.extractall(folder / "unpacked", filter="data")
        (folder / "sources").mkdir(exist_ok=True)
        (folder / "unpacked" / name).rename(folder / "sources" / suite.name)


def install(python: str, place: Path) -> None:
    """Install a project where it is unpacked, so that its edited files are those that run."""
    command = [
        python,
        "-m",
        "pip",
        "install",
        "-qq",
        "--disable-pip-version-check",
        "--no-deps",
        "--editable",
        str(place),
    ]
    subprocess.run(command, check=True)


def commit(place: Path) -> None:
    """Put a folder into a repository of its own, if there is git."""
    if shutil.which("git") is None:
        return
    (place / ".gitignore").write_text("*.pyc\n__pycache__\n*.egg-info\n.pytest_cache\n")
    who = ("-c", "user.name=benchmarks", "-c", "user.email=benchmarks@localhost", "-c", "commit.gpgSign=false")
    for arguments in (("init", "-q"), ("add", "-A"), (*who, "commit", "-qm", "as released")):
        subprocess.run(["git", *arguments], cwd=place, check=True)


def main() -> None:
    """Measure, print the results, and write them if ``--write`` is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, rounds=1)
    names = [suite.name for suite in SUITES]
    parser.add_argument(
        "--suite", action="append", metavar="NAME", choices=names, help=f"only this: {', '.join(names)}"
    )
    parser.add_argument(
        "--seconds", type=float, default=600, metavar="N", help="seconds that a phase may take (default 600)"
    )
    choices = [phase.name for phase in PHASES[1:]]
    parser.add_argument("--phase", action="append", metavar="NAME", choices=choices, help="only this beside plain")
    given = parser.parse_args()
    if given.seconds <= 0:
        parser.error("--seconds must be above 0")
    load, began = check(parser, given), time.perf_counter()
    print(load_text(load))
    chosen = [suite for suite in SUITES if not given.suite or suite.name in given.suite]
    phases = tuple(phase for phase in PHASES if phase is PLAIN or not given.phase or phase.name in given.phase)
    with TemporaryDirectory(prefix="maskcheck-suites-") as name:
        folder = Path(name)
        fetch(chosen, folder)
        python = environment(folder / "environment", *REQUIREMENTS, str(REPOSITORY))
        options = subprocess.run(
            [python, "-m", "pytest", "--help"], cwd=folder, stdout=subprocess.PIPE, text=True, check=True
        ).stdout
        bench = Bench(folder, python, options, given.seconds, phases)
        found = {}
        for suite in chosen:
            try:
                found[suite] = [bench.measure(suite, progress) for _ in range(given.rounds)]
            except (
                RuntimeError,
                subprocess.CalledProcessError,
            ) as error:  # the figures of the others are still worth something
                print(f"{suite.name} could not be measured: {error}", file=sys.stderr)
    progress("")
    lines = [line for suite, several in found.items() for line in rows(suite, several, phases)]
    text = results(lines, given.rounds, load, given.seconds, time.perf_counter() - began)
    print(text)
    if given.write:
        write(text, "-suites")


def results(lines: list[tuple[str, ...]], rounds: int, load: float, limit: float, seconds: float) -> str:
    """Return the text of a results file."""
    head = (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} by `python benchmarks/suites.py` in {seconds / 60:.0f} minutes; times are medians "
        f"of the rounds, of which there were {rounds}. {load_text(load)} A phase was interrupted after {limit:g} s. What each phase "
        "is: `benchmarks/README.md`."
    )
    return "\n".join([f"# {title()}", "", head, "", *table(HEAD, *lines), ""])


if __name__ == "__main__":
    main()
