"""Sessions that audited nothing or little report it, and the totals at the end of the summary."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_maskcheck.reasons import elsewhere
from pytest_maskcheck.reports.nothing import Nothing, nothing
from pytest_maskcheck.reports.summary import summary
from pytest_maskcheck.results import Audit, Finding, Frame, Origin, Point, PointResult, Verdict
from pytest_maskcheck.results.lines import lines_of, spans

pytestmark = pytest.mark.newest

UNMARKED = "def test_it(): pass"
SKIPPED = """
    import pytest

    @pytest.mark.interrupt_safe
    def test_it():
        pytest.skip()
"""
MARKED = """
    import pytest

    @pytest.mark.interrupt_safe
    def test_it():
        len("x")
"""
OUT_OF_SCOPE = MARKED.replace("interrupt_safe", "interrupt_safe(exclude=['test_*.py'])")

ONCE = MARKED + "        globals().setdefault('runs', []).append(1)\n        assert len(runs) == 1\n"
POINT = "--maskcheck-point=test_a_session_that_audits_nothing_says_so.py:5:call#1"

OK, FAILED, NONE = pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED

SESSIONS = {
    "unmarked": (UNMARKED, [], NONE, "nothing was audited: no test that was selected is marked: *--maskcheck-allow-none*"),
    "unmarked, with workers": (UNMARKED, ["-p", "xdist", "-n2"], NONE, "nothing was audited: no test that was selected is marked: *"),
    "unmarked, on purpose": (UNMARKED, ["--maskcheck-allow-none"], OK, "nothing was audited: no test that was selected is marked: *"),
    "unmarked, and fails": (UNMARKED.replace("pass", "assert 0"), [], FAILED, "nothing was audited: *"),
    "skipped": (SKIPPED, [], NONE, "nothing was audited: none of 1 test passed by itself, *"),
    "skipped, with workers": (SKIPPED, ["-p", "xdist", "-n2"], NONE, "nothing was audited: none of 1 test passed by itself, *"),
    "out of scope": (OUT_OF_SCOPE, [], NONE, "nothing was audited: no point of 1 test, for the reasons above *"),
    "a point that is not sent": (MARKED, [POINT + "@SIGTERM"], NONE, "the point was not audited: no point of 1 test, *"),
    "a point that is not sent, on purpose": (MARKED, [POINT + "@SIGTERM", "--maskcheck-allow-none"], NONE, "the point was *"),
    "a point of a test that is refused": (ONCE, [POINT], NONE, "the point was not audited: no point of 1 test, *"),
    "a point of a test that is skipped": (SKIPPED, [POINT], NONE, "the point was not audited: none of 1 test passed *"),
    "a point, and the test fails": (UNMARKED.replace("pass", "assert 0"), [POINT], FAILED, "the point was not audited: *"),
    "beyond the budget": (MARKED, ["--maskcheck-budget=1e-9"], NONE, "nothing was audited: no point of 1 test, *"),
}  # fmt: skip


@pytest.mark.parametrize("case", SESSIONS)
def test_a_session_that_audits_nothing_says_so(pytester, run, case):
    """A session that audited nothing says why and what helps, and does not exit with success unless that is allowed."""
    source, options, code, line = SESSIONS[case]
    if "xdist" in options:
        pytest.importorskip("xdist")
    pytester.makepyfile(source)
    result = run("--maskcheck", *options)
    result.stdout.fnmatch_lines(["*= maskcheck =*", line])
    assert result.ret == code


@pytest.mark.parametrize("options", [["--collect-only"], ["--setup-plan"], ["--fixtures"]])
def test_a_session_that_runs_no_test_need_not_audit(pytester, run, options):
    """Options with which pytest runs no test are no error with ``--maskcheck``."""
    pytester.makepyfile(UNMARKED)
    result = run("--maskcheck", *options)
    result.stdout.no_fnmatch_line("*nothing was audited*")
    assert result.ret == OK


def test_a_session_that_audits_says_what(pytester, run):
    """A session that audits succeeds, and reports its scope, the number of tests to audit, and the totals."""
    pytester.makepyfile(MARKED, test_other=UNMARKED)
    pytester.makeini("[pytest]\nmaskcheck_allow_none = true\n")
    result = run("--maskcheck")
    result.stdout.fnmatch_lines(
        [
            "maskcheck: scope: the root directory, and the tests",
            "maskcheck: 1 of 2 tests to audit",
            "1 test audited at 2 points: 0 defects; 1 of 1 reached line of the tests interrupted, 0 points undecided",
        ]
    )
    result.stdout.no_fnmatch_line("*nothing was audited*")
    assert result.ret == OK


@pytest.mark.parametrize("value", ["perhaps", "3"])
def test_allow_none_is_true_or_false(pytester, run, value):
    """A ``maskcheck_allow_none`` that is neither true nor false is a usage error."""
    pytester.makeini(f"[pytest]\nmaskcheck_allow_none = {value}\n")
    result = run("--maskcheck")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: maskcheck_allow_none *must be true or false"])


HELD = MARKED.replace("import pytest", "import pytest, signal").replace(
    'len("x")', "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\n        len('x')"
)
UNDECIDED = {
    "decided": (MARKED, OK, ""),
    "a point": (
        HELD,
        FAILED,
        "ERROR: 4 points undecided and 1 test not audited: * (exit status 1, because of --maskcheck-fail-undecided)",
    ),
    "a test": (ONCE, FAILED, "ERROR: 1 test not audited: * (exit status 1, because of --maskcheck-fail-undecided)"),
    "skipped": (SKIPPED.replace("pytest.skip()", "len('x')") + SKIPPED.replace("test_it", "test_skipped"), OK, ""),
}
"""Source, exit status with ``--maskcheck-fail-undecided``, and the line that says why."""


@pytest.mark.parametrize("case", UNDECIDED)
@pytest.mark.parametrize("strict", [True, False], ids=["strict", "usual"])
def test_what_is_undecided_may_fail_the_session(pytester, run, case, strict):
    """With ``maskcheck_fail_undecided``, points without a verdict and tests without an audit fail the session; without it they do not."""
    source, code, line = UNDECIDED[case]
    pytester.makepyfile(source)
    pytester.makeini(f"[pytest]\nmaskcheck_fail_undecided = {strict}\nmaskcheck_allow_none = true\n")
    result = run("--maskcheck")
    assert result.ret == (code if strict else OK)
    if strict and line:
        result.stdout.fnmatch_lines([line])
    else:
        result.stdout.no_fnmatch_line("ERROR: *")


def test_fail_undecided_is_an_option(pytester, run):
    """``--maskcheck-fail-undecided`` holds under xdist as well, and a session that fails anyway keeps its status."""
    pytest.importorskip("xdist")
    pytester.makepyfile(ONCE)
    result = run("--maskcheck", "--maskcheck-fail-undecided", "-p", "xdist", "-n1")
    result.stdout.fnmatch_lines(["ERROR: 1 test not audited: *"])
    assert result.ret == FAILED


def test_fail_undecided_is_true_or_false(pytester, run):
    """A ``maskcheck_fail_undecided`` that is neither true nor false is a usage error."""
    pytester.makeini("[pytest]\nmaskcheck_fail_undecided = perhaps\n")
    result = run("--maskcheck")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: maskcheck_fail_undecided *must be true or false"])


# The summary


def point(line: int, kind: str = "call", path: str = "pkg/a.py", first: Point | None = None) -> Point:
    """Return a point on a line."""
    return Point(f"{path}:{line}:{kind}#1", path, f"/{path}", line, kind, 1, "f", first=first)


def audit(name: str, *points: Point, **changes: object) -> Audit:
    """Return the audit of a test at whose points every interrupt was delivered."""
    results = tuple(PointResult(each.id) for each in points)
    reached = {"pkg/a.py": "3-5,9", "tests/test_a.py": "2"}
    found = Audit(f"tests/test_a.py::{name}", points=points, results=results, own=("tests/test_a.py",), reached=reached)
    return replace(found, **changes)


def lines(*audits: Audit) -> list[str]:
    """Return the summary."""
    return list(summary(audits))


def test_lines_are_counted_once():
    """Each statement counts once over all tests, by its first line; the line of a ``def`` is not a line that the test reached."""
    one, other = audit("one", point(4), point(7), point(3, "entry")), audit("other", point(4), point(2, "entry"))
    assert one.lines_interrupted == {"pkg/a.py": {3, 4, 5}}  # the call on line 7 belongs to the statement on line 5
    assert other.lines_interrupted == {"pkg/a.py": {4}}
    assert lines(one, other) == [
        "2 tests audited at 5 points: 0 defects; 3 of 4 reached lines of pkg interrupted, 0 points undecided"
    ]


def test_lines_reached_after_an_interrupt_are_not_taken_for_others():
    """A second interrupt counts for its line only if the uninterrupted test reached that line."""
    second = audit("one", point(4, first=point(3)), point(7, first=point(3)))
    assert second.lines_interrupted == {"pkg/a.py": {4}}


def test_a_defect_of_several_tests_counts_once():
    """Equal findings with one origin are one defect of the session; with different origins, they are several."""
    places = [Origin((), Frame("pkg/a.py", line, "f", "/pkg/a.py")) for line in (1, 2)]
    found = [Finding(Verdict.LEAK, "lock", "L", "", origin=place) for place in places]
    one, other, third = (
        audit(name, point(4), results=(PointResult(point(4).id, (each,)),))
        for name, each in (("one", found[0]), ("other", found[0]), ("third", found[1]))
    )
    assert ": 1 defect; " in lines(one, other)[-1]
    assert ": 2 defects; " in lines(one, other, third)[-1]


def test_the_project_is_named_by_its_packages():
    """The closing line names the packages in scope, without the folder ``src``; tests and their support are no package."""
    reached = {"src/shop/a.py": "1-3", "tool.py": "1", "tests/conftest.py": "1-9", "tests/test_a.py": "2"}
    assert " 0 of 4 reached lines of shop, tool interrupted" in lines(audit("one", reached=reached))[-1]


def test_points_without_a_verdict_are_counted():
    """Points without a verdict are counted in the closing line as undecided, and their lines do not count as interrupted."""
    one = audit("one", point(4), point(5), results=(PointResult(point(4).id), PointResult(point(5).id, reason="late")))
    assert lines(one) == [
        "not audited: 1 point: late",
        "1 test audited at 1 point: 0 defects; 1 of 4 reached lines of pkg interrupted, 1 point undecided",
    ]


def test_what_is_different_each_time_is_named():
    """A point whose result was different each time is named on a line of its own."""
    varying = PointResult(point(4).id, reason="different each time: leak x", varies=True)
    found = lines(audit("one", point(4), results=(varying,)))
    assert (
        "UNDECIDED: what the interrupt led to was different each time at 1 point: tests/test_a.py::one at pkg/a.py:4:call#1"
    ) in found


def test_tests_with_the_same_reason_are_on_one_line():
    """Tests not audited for the same reason share one line, which names the first few; a test with a reason of its own has its own line."""
    late = [audit(f"late{number}", refused="beyond the time budget of 3 s") for number in range(9)]
    found = lines(*late, audit("doc", refused="doctests cannot be run twice"), audit("one", point(4)))
    assert found[:2] == [
        (
            "not audited: 9 tests (tests/test_a.py::late0, tests/test_a.py::late1, tests/test_a.py::late2 and 6 more): "
            "beyond the time budget of 3 s"
        ),
        "not audited: tests/test_a.py::doc: doctests cannot be run twice",
    ]
    assert found[-1].startswith("1 test audited at 1 point: ")


def test_a_test_without_a_point_is_not_audited():
    """A test without points, or with none that has a verdict, counts as not audited unless its points are in other shards."""
    held = audit("held", point(4), results=(PointResult(point(4).id, reason="held back"),))
    dealt = audit("dealt", shard="1/2", left_out={elsewhere("1/2"): 3})
    found = lines(held, audit("none"), dealt)
    assert [line for line in found if line.startswith("not audited: tests")] == [
        "not audited: tests/test_a.py::held: held back",
        "not audited: tests/test_a.py::none: it reached no point in scope",
    ]
    assert found[-1].startswith("0 tests audited at 0 points: ")


@pytest.mark.parametrize(
    ("reached", "narrow"),
    [
        ({"tests/test_a.py": "1"}, True),
        ({"tests/test_a.py": "1", "conftest.py": "1", "tests/helpers/make.py": "1"}, True),
        ({"tests/test_a.py": "1", "pkg/a.py": "1"}, False),
        ({}, False),
    ],
)
def test_tests_that_are_audited_alone(reached, narrow):
    """If only code of tests was in scope, the summary says so, and the remedy names the package that most tests import."""
    one = audit("one", reached=reached, unaudited=("cachetools",))
    other = audit("other", reached=reached, unaudited=("attr", "cachetools"))
    found = [line for line in lines(one, other) if line.startswith("SCOPE: ")]
    assert len(found) == narrow
    for line in found:
        assert "none of what they import (cachetools, attr)" in line
        assert "--maskcheck-include=cachetools" in line


def test_the_remedy_without_a_package():
    """If the tests import no installed package, the remedy has a placeholder for the package."""
    (line,) = [line for line in lines(audit("one", reached={"tests/test_a.py": "1"})) if line.startswith("SCOPE: ")]
    assert "--maskcheck-include=PACKAGE" in line


@pytest.mark.parametrize("numbers", [[], [3], [3, 4], [1, 2, 3, 7, 9, 10]])
def test_spans_give_back_the_lines(numbers):
    """Line numbers abbreviated to spans expand to the same numbers."""
    assert lines_of(spans(reversed(numbers))) == numbers
    assert spans([1, 2, 3, 7, 9, 10]) == "1-3,7,9-10"


def test_defects_are_in_the_closing_line():
    """The closing line counts the defects that make a test fail."""
    leak = PointResult(point(4).id, (Finding(Verdict.LEAK, "lock", "L", "still locked"),))
    assert ": 1 defect; " in lines(audit("one", point(4), results=(leak,)))[-1]


@pytest.mark.parametrize(
    ("session", "words"),
    [
        (Nothing(0, 0, True, False), "no test that was selected is marked"),
        (Nothing(0, 0, False, False), "no test was selected"),
        (Nothing(2, 0, True, False), "none of 2 tests passed by itself"),
        (Nothing(2, 2, True, True), "no point of 2 tests"),
    ],
)
def test_why_nothing_was_audited(session, words):
    """The sentence gives the reason why nothing was audited, and the remedy unless that was allowed."""
    text = nothing(session)
    assert text.startswith(f"nothing was audited: {words}")
    assert ("--maskcheck-allow-none" in text) != session.meant
