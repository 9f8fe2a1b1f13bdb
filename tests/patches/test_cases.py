"""The tests in which an edit must cure a defect."""

from __future__ import annotations

from dataclasses import replace

from pytest_maskcheck.patches.cases import chosen
from pytest_maskcheck.patches.command import _tests
from pytest_maskcheck.patches.proposals import End, Proposal
from pytest_maskcheck.results import Audit, Finding, Point, PointResult, Verdict, over_tests

LOST = Finding(Verdict.LEAK, "lock", "LOCK", "lost")
POINT = Point("a.py:1:call#1", "a.py", "/a.py", 1, "call", 1, "f")


def test_bound():
    """Edits are tried in ten tests; how many more meet the defect is said."""
    audits = [
        Audit(f"t.py::test_{number}", points=(POINT,), results=(PointResult(POINT.id, (LOST,)),))
        for number in range(12)
    ]
    (shared,) = over_tests(audits)
    assert len(chosen(shared)) == 10
    proposal = Proposal(shared, End.CURED, "an edit", chosen(shared))
    assert _tests(proposal) == " (in 10 tests that meet it; 2 more not tried)"
    assert _tests(replace(proposal, end=End.UNCURED)) == ""
    (alone,) = over_tests(audits[:1])
    assert _tests(Proposal(alone, End.CURED, "an edit", chosen(alone))) == ""
