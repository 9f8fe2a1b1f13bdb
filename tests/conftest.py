"""Fixtures that the whole suite shares: inner pytests in processes of their own, and their audits.

An inner pytest loads only the plugins that a test names, with ``-p xdist`` and the like.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import IO

import pytest

from pytest_maskcheck.reasons import Note
from pytest_maskcheck.results import Audit, Defect, Verdict

pytest_plugins = ["pytester"]

_ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
_PLUGIN = ("-p", "pytest_maskcheck.plugin")

LONG = (
    "corpus/test_corpus.py",
    "test_examples.py",
    "corpus/test_defects.py",
    "session/test_interrupted_session.py",
    "session/test_only_changed.py",
    "session/test_changes.py",
    "audit/test_repeats.py",
    "session/test_survey.py",
    "session/test_resume.py",
    "compat/test_coverage.py",
    "audit/test_sharing.py",
    "session/test_progress.py",
    "masking/test_audited.py",
    "audit/test_growth.py",
    "real_signals/test_real_signals.py",
    "session/test_item_kinds.py",
    "audit/test_bounds.py",
    "audit/test_outcomes.py",
    "audit/test_attribution.py",
    "real_signals/test_cures.py",
    "runs/test_hangs.py",
    "session/test_fixtures_own.py",
    "audit/test_patterns.py",
    "test_settings.py",
    "test_recipes.py",
    "resources/test_half_made.py",
    "resources/test_canaries.py",
    "system/test_breakdown.py",
    "runs/test_forward.py",
    "audit/test_first_use.py",
)
"""The files that take longest, in about that order."""

_FRESH = bool(os.environ.get("MASKCHECK_FRESH"))
"""Whether each inner pytest is a new interpreter, as for measuring this suite's coverage; else it is forked, see ``warm.py``."""

_STARTS = {"start", "pytester", "experiment"}
"""Fixtures that start processes and so make a test slow."""

_SLOW_FOLDERS = {"corpus", "compat", "compat/plugins", "real_signals", "soundness"}
_SLOW_FILES = {
    "test_audited.py",
    "test_benchmarks.py",
    "test_bombardment.py",
    "test_browser.py",
    "test_examples.py",
    "test_foreground.py",
    "test_growth.py",
    "test_half_made.py",
    "test_interrupted_session.py",
    "test_merge.py",
    "test_recipes.py",
    "test_runner.py",
    "test_sharing.py",
}
"""Files of slow tests whose fixtures do not show that."""

_SIGNALS_IGNORED_BY_PYTHON = {signal.SIGPIPE, signal.SIGXFSZ}


def pytest_configure() -> None:
    """Set the same process state wherever the suite is started; tests and the processes that they start inherit it.

    ``nohup`` ignores SIGHUP, a shell ignores SIGINT in background jobs, a supervisor may block signals, and a login may
    set any umask. The suite is the only user of this process, so nothing is put back.
    """
    for signum in signal.valid_signals() - _SIGNALS_IGNORED_BY_PYTHON:
        if signal.getsignal(signum) == signal.SIG_IGN:
            signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(0o022)
    # Inner sessions would annotate the commit under test with the defects that they are to find.
    os.environ.pop("GITHUB_ACTIONS", None)


@pytest.hookimpl(wrapper=True)
def pytest_sessionstart() -> Iterator[None]:
    """Block all signals while xdist starts its workers.

    The threads that serve a worker inherit the mask, so that signals reach its main thread alone, as in a process
    without threads; ``pytest_configure`` above unblocks them there.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    try:
        return (yield)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark slow tests; order the files so that xdist workers, which take one file at a time, begin with the longest."""
    for item in items:
        folder, _, file = item.nodeid.partition("::")[0].removeprefix("tests/").rpartition("/")
        if folder in _SLOW_FOLDERS or file in _SLOW_FILES or not _STARTS.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker("slow")
    if hasattr(config, "workerinput"):
        rank = {f"tests/{name}": number for number, name in enumerate(LONG)}
        items.sort(key=lambda item: rank.get(item.nodeid.partition("::")[0], len(rank)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Fail a test after which an exception counts as being handled: it would be the context of all that is raised later."""
    before = sys.exception()
    yield
    assert sys.exception() is before


Run = Callable[..., pytest.RunResult]
"""``run("--maskcheck", "-x")``: run an inner pytest in the directory of ``pytester``."""

AuditSource = Callable[..., "Audited"]
"""``audit(source, "-x")``: write a test file and audit it."""

AuditFolder = Callable[..., "Folder"]
"""``audit_folder({"path": text}, "-x")``: write files into a new folder and audit the tests among them."""

AuditTogether = Callable[..., dict[str, Audit]]
"""``audit_together({"name": source}, {"path": text}, "-s")``: return the audit of the one test of each source, by name."""


Start = Callable[..., int]
"""``start(arguments, directory=..., environment=..., stdout=..., stderr=...)``: run an inner pytest and return its exit code."""


@dataclass(frozen=True)
class Audited:
    """The result of an inner pytest that audited, and its audits."""

    result: pytest.RunResult
    audits: list[Audit]

    @property
    def audit(self) -> Audit:
        """The only audit."""
        (audit,) = self.audits
        return audit

    @property
    def defect(self) -> Defect:
        """The only defect of the only audit."""
        (defect,) = self.audit.defects
        return defect


@dataclass(frozen=True)
class Folder:
    """A folder with the tests of an inner pytest, its output, and its audits."""

    path: Path
    output: str
    audits: list[Audit]


@pytest.fixture(scope="session")
def start() -> Iterator[Start]:
    """Return a function that runs inner pytests: forked from a process that is kept warm, or in a new interpreter if need be."""
    ours = _inherited(os.environ)
    here, there = socket.socketpair()
    warm: list[subprocess.Popen[bytes]] = []

    def start(
        arguments: Sequence[str],
        *,
        directory: Path,
        environment: Mapping[str, str],
        stdout: int,
        stderr: int,
        stdin: int | None = None,
        fresh: bool = _FRESH,
    ) -> int:
        if fresh or _inherited(environment) != ours:
            command = [sys.executable, "-m", "pytest", *arguments]
            streams = {"stdin": subprocess.DEVNULL if stdin is None else stdin, "stdout": stdout, "stderr": stderr}
            return subprocess.run(command, cwd=directory, env=environment, check=False, **streams).returncode
        if not warm:
            warm.append(subprocess.Popen([sys.executable, "-P", Path(__file__).with_name("warm.py")], stdin=there))
        request = {"directory": str(directory), "environment": dict(environment), "arguments": [*arguments]}
        with open(os.devnull, "rb") as nothing:
            streams = [nothing.fileno() if stdin is None else stdin, stdout, stderr]
            socket.send_fds(here, [json.dumps(request).encode()], streams)
        return int(here.recv(16))

    yield start
    here.shutdown(socket.SHUT_RDWR)  # a process that a failed test left behind may have the socket, too
    here.close()
    there.close()
    for process in warm:
        process.wait()


def _inherited(environment: Mapping[str, str]) -> object:
    """Return the part of its surroundings that a new interpreter reads at its start, and a forked one does not."""
    ignored = {each for each in signal.valid_signals() if signal.getsignal(each) == signal.SIG_IGN}
    variables = {name: value for name, value in environment.items() if name.startswith("PYTHON")}
    return variables, ignored, signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, start: Start) -> Run:
    """Return a function that runs an inner pytest with this plugin, by default without the cache; ``fresh`` is for a new interpreter."""
    for name, value in _ALONE.items():
        monkeypatch.setenv(name, value)

    def run(*args: str, cache: bool = False, stdin: bytes = b"", fresh: bool = _FRESH) -> pytest.RunResult:
        plugins = _PLUGIN if cache else (*_PLUGIN, "-p", "no:cacheprovider")
        began = time.perf_counter()
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            given.write(stdin)
            given.seek(0)
            code = start(
                [*plugins, *args],
                directory=Path.cwd(),
                environment=os.environ,
                stdin=given.fileno(),
                stdout=out.fileno(),
                stderr=err.fileno(),
                fresh=fresh,
            )
            output, errors = map(_lines, (out, err))
        print(*output, sep="\n")
        print(*errors, sep="\n", file=sys.stderr)
        return pytest.RunResult(code, output, errors, time.perf_counter() - began)

    return run


def _lines(file: IO[bytes]) -> list[str]:
    file.seek(0)
    return file.read().decode(errors="replace").splitlines()


@pytest.fixture
def audit(pytester: pytest.Pytester, run: Run) -> AuditSource:
    """Return a function that audits the tests of a source."""

    def audit(source: str, *args: str) -> Audited:
        pytester.makepyfile(dedent(source))
        report = pytester.path / "report.json"
        report.unlink(missing_ok=True)
        result = run("-v", "--maskcheck", f"--maskcheck-report=json:{report}", *args)
        return Audited(result, read_audits(report))

    return audit


@pytest.fixture(scope="session")
def audit_folder(tmp_path_factory: pytest.TempPathFactory, start: Start) -> AuditFolder:
    """Return a function that writes files into a new folder and audits the tests among them."""

    def audit_folder(files: Mapping[str, str], *args: str) -> Folder:
        place = tmp_path_factory.mktemp("folder")
        for name, text in {"pytest.ini": "[pytest]\n", **files}.items():
            path = place / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(dedent(text), encoding="utf-8")
        arguments = [*_PLUGIN, "-p", "no:cacheprovider", "--maskcheck", "--maskcheck-report=json:report.json", *args]
        environment = {**os.environ, **_ALONE}
        with tempfile.TemporaryFile() as out:
            # Not sys.stderr: while pytest captures, that has no descriptor that a process could inherit.
            streams = {"stdout": out.fileno(), "stderr": sys.__stderr__.fileno()}
            start(arguments, directory=place, environment=environment, **streams)
            output = "\n".join(_lines(out))
        return Folder(place, output, read_audits(place / "report.json"))

    return audit_folder


@pytest.fixture(scope="session")
def audit_together(audit_folder: AuditFolder) -> AuditTogether:
    """Return a function that audits many sources with one test each in one inner pytest, with further files beside them."""

    def audit_together(
        sources: Mapping[str, str], files: Mapping[str, str] | None = None, *args: str
    ) -> dict[str, Audit]:
        tests = {f"test_{name}.py": source for name, source in sources.items()}
        audits = audit_folder({**tests, **(files or {})}, *args).audits
        return {audit.test.partition("::")[0].removeprefix("test_").removesuffix(".py"): audit for audit in audits}

    return audit_together


@pytest.fixture
def module_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Return a function that imports a source as the module ``kept``, from the file ``kept.py``."""

    def module_of(source: str) -> ModuleType:
        module = ModuleType("kept")
        module.__file__ = "kept.py"
        monkeypatch.setitem(sys.modules, "kept", module)
        exec(dedent(source), vars(module))
        return module

    return module_of


@pytest.fixture(scope="session")
def results_of() -> Callable[[Audit], dict[str, tuple[object, str]]]:
    """Return a function that returns the findings and the reason at each point of an audit, in a form that does not depend on the run."""

    def results_of(audit: Audit) -> dict[str, tuple[object, str]]:
        return {
            result.point: (sorted((*finding.identity, finding.fails) for finding in result.findings), result.reason)
            for result in audit.results
        }

    return results_of


@pytest.fixture(scope="session")
def announced() -> Callable[[Audit], set[tuple[int, str]]]:
    """Return a function that returns the findings that the comments of an audited program announce.

    ``leak@call`` announces that an interrupt at a call on that line leads to a leak; ``(implicit@call)`` is only listed.
    """
    pattern = re.compile(r"(\()?\b(\w+@(?:entry|call|jump))\b")

    def announced(audit: Audit) -> set[tuple[int, str]]:
        lines = Path(audit.points[0].file).read_text(encoding="utf-8").splitlines()
        return {
            (number, f"({match[2]})" if match[1] else match[2])
            for number, text in enumerate(lines, 1)
            for match in pattern.finditer(text.partition("#")[2])
        }

    return announced


@pytest.fixture(scope="session")
def found() -> Callable[[Audit], set[tuple[int, str]]]:
    """Return a function that returns the findings of an audit in scope, in the form of ``announced``, without those of the interpreter.

    Findings of interrupts in code out of scope are tested in ``test_calls_out_of_scope.py`` and announced in the corpus.
    """

    def found(audit: Audit) -> set[tuple[int, str]]:
        return {
            (point.line, f"{defect.verdict}@{point.kind}" if defect.fails else f"({defect.verdict}@{point.kind})")
            for defect in audit.defects
            for point in defect.points
            if defect.verdict is not Verdict.INTERPRETER and point.kind not in {"into", "back"}
        }

    return found


@pytest.fixture(scope="module")
def experiment(request: pytest.FixtureRequest) -> ModuleType:
    """The ``experiment.py`` beside the test file, which is also a program of its own, as a module."""
    path = request.path.with_name("experiment.py")
    name = f"maskcheck_{path.parent.name}_experiment"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def read_audits(report: Path) -> list[Audit]:
    """Return the audits of a JSON report, or none if it was not written; assert that each reason in it has a code."""
    if not report.exists():
        return []
    data = json.loads(report.read_text(encoding="utf-8"))["audits"]
    for audit in data:
        without = [text for text, described in audit["codes"].items() if described["code"] == Note.OTHER]
        without += [
            each["reason"] or each["note"] for each in audit["results"] if Note.OTHER in (each["code"], *each["codes"])
        ]
        assert not without
    return [Audit.from_json(audit) for audit in data]


def start_apart(folder: Path, *options: str, **own: str) -> subprocess.Popen[str]:
    """Start pytest with this plugin in a folder, in an interpreter of its own.

    Parameters:
        folder: the current directory of pytest.
        options: besides those that all inner pytests of this suite have.
        own: environment variables.

    Returns:
        The process, which writes output and errors to one pipe.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *_PLUGIN, "-p", "no:cacheprovider", *options],
        cwd=folder,
        env={**os.environ, **_ALONE, **own},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
