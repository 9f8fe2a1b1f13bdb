"""Clean-up coverage: the lines that run only because of an interrupt, in a session and in a data file of coverage.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from coverage import CoverageData

if TYPE_CHECKING:
    from tests.conftest import Run

NOTES = sys.version_info >= (3, 12)
notes = pytest.mark.skipif(not NOTES, reason="nothing can watch which lines run")

TIDY = """\
LOG = []


class Session:
    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None:
            self.rollback()
        LOG.clear()

    def rollback(self):
        LOG.append("rollback")


def work():
    with Session():
        abs(-1)
    try:
        abs(-2)
    except BaseException:
        abs(-3)
        raise
    finally:
        LOG.clear()
    if LOG:
        LOG.clear()
    return 2


def clauses():
    try:
        abs(-5)
    except ValueError:
        abs(-6)
    except KeyboardInterrupt:
        raise


def other(way):
    try:
        abs(-4)
    except BaseException:
        raise
    if way:
        skip = "never"  # pragma: no cover
        return skip
    return 1
"""
TESTS = """
import tidy

def test_work():
    assert tidy.work() == 2

def test_other():
    tidy.clauses()
    assert tidy.other(0) == 1
"""
CLEANUP = {10, 14, 22, 23, 24, 37, 38, 44, 45}
"""The lines of the except clauses that match, and those that `__exit__` has for errors only."""

ALL = ("--maskcheck-all", "-q", "-p", "no:cacheprovider")


@pytest.fixture(autouse=True)
def project(pytester: pytest.Pytester) -> None:
    """Write the project."""
    pytester.makepyfile(tidy=TIDY, test_tidy=TESTS)


def files() -> dict[str, Any]:
    """Return the figures in the report."""
    found: dict[str, Any] = json.loads(Path("report.json").read_bytes())["files"]
    return found


def lines(text: str) -> set[int]:
    """Return the lines in short form as numbers."""
    spans = (each.partition("-") for each in text.split(",") if each)
    return {line for first, _, last in spans for line in range(int(first), int(last or first) + 1)}


@notes
@pytest.mark.parametrize("strategy", ["rerun", "snapshot"])
@pytest.mark.parametrize("isolation", ["fork", "none"])
def test_lines_that_run_only_because_of_an_interrupt(run: Run, strategy: str, isolation: str) -> None:
    """Lines of except clauses and of what ``__exit__`` calls are recorded; those that run anyway, and those that never run, are not."""
    if (strategy, isolation) == ("snapshot", "none"):
        pytest.skip("snapshots need processes")
    run(
        *ALL,
        "--maskcheck-cleanup",
        "--maskcheck-report=json:report.json",
        f"--maskcheck-strategy={strategy}",
        f"--maskcheck-isolation={isolation}",
        fresh=True,
    )
    assert lines(files()["tidy.py"]["cleanup"]) == CLEANUP
    assert files()["test_tidy.py"]["cleanup"] == ""


@pytest.mark.skipif(NOTES, reason="lines can be watched")
def test_lines_are_unknown_where_nothing_can_watch_them(run: Run) -> None:
    """Before CPython 3.12, the lines are unknown, and everything else is reported as usual."""
    run(*ALL, "--maskcheck-report=coverage:it.coverage", "--maskcheck-report=json:report.json", fresh=True)
    assert files()["tidy.py"]["cleanup"] is None
    assert contexts("it.coverage")["maskcheck: interrupted, clean"]


def test_lines_are_recorded_only_if_wanted(run: Run) -> None:
    """Without the option or a report that needs it, the lines are unknown."""
    run(*ALL, "--maskcheck-report=json:report.json", fresh=True)
    assert files()["tidy.py"]["cleanup"] is None


@notes
def test_a_setting_in_the_file_records_them(pytester: pytest.Pytester, run: Run) -> None:
    """The lines are also recorded if the configuration file says so."""
    pytester.makeini("[pytest]\nmaskcheck_cleanup = true\n")
    run(*ALL, "--maskcheck-report=json:report.json", fresh=True)
    assert lines(files()["tidy.py"]["cleanup"]) == CLEANUP


@notes
def test_findings_are_the_same_with_and_without(pytester: pytest.Pytester, run: Run) -> None:
    """Recording changes neither points nor findings."""
    pytester.makepyfile(
        tidy=TIDY + "\n\nimport threading\nLOCK = threading.Lock()\n\n\ndef leak():\n    LOCK.acquire()\n    try:\n"
        "        abs(1)\n    except ValueError:\n        pass\n    LOCK.release()\n",
        test_tidy=TESTS + "\ndef test_leak():\n    tidy.leak()\n",
    )
    found = []
    for more in ((), ("--maskcheck-cleanup",)):
        run(*ALL, "--maskcheck-report=json:report.json", *more, fresh=True)
        audits = json.loads(Path("report.json").read_bytes())["audits"]
        found.append([(each["points"], each["results"], each["left_out"], each["reached"]) for each in audits])
    assert found[0] == found[1]
    assert any(result["findings"] for _, results, *_ in found[0] for result in results)


@notes
def test_workers_that_share_an_audit_share_its_lines(run: Run) -> None:
    """Under pytest-xdist the lines are those of all workers."""
    pytest.importorskip("xdist")
    result = run(
        *ALL, "-p", "xdist.plugin", "-n2", "--maskcheck-cleanup", "--maskcheck-report=json:report.json", fresh=True
    )
    assert result.ret == 0
    assert lines(files()["tidy.py"]["cleanup"]) == CLEANUP


@notes
@pytest.mark.slow
def test_an_earlier_result_without_the_lines_does_not_serve(run: Run) -> None:
    """A test is audited again if its earlier audit did not record the lines; then its result serves further sessions."""
    cached = ("--maskcheck-all", "-q", "--maskcheck-changed", "--maskcheck-cache=results")
    run(*cached, fresh=True)
    report = "--maskcheck-report=json:report.json"
    run(*cached, report, fresh=True)
    assert [each["earlier"] for each in json.loads(Path("report.json").read_bytes())["audits"]] == [True, True]
    run(*cached, "--maskcheck-cleanup", report, fresh=True)
    assert [each["earlier"] for each in json.loads(Path("report.json").read_bytes())["audits"]] == [False, False]
    run(*cached, "--maskcheck-cleanup", report, fresh=True)
    assert [each["earlier"] for each in json.loads(Path("report.json").read_bytes())["audits"]] == [True, True]
    assert lines(files()["tidy.py"]["cleanup"]) == CLEANUP


@notes
@pytest.mark.slow
def test_shards_are_merged(run: Run) -> None:
    """The lines of all shards are united, and unknown if one of them did not record any."""
    for k, more in ((1, ["--maskcheck-cleanup"]), (2, ["--maskcheck-cleanup"]), (2, [])):
        path = f"{k}{len(more)}.json"
        run(*ALL, f"--maskcheck-shard={k}/2", f"--maskcheck-report=json:{path}", *more, fresh=True)
    merge("11.json", "21.json")
    assert lines(files()["tidy.py"]["cleanup"]) == CLEANUP
    merge("11.json", "20.json")
    assert files()["tidy.py"]["cleanup"] is None


def merge(*words: str) -> None:
    """Merge reports into another one."""
    done = [sys.executable, "-m", "pytest_maskcheck", "merge", *words, "-o", "report.json"]
    subprocess.run(done, check=True, capture_output=True, timeout=60)


# The data file of coverage.py


def contexts(path: str, file: str = "tidy.py") -> dict[str, set[int]]:
    """Return the lines of each context in a data file."""
    data = CoverageData(path)
    data.read()
    (name,) = (each for each in data.measured_files() if Path(each).name == file)
    found: dict[str, set[int]] = {}
    for line, names in data.contexts_by_lineno(name).items():
        for context in names:
            found.setdefault(context, set()).add(line)
    data.close(force=True)
    return found


def coverage(*words: str) -> str:
    """Run coverage's own command; return what it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, "-m", "coverage", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def audited(run: Run) -> None:
    """Audit the project, and write a data file."""
    run(*ALL, "--maskcheck-report=coverage:it.coverage", "--maskcheck-report=json:report.json", fresh=True)


@notes
def test_a_data_file_has_contexts(run: Run) -> None:
    """Each line has the context of what became of it; the format records the lines of clean-up code by itself."""
    audited(run)
    found = contexts("it.coverage")
    assert found == {
        "maskcheck: interrupted, clean": lines(files()["tidy.py"]["clean"]),
        "maskcheck: clean-up": CLEANUP,
    }
    assert found["maskcheck: interrupted, clean"] >= {19, 21}
    data = CoverageData("it.coverage")
    data.read()
    assert {Path(each).name for each in data.measured_files()} == {"tidy.py", "test_tidy.py"}
    assert all(map(os.path.isabs, data.measured_files()))
    data.close(force=True)


def test_defects_have_a_context_of_their_own(pytester: pytest.Pytester, run: Run) -> None:
    """A line with a defect is among those interrupted, and not among the clean ones."""
    leak = (
        "import threading\nLOCK = threading.Lock()\ndef leak():\n    LOCK.acquire()\n    abs(1)\n    LOCK.release()\n"
    )
    pytester.makepyfile(tidy=leak, test_tidy="import tidy\ndef test_leak():\n    tidy.leak()\n")
    audited(run)
    assert contexts("it.coverage") == {"maskcheck: interrupted, defect": {4, 5}, "maskcheck: interrupted, clean": {6}}


@notes
@pytest.mark.slow
def test_coverage_itself_reports_it(run: Run) -> None:
    """The commands ``report``, ``json`` and ``html --show-contexts`` of coverage read the file."""
    audited(run)
    *_, total = coverage("report", "--data-file=it.coverage", "--include=tidy.py").split("\n", 3)[2:3]
    _, statements, missed, _ = total.split()
    assert int(statements) - int(missed) == len(CLEANUP | lines(files()["tidy.py"]["clean"]))
    only = coverage("report", "--data-file=it.coverage", "--contexts=clean-up", "--include=tidy.py", "--format=total")
    every = coverage("report", "--data-file=it.coverage", "--include=tidy.py", "--format=total")
    assert 0 < int(only) < int(every) < 100
    coverage("html", "--data-file=it.coverage", "--show-contexts", "--directory=html")
    shown = Path("html/tidy_py.html").read_text(encoding="utf-8")
    assert "maskcheck: clean-up" in shown
    assert "maskcheck: interrupted, clean" in shown


@notes
@pytest.mark.slow
@pytest.mark.parametrize(
    "configured", ["", "branch = true\n", "relative_files = true\n", "branch = true\nrelative_files = true\n"]
)
def test_it_is_combined_with_a_measurement(run: Run, configured: str) -> None:
    """``coverage combine`` puts it together with an ordinary data file, of lines or of branches: one entry a file, with all contexts."""
    Path(".coveragerc").write_text(f"[run]\ninclude = */tidy.py,tidy.py\n{configured}", encoding="utf-8")
    Path("measured.py").write_text("import tidy\ntidy.work()\ntidy.other(0)\n", encoding="utf-8")
    coverage("run", "--data-file=plain.coverage", "measured.py")
    plain = contexts("plain.coverage")[""]
    audited(run)
    coverage("combine", "--keep", "--data-file=both.coverage", "plain.coverage", "it.coverage")
    found = contexts("both.coverage")
    assert found[""] == plain
    assert plain.isdisjoint(CLEANUP)
    assert found["maskcheck: clean-up"] == CLEANUP
    before, after = (
        int(coverage("report", f"--data-file={name}.coverage", "--include=tidy.py", "--format=total"))
        for name in ("plain", "both")
    )
    assert before < after


def test_merge_writes_it(run: Run) -> None:
    """``merge`` writes the same data as the session."""
    audited(run)
    words = [sys.executable, "-m", "pytest_maskcheck", "merge", "report.json", "--report", "coverage:merged.coverage"]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    assert contexts("merged.coverage") == contexts("it.coverage")


def test_a_path_that_cannot_be_written_is_refused(run: Run) -> None:
    """A path in a folder that does not exist is refused in one sentence before anything is audited."""
    result = run(*ALL, "--maskcheck-report=coverage:none/it.coverage", fresh=True)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*--maskcheck-report is 'coverage:none/it.coverage'; it must name a file in a folder*"]
    )
