"""A session in a step of GitHub Actions: switched on by itself, once, and never the reason why a session fails."""

from __future__ import annotations

import pytest

TEST = """
    import threading
    import pytest

    LOCK = threading.Lock()
    pytestmark = pytest.mark.interrupt_safe

    def test_defect():
        LOCK.acquire()
        LOCK.release()

    def test_clean():
        len("a")
"""


@pytest.fixture
def step(pytester, run, monkeypatch):
    """Return a function that runs pytest in a step, and returns the result, the workflow commands and the job summary."""
    pytester.makepyfile(test_it=TEST)
    path = pytester.path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))

    def step(*args):
        result = run("--maskcheck", *args)
        summary = path.read_text(encoding="utf-8") if path.is_file() else ""
        return result, [line for line in result.outlines if line.startswith("::")], summary

    return step


def test_on_by_itself(step):
    """In a step, the defect is annotated and the job has a summary."""
    result, commands, summary = step()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    (command,) = commands
    assert command.startswith("::error title=maskcheck%3A leak%3A lock test_it.LOCK,file=test_it.py,line=8,col=5,")
    assert summary.startswith("## maskcheck: 1 defect\n")


def test_once_with_workers(step):
    """With xdist, only the process that reports annotates."""
    _, commands, summary = step("-p", "xdist", "-n2")
    assert len(commands) == summary.count("## maskcheck") == 1


@pytest.mark.parametrize("how", ["elsewhere", "off", "ini", "point"])
def test_nothing_where_it_is_not_wanted(step, pytester, monkeypatch, how):
    """Nothing is written elsewhere, where it is switched off, and to reproduce one point."""
    options = {"off": ["--maskcheck-github=off"], "point": ["--maskcheck-point=test_it.py:8:call#1"]}
    if how == "elsewhere":
        monkeypatch.setenv("GITHUB_ACTIONS", "false")
    if how == "ini":
        pytester.makeini("[pytest]\nmaskcheck_github = off\n")
    _, commands, summary = step(*options.get(how, []))
    assert not commands
    assert not summary


def test_a_session_that_audits_nothing(step):
    """It is an error, and the summary says so; a session that only collects tests writes nothing."""
    _, commands, summary = step("-k", "nothing")
    assert commands == ["::error title=maskcheck::nothing was audited: no test that was selected is marked"]
    assert summary.startswith("## maskcheck: nothing was audited\n")
    assert step("--collect-only")[1] == []


def test_on_everywhere(step, monkeypatch):
    """``on`` writes them outside of GitHub Actions, too, without a summary if there is no file for it."""
    monkeypatch.delenv("GITHUB_ACTIONS")
    monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    _, commands, summary = step("--maskcheck-github=on")
    assert len(commands) == 1
    assert not summary


def test_a_summary_that_cannot_be_written(step, monkeypatch, pytester):
    """The session says so in one sentence, and ends as it would otherwise, with its annotations."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "no" / "summary.md"))
    result, commands, _ = step()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert len(commands) == 1
    complaints = [line for line in result.outlines if "the job summary cannot be written: " in line]
    assert len(complaints) == 1
    assert complaints[0].endswith("; see GITHUB_STEP_SUMMARY, or --maskcheck-github=off")


@pytest.mark.parametrize("form", ["sarif", "gitlab", "markdown"])
def test_a_report_that_cannot_be_written(step, form):
    """A path that cannot be written to is one sentence, before any test runs."""
    result, commands, summary = step(f"--maskcheck-report={form}:no/such/folder")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    sentence = f"ERROR: --maskcheck-report is '{form}:no/such/folder'; it must name a file in a folder that exists and can be written to"
    assert sentence in result.errlines
    assert not commands
    assert not summary
