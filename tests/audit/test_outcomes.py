"""Each test has one outcome for pytest and other plugins, whatever its audit did."""

from __future__ import annotations

import re
import shlex
from importlib.util import find_spec
from xml.etree import ElementTree as ET

import pytest

PREAMBLE = """
import os, pytest, sys, threading, time
from pytest_maskcheck import InterruptUnsafe

LOCK = threading.Lock()
RUNS = []

def unsafe():
    LOCK.acquire()
    LOCK.release()
"""

MIXED = (
    PREAMBLE
    + """
pytestmark = pytest.mark.interrupt_safe

def test_safe():
    print("said by safe")
    len("x")

def test_unsafe():
    print("said by unsafe")
    unsafe()

@pytest.mark.xfail(strict=True, reason="known")
def test_known():
    unsafe()

@pytest.mark.xfail(raises=InterruptUnsafe)
def test_known_kind():
    unsafe()

@pytest.mark.xfail(raises=OSError)
def test_other_kind():
    unsafe()

@pytest.mark.xfail(strict=True)
def test_safe_after_all():
    len("x")

@pytest.mark.skip(reason="today")
def test_skipped():
    unsafe()

def test_skips():
    pytest.skip("inside")

@pytest.mark.xfail
def test_xfails():
    assert not unsafe

def test_fails():
    assert not unsafe

def test_only_once():
    RUNS.append(1)
    assert len(RUNS) == 1
"""
)

OUTCOMES = {
    "test_safe": "PASSED",
    "test_unsafe": "FAILED",
    "test_known": "XFAIL",
    "test_known_kind": "XFAIL",
    "test_other_kind": "FAILED",
    "test_safe_after_all": "FAILED",
    "test_skipped": "SKIPPED",
    "test_skips": "SKIPPED",
    "test_xfails": "XFAIL",
    "test_fails": "FAILED",
    "test_only_once": "PASSED",
}
AUDITED = {name for name in OUTCOMES if name not in {"test_skipped", "test_skips", "test_xfails", "test_fails"}}

TWO = (
    PREAMBLE
    + """
@pytest.mark.interrupt_safe
def test_unsafe():
    print("said by unsafe")
    unsafe()

@pytest.mark.interrupt_safe
def test_safe():
    print("said by safe")
    len("x")
"""
)


def names(audits) -> set[str]:
    """Return the names of the tests that were audited."""
    return {audit.test.partition("::")[2] for audit in audits if not audit.is_unbegun}


@pytest.fixture(scope="module")
def mixed(audit_folder):
    """The result of one session over the mixed tests, with all options that show outcomes."""
    return audit_folder({"test_mixed.py": MIXED}, "-v", "-rA", "--junitxml=report.xml")


def test_verbose_shows_each_test_once(mixed):
    """With ``-v`` every test has one line, with the outcome after the audit; the tests that passed by themselves were audited."""
    lines = re.findall(r"^test_mixed\.py::(\w+) ([A-Z]+).*%\]$", mixed.output, re.MULTILINE)
    assert lines == list(OUTCOMES.items())
    assert names(mixed.audits) == AUDITED
    assert re.search(r"^=+ 4 failed, 2 passed, 2 skipped, 3 xfailed in ", mixed.output, re.MULTILINE)


def test_all_sections_with_ra(mixed):
    """With ``-rA`` the output of the ordinary run is shown once, and the audit's report has a section of its own."""
    assert mixed.output.count("\nsaid by safe\n") == mixed.output.count("\nsaid by unsafe\n") == 1
    shown = pytest.LineMatcher(mixed.output.splitlines())
    shown.fnmatch_lines(
        [
            "*- maskcheck -*",
            "* of * points audited in *, 1 defect",
            "leak: lock test_mixed.LOCK",
            "*= maskcheck =*",
            "not audited: *::test_only_once: run again, the test raised AssertionError: *",
            "FAILED *::test_unsafe - leak: lock *",
            "FAILED *::test_safe_after_all - *XPASS(strict)*",
        ]
    )


def test_junit_has_one_case_for_each_test(mixed):
    """The JUnit XML report has one case for each test; that of an unsafe test has one failure with the defect."""
    cases = list(ET.parse(mixed.path / "report.xml").iter("testcase"))
    assert [case.get("name") for case in cases] == list(OUTCOMES)
    (failure,) = cases[1]
    assert failure.tag == "failure"
    assert re.fullmatch(r"leak: lock test_mixed\.LOCK \[1 point, test_mixed\.py:\d+\]", failure.get("message"))


@pytest.mark.skipif(not find_spec("xdist"), reason="needs pytest-xdist")
def test_workers_of_xdist_give_the_same_results(mixed, audit_folder):
    """With ``-n2``, outcomes, audits and points are the same as in one process."""
    spread = audit_folder({"test_mixed.py": MIXED}, "-p", "xdist", "-n2")
    alone, beside = (
        {
            audit.test: [
                (result.point, [finding.identity for finding in result.findings], result.reason, result.note)
                for result in audit.results
            ]
            for audit in folder.audits
        }
        for folder in (mixed, spread)
    )
    assert names(mixed.audits) == names(spread.audits) == AUDITED
    assert beside == alone
    shown = pytest.LineMatcher(spread.output.splitlines())
    shown.fnmatch_lines(
        [
            "*= maskcheck =*",
            "* tests audited at * points: 1 defect; * of * reached lines of * interrupted, * undecided; 2 of 11 tests not audited: *",
        ]
    )
    shown.re_match_lines(["=+ 4 failed, 2 passed, 2 skipped, 3 xfailed in .*"])


def test_quiet_shows_one_letter_for_each_test(audit):
    """With ``-q`` and without capture, each test has one letter and prints its output once."""
    result = audit(TWO, "-qq", "-s").result
    assert result.outlines[0] == "said by unsafe"
    assert result.outlines[1] == "Fsaid by safe"
    assert result.outlines[2].rstrip() == "."


def test_stop_at_the_first_failure(audit):
    """With ``-x`` a failing audit ends the session."""
    audited = audit(TWO, "-x")
    audited.result.assert_outcomes(failed=1)
    assert names(audited.audits) == {"test_unsafe"}


def test_last_failed(pytester, run):
    """``--lf`` selects a test that failed only in its audit."""
    pytester.makepyfile(TWO)
    run("--maskcheck", cache=True).assert_outcomes(failed=1, passed=1)
    run("--maskcheck", "--lf", cache=True).assert_outcomes(failed=1)


def test_all_tests_can_be_audited(audit):
    """``--maskcheck-all`` audits tests without the marker too."""
    audited = audit(TWO.replace("@pytest.mark.interrupt_safe", ""), "--maskcheck-all")
    audited.result.assert_outcomes(failed=1, passed=1)
    assert names(audited.audits) == {"test_unsafe", "test_safe"}


def test_errors_outside_the_body_are_reported_as_ever(audit):
    """Errors in the set-up and tear-down of fixtures of any scope are reported as errors, once each."""
    source = (
        PREAMBLE
        + """
pytestmark = pytest.mark.interrupt_safe

@pytest.fixture(scope="module")
def module():
    yield
    raise OSError("end of module")

@pytest.fixture
def function():
    yield
    raise OSError("end of function")

@pytest.fixture
def broken():
    raise OSError("no start")

def test_broken(broken):
    unsafe()

def test_function(function):
    unsafe()

def test_module(module):
    len("x")
"""
    )
    audited = audit(source, "-rE")
    audited.result.assert_outcomes(passed=2, errors=3)
    for message in ("no start", "end of function", "end of module"):
        assert audited.result.stdout.str().count(f"E       OSError: {message}") == 1
    assert names(audited.audits) == {"test_module"}


def test_what_changes_from_run_to_run_is_told(audit):
    """A test that does not pass a second time keeps its outcome, and the reason why it was not audited is reported."""
    audited = audit(
        PREAMBLE
        + """
@pytest.fixture
def fresh():
    assert not RUNS
    yield
    RUNS.append(1)

@pytest.mark.interrupt_safe
def test_it(fresh):
    unsafe()
"""
    )
    audited.result.assert_outcomes(passed=1)
    assert audited.audit.refused.startswith("run again, the test setup of the test failed: ")


def test_user_properties_and_sections_do_not_grow(pytester, audit):
    """A property that a test records is in the report once, however often the test ran."""
    audit(
        PREAMBLE
        + """
@pytest.mark.interrupt_safe
def test_it(record_property):
    record_property("colour", "red")
    len("x")
""",
        "--junitxml=report.xml",
    )
    (case,) = ET.parse(pytester.path / "report.xml").iter("testcase")
    properties = case.iter("property")
    assert [(entry.get("name"), entry.get("value")) for entry in properties] == [("colour", "red")]


@pytest.mark.skipif(not find_spec("_pytest.subtests"), reason="needs pytest 9")
@pytest.mark.parametrize("options", [[], ["--maskcheck-isolation=none"], ["-p", "xdist", "-n1"]])
def test_subtests_and_warnings_are_counted_once(audit, options):
    """Subtests and warnings of repeated runs are not counted, neither on the terminal nor under xdist, and fail nothing."""
    source = (
        PREAMBLE
        + """
import unittest, warnings
pytestmark = pytest.mark.interrupt_safe

def test_fixture(subtests):
    warnings.warn("careful")
    for number in range(2):
        with subtests.test(number=number):
            len("x")

class TestIt(unittest.TestCase):
    def test_it(self):
        for number in range(2):
            with self.subTest(number=number):
                len("x")
"""
    )
    audited = audit(source, "-v", *options)
    audited.result.stdout.re_match_lines([r"=+ 2 passed, 1 warning, 4 subtests passed in .*"])
    assert not any(audit.failures for audit in audited.audits)


@pytest.mark.skipif(not find_spec("pytest_timeout"), reason="needs pytest-timeout")
def test_a_timeout_holds_for_one_run(audit):
    """pytest-timeout does not fire, although all runs together take longer than the timeout of one run."""
    source = (
        PREAMBLE
        + """
@pytest.mark.interrupt_safe
@pytest.mark.timeout(1.5)
def test_it():
    time.sleep(0.3)
    for _ in range(6):
        len("x")
"""
    )
    audited = audit(source, "-p", "timeout", "--timeout-method=thread", "--maskcheck-hits=all")
    audited.result.assert_outcomes(passed=1)
    assert audited.audit.seconds > 1.5
    assert not audited.audit.not_audited


@pytest.mark.skipif(not find_spec("pytest_rerunfailures"), reason="needs pytest-rerunfailures")
def test_reruns_of_failures(audit):
    """With pytest-rerunfailures an unsafe test fails once, and a safe test passes once."""
    audited = audit(TWO, "-p", "rerunfailures", "--reruns=1")
    audited.result.assert_outcomes(passed=1, failed=1)


@pytest.mark.skipif(not find_spec("pytest_randomly"), reason="needs pytest-randomly")
def test_random_order_and_seeds(audit):
    """With pytest-randomly every run of a test draws the same random numbers, and so reaches the same points."""
    source = (
        PREAMBLE
        + """
import random

@pytest.mark.interrupt_safe
def test_it():
    for _ in range(random.randrange(1, 1000)):
        len("x")
"""
    )
    audited = audit(source, "-p", "randomly", "--maskcheck-hits=2")
    audited.result.assert_outcomes(passed=1)
    assert not any("not reached again" in reason for reason in audited.audit.not_audited)


@pytest.mark.skipif(not find_spec("_pytest.subtests"), reason="needs pytest 9")
@pytest.mark.parametrize("options", [[], ["-p", "xdist", "-n1"]])
def test_a_test_with_failing_subtests_is_not_audited(audit, options):
    """A test with failing subtests counts as failed, even if pytest reports the test itself as passed; one line gives the reason."""
    source = (
        PREAMBLE
        + """
import unittest
pytestmark = pytest.mark.interrupt_safe

def test_fixture(subtests):
    for number in range(3):
        with subtests.test(number=number):
            assert number == 1

class TestIt(unittest.TestCase):
    def test_it(self):
        for number in range(3):
            with self.subTest(number=number):
                self.assertEqual(number, 1)

def test_all_pass(subtests):
    with subtests.test():
        len("x")
"""
    )
    audited = audit(source, *options)
    refused = {one.test.rpartition("::")[2]: one.refused for one in audited.audits}
    reason = "2 subtests of it failed: only what passes can be audited"
    assert refused == {"test_fixture": reason, "test_it": reason, "test_all_pass": ""}
    audited.result.stdout.fnmatch_lines([f"not audited: 2 tests (*): {reason}"])


def test_the_failure_text_has_the_command_that_reproduces_it(pytester, audit):
    """The failure text, which is all that JUnit XML contains, has a command that reproduces the same defect."""
    source = (
        PREAMBLE
        + """
import threading
LOCK = threading.Lock()

@pytest.mark.interrupt_safe
def test_it():
    LOCK.acquire()
    LOCK.release()
"""
    )
    audited = audit(source, "--maskcheck-hits=1", "--junitxml=report.xml")
    (failure,) = ET.parse(pytester.path / "report.xml").iter("failure")
    (line,) = [text for text in failure.text.splitlines() if text.startswith("E     reproduce ")]
    words = shlex.split(line.removeprefix("E     reproduce "))
    assert words == [
        *("pytest", "--maskcheck-hits=1", "--maskcheck-point"),
        *(audited.defect.points[0].id, audited.audit.test),
    ]
    assert audit(source, *words[1:]).defect.key == audited.defect.key


@pytest.mark.parametrize("isolation", ["fork", "none"])
def test_output_that_is_passed_on_is_that_of_the_ordinary_run(audit, isolation):
    """With ``--capture=tee-sys``, repeated runs print nothing, and the output of the next test is passed on again."""
    source = (
        PREAMBLE
        + """
import sys

@pytest.mark.interrupt_safe
def test_it():
    print("printed")
    print("complained", file=sys.stderr)
    len("x")

def test_next():
    print("later")
"""
    )
    result = audit(source, "--capture=tee-sys", f"--maskcheck-isolation={isolation}").result
    result.assert_outcomes(passed=2)
    assert result.stdout.str().count("printed") == 1
    assert result.stderr.str().count("complained") == 1
    assert result.stdout.str().count("later") == 1


def test_what_is_written_past_captured_streams_is_that_of_the_ordinary_run(audit):
    """With ``--capture=sys``, anything that forked runs write to the file descriptor is discarded."""
    source = (
        PREAMBLE
        + """
import os

@pytest.mark.interrupt_safe
def test_it():
    os.write(1, b"spilled\\n")
    len("x")
"""
    )
    result = audit(source, "--capture=sys").result
    result.assert_outcomes(passed=1)
    assert result.stdout.str().count("spilled") == 1
