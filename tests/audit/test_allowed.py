"""Findings that the user allows, in layers; what the uninterrupted test leaves behind; and kinds switched on and off."""

from __future__ import annotations

import pytest

from pytest_maskcheck.results import Audit

PREAMBLE = """
import os, pytest, threading
LOCK = threading.Lock()

def lose():
    fd = os.open(os.devnull, os.O_RDONLY)
    len("x")
    os.close(fd)
    LOCK.acquire()
    LOCK.release()

"""

PROGRAMS = {
    "nothing": """
@pytest.mark.interrupt_safe
def test_it():
    lose()
""",
    "by_mark": """
@pytest.mark.interrupt_safe(allow={"fd:/dev/null": "opened once"})
def test_it():
    lose()
""",
    "by_fixture": """
@pytest.mark.interrupt_safe(allow=["thread:*"])
def test_it(maskcheck):
    lose()
    maskcheck.allow("lock:*.LOCK", "taken again by its owner")
""",
    "everything": """
pytestmark = pytest.mark.interrupt_safe(allow="fd:*")

@pytest.mark.interrupt_safe(allow="lock:*")
def test_it():
    lose()
""",
    "kind_off": """
@pytest.mark.interrupt_safe(kinds="-lock")
def test_it():
    lose()
""",
    "only_one": """
@pytest.mark.interrupt_safe(kinds=["-all", "fd"])
def test_it():
    lose()
""",
    "kind_on": """
import sys
@pytest.mark.interrupt_safe(kinds=["-all", "modules"])
def test_it():
    json = sys.modules.pop("json")
    len("x")
    sys.modules["json"] = json
""",
    "kind_off_by_default": """
import sys
@pytest.mark.interrupt_safe
def test_it():
    json = sys.modules.pop("json")
    len("x")
    sys.modules["json"] = json
""",
    "left_anyway": """
KEPT = []
@pytest.mark.interrupt_safe(allow="fd:/dev/null")
def test_it():
    KEPT.append(os.open(os.devnull, os.O_RDONLY))
    len("x")
""",
}

INI = "[pytest]\nmaskcheck_timeout = 0.5\nmaskcheck_allow =\n    fd:/dev/zero -- never there\n    lock:*by_mark.LOCK -- known, to be mended\n"


@pytest.fixture(scope="module")
def folder(audit_folder):
    """The audits of all programs, and what was printed."""
    sources = {f"test_{name}.py": PREAMBLE + source for name, source in PROGRAMS.items()}
    return audit_folder({**sources, "pytest.ini": INI}, "--maskcheck-allow=umask:*")


@pytest.fixture(scope="module")
def audits(folder) -> dict[str, Audit]:
    """The audits, by name of the program."""
    return {audit.test.partition(".py")[0].removeprefix("test_"): audit for audit in folder.audits}


def kinds(audit: Audit) -> set[str]:
    """Return the kinds of the failing defects of a test."""
    return {defect.kind for defect in audit.failures}


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("nothing", {"fd", "lock"}),
        ("by_mark", set()),  # the configuration file allows the lock
        ("by_fixture", {"fd"}),
        ("everything", set()),
        ("kind_off", {"fd", "test"}),  # no kind sees the lock, and the next run hangs while it waits for it
        ("only_one", {"fd", "test"}),
        ("kind_on", {"modules"}),
        ("kind_off_by_default", {"test"}),  # the next run misses the module
        ("left_anyway", set()),
    ],
)
def test_what_is_left_to_fail(audits, name, left):
    """Each layer removes the findings that it allows, and only kinds that are on have findings."""
    assert kinds(audits[name]) == left


def test_what_was_allowed_is_told(audits):
    """The report states at how many points a finding was allowed, by which entry, and the entry's reason."""
    assert set(audits["by_mark"].notes) == {
        "allowed at 2 points: fd:/dev/null (allow fd:/dev/null (opened once), the mark of test_by_mark.py::test_it)",
        "allowed at 1 point: lock:test_by_mark.LOCK (allow lock:*by_mark.LOCK (known, to be mended), the configuration file)",
    }
    assert "by_fixture" in audits
    assert any("(taken again by its owner), the fixture maskcheck" in note for note in audits["by_fixture"].notes)


def test_what_allowed_nothing_is_reported_once(folder, audits):
    """An unused entry is reported once: that of a marker if its test does not need it, any other if no test needs it."""
    unused = [line for line in folder.output.splitlines() if line.startswith("unused: ")]
    assert unused == [
        "unused: allow fd:/dev/zero (never there), the configuration file: nothing like it was left behind in this run",
        "unused: allow thread:*, the mark of test_by_fixture.py::test_it: nothing like it was left behind in this run",
        "unused: allow umask:*, the command line: nothing like it was left behind in this run",
    ]


def test_what_the_uninterrupted_test_leaves_is_listed_once(folder, audits):
    """A leftover of the uninterrupted test is listed and is not a finding; an entry that allows it counts as used."""
    assert audits["left_anyway"].left_anyway == ("fd:/dev/null",)
    assert audits["nothing"].left_anyway == ()
    (line,) = (line for line in folder.output.splitlines() if "uninterrupted, and so" in line)
    assert line == "left behind by 1 test uninterrupted, and so no finding: fd:/dev/null"


def test_an_unknown_kind_is_a_usage_error(audit):
    """The error names the test, the unknown word and the kinds that exist."""
    result = audit(PREAMBLE + PROGRAMS["kind_off"].replace("-lock", "-locks")).result
    result.stderr.fnmatch_lines(
        ["ERROR: *::test_it: maskcheck kinds is '-locks', but there is no such kind *; there are *lock, *"]
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
