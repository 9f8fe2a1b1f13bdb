"""The story of a single point: what the run did from the interrupt on, line by line, to what it left."""

from __future__ import annotations

import re
from textwrap import dedent

import pytest

from pytest_maskcheck.interrupts.retelling import MOST
from pytest_maskcheck.results import Audit, StepKind

SOURCE = dedent(
    """\
    import threading
    import pytest

    LOCK = threading.Lock()

    class Store:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            close()

    def close():
        abs(1)

    def take():
        LOCK.acquire()
        try:
            with Store():
                abs(2)
        finally:
            close()
        LOCK.release()

    def swallow():
        try:
            abs(3)
        except BaseException:
            pass

    @pytest.mark.interrupt_safe
    def test_take():
        try:
            take()
        except ValueError:
            pass

    @pytest.mark.interrupt_safe
    def test_clean():
        abs(4)

    @pytest.mark.interrupt_safe
    def test_swallow():
        swallow()
        for number in range(1000):
            abs(number)

    @pytest.mark.interrupt_safe
    def test_hang():
        try:
            abs(5)
        except KeyboardInterrupt:
            threading.Event().wait()
    """
)


def line_of(text: str) -> int:
    """Return the number of a line of the source."""
    return 1 + [line.strip() for line in SOURCE.splitlines()].index(text)


@pytest.fixture
def file(request):
    """The name of the file that the inner tests are in."""
    return f"{request.node.originalname}.py"


@pytest.fixture
def told(audit, file):
    """Return a function that audits one point, and returns the audit and the lines of its story."""

    def told(line: str, test: str, *args: str) -> tuple[Audit, list[str]]:
        point = f"{file}:{line_of(line)}:call#1"
        (audited,), result = (done := audit(SOURCE, "--maskcheck-point", point, "-k", test, *args)).audits, done.result
        lines = result.outlines
        heading = f"{point} in {file}::{test}"
        begin = lines.index(heading) + 1 if heading in lines else 0
        return audited, lines[begin : lines.index("", begin)] if begin else []

    return told


def test_from_the_interrupt_to_the_leftover(told, file):
    """Each line that ran and each function that the interrupt left is there, with its source; then what was left, and its origin."""
    audited, lines = told("abs(2)", "test_take")
    assert [re.sub(rf"{file}:(\d+) in ", r"\1 ", " ".join(line.split())) for line in lines] == [
        "interrupted 20 take abs(2)",
        "runs 19 take with Store():",
        "runs 11 Store.__exit__ close()",
        "runs 14 close abs(1)",
        "runs 22 take close()",
        "runs 14 close abs(1)",
        "leaves 22 take",
        "runs 35 test_take except ValueError:",
        "leaves 35 test_take",
        "comes out KeyboardInterrupt",
        "found leak: a lock is still held: test_from_the_interrupt_to_the_leftover.LOCK",
        "from 17 take LOCK.acquire()",
    ]
    assert audited.story is not None
    assert audited.story.steps[0].kind is StepKind.INTERRUPTED


def test_a_clean_point_has_a_story_too(told, file):
    """Where nothing is wrong, the story says so, although the test passes."""
    audited, lines = told("abs(4)", "test_clean")
    assert not audited.defects
    assert lines[0].split()[:2] == ["interrupted", f"{file}:{line_of('abs(4)')}"]
    assert lines[-1].split() == ["found", "nothing", "wrong"]


def test_a_long_story_is_cut(told):
    """A test that goes on for long after it has caught the interrupt has a story of bounded length; the rest is counted."""
    audited, lines = told("abs(3)", "test_swallow")
    assert audited.story is not None
    assert len(audited.story.steps) == MOST
    assert audited.story.more > 1000
    assert f"and {audited.story.more} more steps" in lines[MOST]
    assert lines[MOST + 1].split() == ["comes", "out", "nothing"]
    assert lines[MOST + 2].split()[:2] == ["found", "swallowed:"]


def test_a_hang_is_not_repeated(told):
    """A run that hung is not made once more for its story."""
    audited, lines = told("abs(5)", "test_hang", "--maskcheck-isolation=fork", "--maskcheck-timeout=0.5")
    assert [each.verdict for each in audited.defects] == ["hang"]
    assert audited.story is None
    assert not lines


def test_without_a_wanted_point_there_is_no_story(audit):
    """An audit of all points has no stories: each would cost a run."""
    (audited,) = audit(SOURCE, "-k", "test_clean").audits
    assert audited.points
    assert audited.story is None


def test_of_two_interrupts_it_begins_with_the_second(audit, file):
    """The story of a pair begins where the second interrupt lands."""
    first, second = line_of("abs(2)"), line_of("abs(1)")
    done = audit(SOURCE, "--maskcheck-point", f"{file}:{first}:call#1>{file}:{second}:call#1", "-k", "test_take")
    (audited,) = done.audits
    assert audited.story is not None
    assert [step.frame.line for step in audited.story.steps[:2]] == [second, second]


ONCE = """
import threading
import pytest

POOL = [object()]

@pytest.mark.interrupt_safe
def test_it():
    connection = POOL.pop()
    abs(1)
    POOL.append(connection)
"""


@pytest.mark.parametrize("isolation", ["auto", "none"])
def test_the_judged_run_does_not_spoil_the_story(audit, file, isolation):
    """A run that cannot be made twice is told nevertheless, by a process in which it was not made yet; unless nothing may be forked."""
    source = ONCE.strip()
    line = 1 + source.splitlines().index("    abs(1)")
    (audited,) = audit(
        source, f"--maskcheck-isolation={isolation}", "--maskcheck-point", f"{file}:{line}:call#1"
    ).audits
    assert audited.failures
    assert (audited.story is not None) == (isolation == "auto")
