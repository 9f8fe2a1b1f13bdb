"""Entries, which all exports are made of: one name for a defect in all of them, and how many tests fail because of it."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from pytest_maskcheck.reports import account, html, markdown, sarif
from pytest_maskcheck.reports.appearance import PLAIN
from pytest_maskcheck.reports.entries import entries
from pytest_maskcheck.reports.leading import leading
from pytest_maskcheck.results import Audit, Category, over_tests
from tests.reports.exported import audit, finding

pytestmark = pytest.mark.newest


def again(name: str, first: Audit) -> Audit:
    """Return the audit of a test that reaches a defect of another, and was not audited there."""
    return Audit(name, found={first.points[0].id: first.test})


def test_a_defect_has_one_name_in_all_formats() -> None:
    """The ids of defects in HTML are the fingerprints in SARIF, also of two that differ in their category alone."""
    twins = audit(finding(), replace(finding(), category=Category.CLEANUP))
    names = [each.fingerprint for each in entries([twins])]
    assert len({*names}) == 2
    assert len({name.partition(":")[0] for name in names}) == 1
    results = json.loads(sarif.encode([twins], ""))["runs"][0]["results"]
    assert [each["partialFingerprints"]["primaryLocationLineHash"] for each in results] == names
    assert re.findall(r'<article class="view story" id="([^"]+)"', html.encode([twins], "").decode()) == names


def test_tests_that_only_reach_a_defect_do_not_count_as_failing() -> None:
    """If another test reaches a defect and is not audited there, it passes, and every report says how many tests fail."""
    first = audit(finding())
    audits = [first, again("test_b.py::test", first), again("test_c.py::test", first)]
    (entry,) = entries(audits)
    said = "1 test fails, 2 others reach it"
    assert said in entry.headline
    assert said in markdown.encode(audits, "").decode()
    assert said in sarif.encode(audits, "").decode()
    assert f"{said}." in html.encode(audits, "").decode()
    assert said in "\n".join(leading(over_tests(audits), PLAIN, verbose=False))


def test_the_command_has_the_options_of_the_session() -> None:
    """Every report shows the command that meets a defect again, with the settings that were options of the command line."""
    found = replace(audit(finding()), options=("--maskcheck-hits=3",))
    said = f"pytest --maskcheck-hits=3 --maskcheck-point {found.defects[0].points[0].id}"
    written = [each.encode([found], "").decode() for each in (markdown, sarif, html)]
    for text in [*written, account.story(found, found.defects[0]), account.section(found)]:
        assert said in text.replace("'", "").replace("&#39;", "")


def test_tests_that_all_fail_are_counted_once() -> None:
    """If each test that reaches a defect fails, one number says that; of a single test there is none."""
    (entry,) = entries([audit(finding()), audit(finding(), test="test_b.py::test")])
    assert entry.headline.endswith(", in 2 tests")
    (entry,) = entries([audit(finding())])
    assert "test" not in entry.headline


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"first_use": True}, "only the first run of a process meets it"),
        ({"first": audit(finding()).points[0]}, "only two interrupts in one run meet it"),
        ({}, ""),
    ],
    ids=["first", "two", "plain"],
)
def test_an_exposure_that_is_never_measured_has_a_reason(change: dict[str, bool], why: str) -> None:
    """A defect that only a first run or two interrupts meet says so, and that its exposure is not measured for that."""
    found = audit(finding())
    found = replace(found, points=(replace(found.points[0], **change),), exposures={})  # type: ignore[arg-type]
    text = markdown.encode([found], "").decode() + html.encode([found], "").decode() + entries([found])[0].about
    text += "\n".join(leading(over_tests([found]), PLAIN, verbose=False))
    text += account.story(found, found.defects[0])
    said = text.lower().count(f"{why}, so for how long it is open is not measured")
    assert said == (4 if why else 0)
    assert why.replace(" meets it", "").replace(" meet it", "") in text
