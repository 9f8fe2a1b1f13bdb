"""What a failing test shows: the story of a defect once in a session, below a traceback in the style that the user chose."""

from __future__ import annotations

import pytest

ALIKE = """
    import threading, pytest

    lock, other = threading.Lock(), threading.Lock()

    def lose():
        lock.acquire()
        lock.release()

    @pytest.mark.interrupt_safe
    def test_one():
        lose()

    @pytest.mark.interrupt_safe
    def test_two():
        lose()
"""

QUIET = "-q"
"""Takes back the ``-v`` of the fixture."""

MORE = """
    @pytest.mark.interrupt_safe
    def test_three():
        lose()
        other.acquire()
        other.release()
"""


def stories(audited) -> dict[str, list[str]]:
    """Return the lines that each failing test shows in pytest's section of failures."""
    found: dict[str, list[str]] = {}
    lines = audited.result.outlines
    start = next(number for number, line in enumerate(lines) if "= FAILURES =" in line)
    for line in lines[start + 1 :]:
        if line.startswith("==="):
            break
        if line.startswith("___") and "test_" in line:
            lines_of = found[line.strip("_ ")] = []
        else:
            lines_of.append(line)
    return found


def test_a_story_is_told_once(audit):
    """The first test that meets a defect tells its story; the next one says where that is, without a traceback."""
    audited = audit(ALIKE, QUIET)
    told = stories(audited)
    assert any(line.startswith("E     reproduce") for line in told["test_one"])
    assert [line for line in told["test_two"] if line] == [
        told["test_two"][0],
        "E     told in     test_a_story_is_told_once.py::test_one",
    ]
    assert told["test_two"][0].startswith("E   leak: lock ")
    audited.result.stdout.fnmatch_lines(["FAILED *::test_two - leak: lock *"])


def test_a_test_with_another_defect_tells_that(audit):
    """A test that meets a defect told before and another one tells the other one."""
    told = stories(audit(ALIKE + MORE, QUIET))
    assert any("came from" in line and ":20 in test_three" in line for line in told["test_three"])
    assert any(line.startswith("E     story of    lock ") and line.endswith(".other") for line in told["test_three"])
    assert not any("story of" in line for line in told["test_one"])
    assert not any("told in" in line for line in told["test_three"])


def test_each_test_tells_all_if_all_is_wanted(audit):
    """With ``-v`` each test tells its own worst defect."""
    told = stories(audit(ALIKE))
    assert all(any("reproduce" in line for line in lines) for lines in told.values())


@pytest.mark.parametrize(
    ("option", "lines"), [("--tb=auto", 1), ("--tb=short", 1), ("--tb=long", 2)], ids=["auto", "short", "long"]
)
def test_the_traceback_has_the_style_that_was_chosen(audit, option, lines):
    """By default each line of the traceback is shown alone, with ``--tb=long`` the source above it as well."""
    shown = stories(audit(ALIKE, QUIET, option))["test_one"]
    shown = shown[: next(number for number, line in enumerate(shown) if line.startswith("E "))]
    assert sum("lock.acquire()" in line for line in shown) == 1
    assert sum("def lose():" in line for line in shown) == lines - 1
