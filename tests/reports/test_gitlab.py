"""GitLab's Code Quality report."""

from __future__ import annotations

import json

from pytest_maskcheck.reports import gitlab
from pytest_maskcheck.results import Audit, Verdict
from tests.reports.exported import CLEAN, HOSTILE, LEFT_OUT, audit, finding, refused


def issues(*audits: Audit) -> list[dict]:
    """Return the issues of audits, each of which has what GitLab requires."""
    found = json.loads(gitlab.encode(audits, ""))
    for each in found:
        assert each["description"]
        assert each["check_name"]
        assert each["severity"] in {"info", "minor", "major", "critical", "blocker"}
        assert each["location"]["lines"]["begin"] >= 1
        assert not each["location"]["path"].startswith(("./", "/"))
    assert len({each["fingerprint"] for each in found}) == len(found)
    return found


def test_an_issue_for_each_defect():
    """Each defect is one issue at the line to cure, the worst first."""
    hang = finding("HANG", verdict=Verdict.HANG)
    found = issues(audit(finding("LISTED", fails=False), finding("LOCK"), hang), audit(finding("LOCK"), test="other"))
    assert [(each["severity"], each["check_name"]) for each in found] == [
        ("critical", "maskcheck/hang-lock"),
        ("major", "maskcheck/leak-lock"),
        ("info", "maskcheck/leak-lock"),
    ]
    assert found[1]["location"] == {"path": "a.py", "lines": {"begin": 2, "end": 2}}
    assert "in 2 tests" in found[1]["description"]


def test_what_was_not_audited():
    """Each reason is an issue of its own, whose fingerprint does not depend on numbers."""
    found = issues(CLEAN, audit(left_out=LEFT_OUT), refused())
    assert [(each["check_name"], each["severity"]) for each in found] == [
        ("maskcheck/not-audited/doctest", "info"),
        ("maskcheck/not-audited/further-hit", "info"),
    ]
    assert found[0]["location"] == {"path": "test_a.py", "lines": {"begin": 1}}
    (more, _) = issues(CLEAN, refused(), refused("test_b.py::test"), audit(left_out=LEFT_OUT))
    assert more["fingerprint"] == found[0]["fingerprint"]
    assert more["description"].startswith("Not audited: 2 tests: ")


def test_nothing_found():
    """A session without defects is an empty array, as GitLab wants it."""
    assert issues(CLEAN) == []


def test_hostile_names():
    """A name may have any characters."""
    assert "<script>" in issues(audit(finding(HOSTILE)))[0]["description"]
