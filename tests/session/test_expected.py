"""Tests that were to be audited and were not are in the reports, with the reason, however the session ended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_maskcheck.reports.unaudited import extent
from pytest_maskcheck.results import Audit

pytestmark = pytest.mark.newest

TESTS = """
    import os, pytest

    pytestmark = pytest.mark.interrupt_safe

    def test_first():
        abs(-1)

    def test_second():
        {body}

    def test_third():
        abs(-1)
"""
LAST = """
    import pytest

    @pytest.mark.interrupt_safe
    def test_first():
        abs(-1)

    @pytest.mark.interrupt_safe
    def test_last():
        assert 0
"""
NO_PASS = """
    import pytest

    pytestmark = pytest.mark.interrupt_safe

    @pytest.fixture
    def broken():
        raise ValueError

    def test_first(): abs(-1)
    def test_fails(): assert 0
    def test_errs(broken): pass
    @pytest.mark.skip
    def test_skipped(): pass
    @pytest.mark.xfail
    def test_expected(): assert 0
"""
FAILED = "it does not pass, and only what passes can be audited"
CTRL_C = "the session was ended by Ctrl-C"
STOPPED = "pytest ended the session: stopping after 1 failures"


@pytest.fixture
def session(pytester, run):
    """Return a function that runs a session: it returns the reasons of tests without an audit, the shortfall and the terminal."""

    def made(*options: str, **sources: str):
        pytester.makepyfile(**sources)
        result = run(
            "--maskcheck", "--maskcheck-report=json:report.json", "--maskcheck-report=badge:badge.json", *options
        )
        data = json.loads(Path("report.json").read_bytes())
        reasons = {audit["test"].rpartition("::")[2]: audit["refused"] for audit in data["audits"]}
        return reasons, (data["session"]["shortfall"] or {}).get("text", ""), result

    return made


def color() -> str:
    """Return the colour of the badge."""
    found: str = json.loads(Path("badge.json").read_bytes())["color"]
    return found


@pytest.mark.parametrize(
    ("body", "options", "second", "third"),
    [
        ("raise KeyboardInterrupt", [], CTRL_C, CTRL_C),
        ("assert 0", ["-x"], FAILED, STOPPED),
        ("assert 0", ["--maxfail=1"], FAILED, STOPPED),
        ("pytest.exit('enough')", [], "pytest ended the session: enough", "pytest ended the session: enough"),
    ],
)
def test_a_session_that_ends_early(session, body, options, second, third):
    """Each test that it did not come to is there with the reason, and the last line counts them; --maskcheck-fail-undecided, too."""
    reasons, shortfall, result = session("--maskcheck-fail-undecided", *options, test_it=TESTS.format(body=body))
    assert reasons == {"test_first": "", "test_second": second, "test_third": third}
    assert shortfall == third
    others = "" if second == third else ", and other reasons"
    result.stdout.fnmatch_lines(
        [
            f"1 test audited at *; ended early: 2 of 3 tests not audited: {third}{others}",
            "ERROR: 2 tests not audited: *",
        ]
    )
    assert color() == "yellow"


def test_a_session_whose_last_test_fails_came_to_its_end(session):
    """With -x, nothing is lost if the last test is the one that fails."""
    reasons, shortfall, result = session("-x", test_it=LAST)
    assert (reasons, shortfall) == ({"test_first": "", "test_last": FAILED}, "")
    result.stdout.fnmatch_lines([f"1 test audited at *; 1 of 2 tests not audited: {FAILED}"])


def test_tests_that_do_not_pass(session):
    """They are there with the reason, in setup or not; what is skipped or expected to fail is data, and no line of the terminal."""
    reasons, shortfall, result = session(test_it=NO_PASS)
    skipped, expected = "it was skipped", "it fails as expected (xfail)"
    assert reasons == {
        "test_first": "",
        "test_fails": FAILED,
        "test_errs": FAILED,
        "test_skipped": skipped,
        "test_expected": expected,
    }
    assert not shortfall
    assert color() == "yellow"
    result.stdout.fnmatch_lines([f"not audited: 2 tests: {FAILED}", "1 test audited *; 2 of 5 tests not audited: *"])
    result.stdout.no_fnmatch_line(f"*{skipped}*")


def test_a_session_that_is_whole(session):
    """A session whose tests were audited, skipped or expected to fail lacks nothing."""
    kept = NO_PASS.replace("def test_fails(): assert 0", "").replace("def test_errs(broken): pass", "")
    _, shortfall, result = session("--maskcheck-fail-undecided", test_it=kept)
    assert (shortfall, result.ret, color()) == ("", pytest.ExitCode.OK, "brightgreen")
    assert "not audited" not in result.outlines[-2]


def test_an_error_of_collection(session):
    """The module is there, as its tests are not known, and the tests that were not run because of it; or only the module."""
    sources = {"test_broken": "import nonsense_of_this_test", "test_it": TESTS.format(body="pass")}
    reasons, shortfall, result = session(**sources)
    why = "pytest ended the session: 1 error during collection"
    unknown = "a module could not be collected, so its tests are not known"
    assert reasons == dict.fromkeys(["test_first", "test_second", "test_third"], why) | {"test_broken.py": unknown}
    assert shortfall == why
    result.stdout.fnmatch_lines(["*; nothing was audited, ended early: 3 of 3 tests not audited: *"])
    reasons, shortfall, result = session("--continue-on-collection-errors", **sources)
    assert (reasons["test_first"], reasons["test_broken.py"], shortfall) == ("", unknown, "")
    result.stdout.fnmatch_lines([f"3 tests audited *; ended early: {unknown}"])


@pytest.mark.parametrize(("options", "third"), [([], ""), (["--max-worker-restart=0"], "it was not run")])
def test_a_worker_that_dies(session, options, third):
    """The test that it ran is there, and those that no other worker ran."""
    pytest.importorskip("xdist")
    reasons, _, result = session("-p", "xdist", "-n1", *options, test_it=TESTS.format(body="os._exit(3)"))
    assert reasons == {"test_first": "", "test_second": "the worker died", "test_third": third}
    lost = (
        "ended early: 2 of 3 tests not audited: it was not run, and other reasons"
        if third
        else "1 of 3 tests not audited: the worker died"
    )
    result.stdout.fnmatch_lines([f"* audited at *; {lost}"])
    assert color() == "yellow"


def test_workers_that_are_stopped(session):
    """The controller knows the tests that workers did not come to."""
    pytest.importorskip("xdist")
    reasons, shortfall, _ = session("-p", "xdist", "-n1", "-x", test_it=TESTS.format(body="assert 0"))
    assert (reasons["test_second"], shortfall) == (FAILED, "" if not reasons["test_third"] else STOPPED)
    assert reasons["test_third"] in {"", STOPPED, "the audit ended early"}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ([], "no test that was selected is marked"),
        (["--maskcheck-all", "-k", "nothing"], "no test was selected"),
        (["--collect-only"], "tests were collected, and not run"),
    ],
)
def test_a_session_with_nothing_to_audit(session, options, why):
    """The report has the reason."""
    reasons, shortfall, _ = session(*options, test_it="def test_it(): pass")
    assert (reasons, shortfall) == ({}, why)
    assert color() == "lightgrey"


def test_ctrl_c_while_tests_are_collected(session):
    """Which tests there are is not known then; the session still says that it ended early."""
    reasons, shortfall, result = session(test_it="raise KeyboardInterrupt")
    assert (reasons, shortfall) == ({}, CTRL_C)
    result.stdout.fnmatch_lines([f"nothing was audited, ended early: {CTRL_C}"])


def test_what_other_sessions_found_counts(pytester, run):
    """If each test has a result from an earlier session, it is not said that nothing was audited."""
    pytester.makepyfile(test_it=TESTS.format(body="pass"))
    run("--maskcheck", "--maskcheck-cache=results")
    result = run(
        "--maskcheck", "--maskcheck-cache=results", "--maskcheck-changed", "--maskcheck-report=json:report.json"
    )
    result.stdout.no_fnmatch_line("*nothing was audited*")
    audits = [Audit.from_json(each) for each in json.loads(Path("report.json").read_bytes())["audits"]]
    assert not extent(audits).text


def test_an_internal_error(session):
    """A plugin that breaks in the midst ends the session; the tests after it are there, with that reason."""
    plugin = "def pytest_runtest_logstart(nodeid):\n    assert 'second' not in nodeid"
    reasons, shortfall, _ = session(conftest=plugin, test_it=TESTS.format(body="pass"))
    why = "an error of pytest or of a plugin ended the session"
    assert reasons == {"test_first": "", "test_second": why, "test_third": why}
    assert shortfall == why
    assert color() == "yellow"
