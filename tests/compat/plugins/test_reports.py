"""Audits beside plugins that report: pytest-html, pytest-json-report, pytest-json-ctrf, allure-pytest, pytest-sugar, pytest-rich; pytest-cov with a limit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.compat.plugins.conftest import Beside

TESTS = """
    import pytest
    from shop import clean, leaky

    pytestmark = pytest.mark.interrupt_safe


    def test_defect(tmp_path):
        print("printed", "once")
        assert leaky(3) == 3


    def test_clean(record_property):
        record_property("number", 3)
        assert clean(3) == 3
"""

HTML_HOOK = """
    import pytest


    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(item, call):
        outcome = yield
        report = outcome.get_result()
        if report.when == "call":
            import pytest_html
            report.extras = [*getattr(report, "extras", []), pytest_html.extras.html("<i>made by a hook</i>")]
"""

ALLURE = """
    import allure
    import pytest
    from shop import clean, leaky

    pytestmark = pytest.mark.interrupt_safe


    @allure.step("look for {number}")
    def look(number, function):
        return function(number)


    @allure.title("Loses a lock")
    def test_defect():
        with allure.step("before"):
            allure.attach("text", name="attached")
        assert look(3, leaky) == 3


    @allure.feature("Feature")
    def test_clean():
        with allure.step("before"):
            pass
        assert look(3, clean) == 3
"""


STORY = ("leak: lock shop.LOCK", "came from", "held by", "blocks", "reproduce", "--maskcheck-point", "cure")
"""What each report has of the defect: what was lost, where it came from, how to see it again, and what helps."""


def test_html(beside: Beside) -> None:
    """The HTML report has one row for each test, the section of the audit, and what a user's hook adds."""
    session = beside("pytest-html pytest-metadata", TESTS, "--html=out.html", files={"conftest.py": HTML_HOOK})
    session.is_right()
    report = (session.place / "out.html").read_text(encoding="utf-8")
    assert "1 Failed" in report
    assert "1 Passed" in report
    assert all(part in report for part in STORY)
    assert "made by a hook" in report
    assert report.count("printed once") == 1


def test_json_report(beside: Beside) -> None:
    """The JSON report has the outcome of each audit, and the stages of one run."""
    session = beside("pytest-json-report pytest-metadata", TESTS, "--json-report", "--json-report-file=out.json")
    session.is_right()
    report = json.loads((session.place / "out.json").read_text(encoding="utf-8"))
    outcomes = {test["nodeid"].rpartition("::")[2]: test["outcome"] for test in report["tests"]}
    assert outcomes == {"test_defect": "failed", "test_clean": "passed"}
    assert report["summary"]["failed"] == report["summary"]["passed"] == 1
    assert report["tests"][0]["call"]["stdout"] == "printed once\n"


def test_ctrf(beside: Beside) -> None:
    """The report in the Common Test Report Format has the defect as the message of its test, and the story as its trace."""
    session = beside("pytest-json-ctrf", TESTS, "--ctrf=out.json")
    session.is_right()
    report = json.loads((session.place / "out.json").read_text(encoding="utf-8"))
    tests = {test["name"].rpartition("::")[2]: test for test in report["results"]["tests"]}
    assert {name: test["status"] for name, test in tests.items()} == {"test_defect": "failed", "test_clean": "passed"}
    assert tests["test_defect"]["message"].startswith("leak: lock shop.LOCK [")
    assert all(part in tests["test_defect"]["trace"] for part in STORY)


def test_allure(beside: Beside) -> None:
    """Allure has one result for each test, with the steps of one run."""
    session = beside("allure-pytest", ALLURE, "--alluredir=allure")
    session.is_right()
    results = [
        json.loads(path.read_text(encoding="utf-8")) for path in (session.place / "allure").glob("*-result.json")
    ]
    assert {result["name"]: result["status"] for result in results} == {
        "Loses a lock": "failed",
        "test_clean": "passed",
    }
    (details,) = [result["statusDetails"] for result in results if result["status"] == "failed"]
    assert details["message"].startswith("pytest_maskcheck.InterruptUnsafe: leak: lock shop.LOCK [")
    assert all(part in details["trace"] for part in STORY)
    assert "call_report.py" not in details["trace"]
    for result in results:
        assert [step["name"] for step in result["steps"]] == ["before", "look for 3"]


def test_cov(beside: Beside) -> None:
    """Tests are audited and the required coverage is reached; ``test_coverage.py`` compares the numbers in all modes."""
    session = beside("pytest-cov", TESTS, "--cov=shop", "--cov-report=term", "--cov-fail-under=99")
    session.is_right()
    assert "Required test coverage of 99% reached" in session.output


def test_sugar(beside: Beside) -> None:
    """Tests are audited beside pytest-sugar; ``tests/compat/test_reporters.py`` checks the progress display."""
    beside("pytest-sugar", TESTS).is_right()


def test_rich(beside: Beside) -> None:
    """Tests are audited beside pytest-rich, which draws the terminal itself."""
    beside("pytest-rich", TESTS, "--rich").is_right()
