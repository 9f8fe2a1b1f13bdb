"""Sessions that were interrupted: what they report, what they keep, and how they are continued; and the file of results."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.reports.reading import read

INTERRUPTED = """
    import os, signal
    import pytest

    def test_first():
        abs(1)

    def test_second():
        for step in range(3):
            abs(step)

    def test_third():
        abs(3)
    """

SEND = """
    import os, signal

    SEEN = []

    def pytest_configure(config):
        # The third result of the second test is answered by a Ctrl-C in the process of the session.
        from pytest_maskcheck.audit import messages
        from pytest_maskcheck.results import PointResult
        take = messages.Collected.take

        def counted(self, message):
            take(self, message)
            if isinstance(message, PointResult) and os.path.exists("interrupt"):
                SEEN.append(message)
                if len(SEEN) == int(open("interrupt").read()):
                    os.remove("interrupt")
                    os.kill(os.getpid(), signal.SIGINT)

        messages.Collected.take = counted

    def pytest_maskcheck_audited(item, audit):
        print("\\nAUDITED", item.name)
    """

ALL = ["test_first", "test_second", "test_third"]


@pytest.fixture
def again(pytester, run):
    """Return a function that audits the three tests and returns the result and the names of those that were audited."""
    pytester.makepyfile(test_it=INTERRUPTED, sending=SEND)

    def again(*args: str) -> tuple[pytest.RunResult, list[str]]:
        result = run("-q", "-s", "-p", "sending", "--maskcheck-all", *args, cache=True, fresh=True)
        return result, [line.split()[1] for line in result.outlines if line.startswith("AUDITED")]

    return again


def test_interrupted_and_resumed(again):
    """After Ctrl-C the report has the test in progress as far as it came; --maskcheck-resume audits what was not finished."""
    Path("interrupt").write_text("5")
    result, audited = again("--maskcheck-report=json:report.json", "--maskcheck-hits=2")
    assert (result.ret, audited) == (pytest.ExitCode.INTERRUPTED, ["test_first"])
    result.stdout.fnmatch_lines(["interrupted: test_it.py::test_second: * of * points audited"])
    first, second, third = read("report.json").audits
    assert first.test.endswith("test_first")
    assert second.test.endswith("test_second")
    assert 0 < second.audited < len(second.points)
    assert third.refused == Reason(NotAudited.CTRL_C)
    result, audited = again("--maskcheck-resume", "--maskcheck-hits=2")
    assert (result.ret, audited) == (0, ["test_second", "test_third"])
    result, audited = again("--maskcheck-resume", "--maskcheck-hits=2")
    assert (result.ret, audited) == (0, ALL)


def test_resumed_after_a_failure(again):
    """A session that -x ended is continued, too; results of sessions before it do not count."""
    assert again()[1] == ALL
    text = Path("test_it.py").read_text()
    Path("test_it.py").write_text(text.replace("def test_second():\n", "def test_second():\n    assert 0\n"))
    assert again("-x")[1] == ["test_first"]
    Path("test_it.py").write_text(text)
    assert again("--maskcheck-resume")[1] == ["test_second", "test_third"]


def test_nothing_is_read_unasked(again):
    """Without --maskcheck-changed and --maskcheck-resume every test is audited."""
    assert again()[1] == ALL
    assert again()[1] == ALL
    assert again("--maskcheck-changed")[1] == []


def test_a_failing_test_fails_again(pytester, run):
    """A test that failed in an earlier session fails again, and says that this was found then."""
    pytester.makepyfile("""
        import threading

        LOCK = threading.Lock()

        def test_it():
            LOCK.acquire()
            abs(1)
            LOCK.release()
        """)
    assert run("--maskcheck-all", cache=True).ret == 1
    result = run("--maskcheck-all", "--maskcheck-changed", cache=True)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["E * leak: lock *", "E * found in an earlier session*", "unchanged: 1 test * failing as then"]
    )


def test_a_test_that_fails_by_itself_fails(pytester, run):
    """A result that holds does not hide that the test itself fails now."""
    pytester.makepyfile("import os\n\ndef test_it():\n    assert not os.path.exists('data')\n")
    assert run("--maskcheck-all", cache=True).ret == 0
    Path("data").touch()
    result = run("--maskcheck-all", "--maskcheck-changed", cache=True)
    result.assert_outcomes(failed=1)


DAMAGE = {
    "no database": lambda path: path.write_bytes(b"nothing of the kind" * 100),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "another version": lambda path: _execute(path, "PRAGMA user_version = 99"),
    "another program's": lambda path: _execute(path, "PRAGMA application_id = 7"),
}


def _execute(path: Path, statement: str) -> None:
    database = sqlite3.connect(path)
    database.execute(statement)
    database.commit()
    database.close()


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_file(pytester, run, damage):
    """A damaged file is started anew in pytest's cache, with a line that says so; a named one is a usage error, and stays."""
    pytester.makepyfile("def test_it(): abs(1)")
    assert run("--maskcheck-all", "--maskcheck-cache=results").ret == 0
    damage(Path("results"))
    content = Path("results").read_bytes()
    result = run("--maskcheck-all", "--maskcheck-changed", "--maskcheck-cache=results")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --maskcheck-cache is */results, which cannot be used: *"])
    assert Path("results").read_bytes() == content

    assert run("--maskcheck-all", cache=True).ret == 0
    damage(next(Path(".pytest_cache").rglob("results.sqlite")))
    result = run("--maskcheck-all", "--maskcheck-changed", cache=True)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["*the results of earlier sessions in pytest's cache cannot be used*", "1 test audited at *"]
    )
    assert "unchanged: 1 test" in run("--maskcheck-all", "--maskcheck-changed", cache=True).stdout.str()


def test_damaged_row(pytester, run):
    """A result that cannot be read makes its test be audited again."""
    pytester.makepyfile("def test_it(): abs(1)")
    assert run("--maskcheck-all", "--maskcheck-cache=results").ret == 0
    _execute(Path("results"), "UPDATE results SET reached = '{'")
    result = run("--maskcheck-all", "--maskcheck-changed", "--maskcheck-cache=results")
    result.stdout.fnmatch_lines(["1 test audited at *"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--maskcheck-changed"],
            "--maskcheck-changed needs results of earlier sessions, and pytest's cache is switched off*",
        ),
        (
            ["--maskcheck-resume"],
            "--maskcheck-resume needs results of earlier sessions, and pytest's cache is switched off*",
        ),
        (["--maskcheck-cache=gone/results"], "--maskcheck-cache is */gone/results, which cannot be used: *"),
        (["--maskcheck-cache="], "--maskcheck-cache is ''; it must be the path of a file"),
        (
            ["--maskcheck-changed", "--maskcheck-cache=a", "--maskcheck-shard=1/2"],
            "--maskcheck-shard divides the points*",
        ),
    ],
)
def test_usage_errors(pytester, run, arguments, message):
    """Where results cannot be kept or used, one sentence says why and what to do."""
    pytester.makepyfile("def test_it(): abs(1)")
    result = run("--maskcheck-all", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])


def test_undecided_tests_are_audited_once_more(pytester, run):
    """A test whose points were undecided by chance is audited by the next session, too, and not by the one after that."""
    pytester.makepyfile("""
        import itertools, os

        def test_it():
            if os.getpid() % 2:
                abs(1)
            else:
                len("")
            abs(2)
        """)
    data = json.loads(_report(run, "--maskcheck-cache=results"))
    steady = not any(each["code"] for each in data["audits"][0]["results"]) and not data["audits"][0]["left_out"]
    result = run("--maskcheck-all", "--maskcheck-changed", "--maskcheck-cache=results")
    assert ("unchanged: 1 test" in result.stdout.str()) == steady
    result = run("--maskcheck-all", "--maskcheck-changed", "--maskcheck-cache=results")
    assert "unchanged: 1 test" in result.stdout.str()


def test_points_that_stay_undecided_are_counted_in_each_session(pytester, run):
    """What an earlier session left undecided is in the closing line, and fails a session that must decide all points."""
    pytester.makepyfile("""
        import itertools, os

        def test_it():
            for number in range(os.getpid() % 7):
                abs(number)
            abs(2)
        """)
    arguments = ("--maskcheck-all", "--maskcheck-changed", "--maskcheck-cache=results")
    for _ in range(3):
        result = run(*arguments, "--maskcheck-report=json:report.json")
    (audit,) = json.loads(Path("report.json").read_text())["audits"]
    assert audit["earlier"]
    number = sum(bool(each["code"]) for each in audit["results"])
    result = run(*arguments)
    assert f"{number} point" in result.outlines[-2]
    assert result.outlines[-2].endswith("undecided")
    assert run(*arguments, "--maskcheck-fail-undecided").ret == bool(number)


def _report(run, *arguments: str) -> str:
    run("--maskcheck-all", "--maskcheck-report=json:report.json", *arguments)
    return Path("report.json").read_text()


def test_unchanged_tests_are_reported_as_what_they_are(pytester, run):
    """A test taken from an earlier session was audited there: it is neither refused nor one where nothing was left to audit."""
    pytester.makepyfile(
        shared="def work():\n    return str(1)\n",
        test_it="""
        from shared import work

        def test_one():
            work()

        def test_two():
            work()
            work()
        """,
    )
    arguments = ("--maskcheck-all", "--maskcheck-changed", "--maskcheck-cache=results")
    first, second = (run(*arguments).outlines for _ in range(2))
    assert any(line.startswith("unchanged: 2 tests") for line in second)
    for text in ("it reached no point", "nothing new", "fail-undecided"):
        assert not any(text in line for line in second)
    assert first[-2].partition("; ")[2] == second[-2].partition("; ")[2]  # lines and undecided points
    assert run(*arguments, "--maskcheck-fail-undecided").ret == 0
