"""``--maskcheck-depth``, and a time budget that is spent in the order of the whole suite."""

from __future__ import annotations

import re

import pytest

from pytest_maskcheck.results.lines import united
from pytest_maskcheck.system.lines_since import CAN_NOTE

PACKAGE = """
    import threading

    LOCK = threading.Lock()

    def careful(name):
        with LOCK:
            return str(name)

    def careless(name):
        LOCK.acquire()
        text = str(name)
        LOCK.release()
        return text
    """

TESTS = """
    from package import careful, careless

    def test_one():
        careful("a")

    def test_two():
        careful("a")
        careful("b")

    def test_both():
        careful("a")
        careless("b")

    def test_three():
        careful("a")
    """

FILES = {"package.py": PACKAGE, "test_it.py": TESTS}
ALL = ("--maskcheck-all", "--maskcheck-include=package.py")


def points(folder):
    """Return the points audited, by test."""
    return {
        audit.test.partition("::")[2]: [result.point for result in audit.results if not result.reason]
        for audit in folder.audits
    }


def test_each_line_is_audited_in_one_test(audit_folder):
    """At the depth of lines, the test that reaches most is audited, at each line once; the others run, and one line counts them."""
    folder = audit_folder(FILES, *ALL, "--maskcheck-depth=lines")
    audited = points(folder)
    assert [name for name, found in audited.items() if found] == ["test_both"]
    lines = {(int(point.split(":")[1])) for point in audited["test_both"]}
    (every,) = (audit for audit in audit_folder(FILES, *ALL, "-k", "test_both").audits)
    assert lines == {point.line for point in every.points if point.path == "package.py"}
    assert "not audited: 3 tests: audited in another test" in folder.output
    assert "1 failed, 3 passed" in folder.output


def test_places_are_more_than_lines_and_less_than_all(audit_folder):
    """Each depth has more points than the one before, and each finds the defect."""
    numbers = {}
    for depth in ("lines", "places", "all"):
        folder = audit_folder(FILES, *ALL, f"--maskcheck-depth={depth}")
        numbers[depth] = sum(map(len, points(folder).values()))
        assert "1 defect" in folder.output
    assert numbers["lines"] <= numbers["places"] < numbers["all"]


def test_a_survey_leaves_no_trace(audit_folder):
    """Each test and each fixture runs once in the session's own process: what the survey did is gone, its output included."""
    files = {
        "test_it.py": """
        import pytest

        RAN = []

        @pytest.fixture(scope="module")
        def lasting():
            print("set up")
            RAN.append("fixture")
            yield
            print("torn down")

        def test_one(lasting):
            assert RAN == ["fixture"]
            RAN.append("one")

        def test_two(lasting, capsys):
            print("to be seen")
            assert capsys.readouterr().out == "to be seen\\n"
            assert RAN == ["fixture", "one"]
        """
    }
    folder = audit_folder(files, "--maskcheck-all", "--maskcheck-depth=lines")
    assert "2 passed" in folder.output
    assert "set up" not in folder.output


@pytest.mark.parametrize("trouble", ["raise ValueError", "os._exit(1)", "os.kill(os.getpid(), 9)"])
def test_a_test_that_fails_in_the_survey_is_audited_in_full(audit_folder, trouble):
    """A test that does not pass where it is surveyed, or that ends that process, is audited as if there had been no survey."""
    odd = f"""
        import os
        from pathlib import Path
        from package import careful

        def test_odd():
            if not Path("ran").exists():
                Path("ran").touch()
                {trouble}
            careful("a")

        def test_even():
            careful("a")
            careful("b")
        """
    folder = audit_folder({"package.py": PACKAGE, "test_it.py": odd}, *ALL, "--maskcheck-depth=lines")
    assert "2 passed" in folder.output
    assert any(point.startswith("test_it.py") for point in points(folder)["test_odd"])


def test_a_budget_goes_to_lines_first_over_the_suite(audit_folder):
    """With a budget, the test that alone reaches a line is audited, whichever place it has in the session."""
    many = "".join(f"\n    def test_more{number}():\n        careful({number})\n" for number in range(30))
    files = {"package.py": PACKAGE, "test_it.py": TESTS.rstrip() + many}
    folder = audit_folder(files, *ALL, "--maskcheck-budget=10")
    audited = points(folder)
    assert audited["test_both"]
    assert "LOCK" in folder.output


@pytest.mark.parametrize("value", ["deep", "1", ""])
def test_a_depth_that_does_not_exist_is_an_error(pytester, run, value):
    """An unknown depth is a usage error that names the depths."""
    pytester.makepyfile("def test_it(): pass")
    result = run("--maskcheck-all", f"--maskcheck-depth={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --maskcheck-depth is * it must be one of lines, places, all"])


def test_workers_make_the_same_choice(audit_folder):
    """Under pytest-xdist, each line is audited in one test, whichever worker runs it."""
    folder = audit_folder(FILES, *ALL, "--maskcheck-depth=lines", "-p", "xdist", "-n2")
    assert [name for name, found in points(folder).items() if found] == ["test_both"]


LEAKY = """
    import time
    import pytest
    from package import careful, careless
    """


def suite(*tests: str) -> dict[str, str]:
    """Return the files of a suite of these tests, beside the package."""
    return {"package.py": PACKAGE, "test_it.py": LEAKY + "".join(tests)}


PLAIN = """
    def test_plain():
        time.sleep(0.03)
        careless("a")
    """


@pytest.mark.parametrize("depth", ["lines", "places"])
@pytest.mark.parametrize(
    "mark",
    ["xfail", 'interrupt_safe(allow="lock:*")', 'interrupt_safe(kinds="-lock")', "interrupt_safe(may_swallow=True)"],
)
def test_a_test_stands_only_for_tests_that_would_be_judged_alike(audit_folder, depth, mark):
    """A test that may fail, or that accepts what another test does not, is not audited in its place."""
    first = f"""
    @pytest.mark.{mark}
    def test_first():
        careless("a")
        careful("b")
    """
    folder = audit_folder(suite(first, PLAIN), *ALL, f"--maskcheck-depth={depth}")
    assert "FAILED test_it.py::test_plain" in folder.output


def test_another_test_takes_the_place_of_one_that_cannot_be_audited(audit_folder):
    """If the test that was chosen cannot be audited, a later one is, and so the defect is found."""
    refused = """
    RUNS = []

    def test_first():
        RUNS.append(1)
        careless("a")
        careful("b")
        if len(RUNS) > 1:
            pytest.skip("only once")
    """
    folder = audit_folder(suite(refused, PLAIN), *ALL, "--maskcheck-depth=lines")
    assert "FAILED test_it.py::test_plain" in folder.output
    # The lines of careful(), which no later test reaches.
    assert re.search(
        r"not audited: [1-9] points?: the tests chosen for them failed, or could not be audited", folder.output
    )
    assert "0 points undecided" not in folder.output


def test_what_the_depth_leaves_out_is_decided(audit_folder):
    """Tests that others stand for do not fail a session that must decide all points; a point that nobody audited does."""
    folder = audit_folder(FILES, *ALL, "--maskcheck-depth=lines", "--maskcheck-fail-undecided", "-k", "one or two")
    assert "2 passed" in folder.output
    assert "fail-undecided" not in folder.output


THREADED = """
    import threading

    def main():
        return len("a")

    def inner():
        text = str(1)
        return len(text)
    """
IN_A_THREAD = """
    import threading
    from threaded import inner, main

    def test_main():
        main()

    def test_thread():
        thread = threading.Thread(target=inner)
        thread.start()
        thread.join()
        main()

    def test_other_thread():
        thread = threading.Thread(target=len, args=("a",))
        thread.start()
        thread.join()
        main()
    """


def test_what_only_a_thread_reaches_is_not_left_to_other_tests(audit_folder):
    """A test that runs code in scope in a thread is audited, so that the lines are reached; one that runs other code there is not."""
    files = {"threaded.py": THREADED, "test_it.py": IN_A_THREAD}
    folder = audit_folder(files, "--maskcheck-all", "--maskcheck-include=threaded.py", "--maskcheck-depth=lines")
    left_out = [audit.test.partition("::")[2] for audit in folder.audits if audit.refused]
    assert left_out in (["test_main"], ["test_other_thread"])  # one of them stands for the other
    (threaded,) = (audit for audit in folder.audits if audit.test.endswith("test_thread"))
    assert {8, 9} <= {*threaded.lines_reached["threaded.py"]}


BRANCHES = """
    def choose(n):
        if n == 1:
            found = "one"
        elif n == 2:
            found = "two"
        else:
            found = "more"
        return len(found)
    """
EACH_BRANCH = """
    import pytest
    from branches import choose

    @pytest.mark.parametrize("n", [1, 2, 3])
    def test_it(n):
        choose(n)
    """


@pytest.mark.skipif(not CAN_NOTE, reason="needs sys.monitoring")
def test_lines_without_a_point_are_reached_by_tests_that_are_left_out(audit_folder):
    """The depth makes no line vanish: those without a point that only a test left out reaches are counted as reached."""
    files = {"branches.py": BRANCHES, "test_it.py": EACH_BRANCH}
    options = ("--maskcheck-all", "--maskcheck-include=branches.py")
    folder = audit_folder(files, *options, "--maskcheck-depth=lines")
    assert any(audit.refused for audit in folder.audits)
    reached = united(audit.lines_reached for audit in folder.audits)
    assert reached == united(audit.lines_reached for audit in audit_folder(files, *options).audits)
