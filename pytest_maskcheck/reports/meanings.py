"""What each verdict means, in one sentence, and how bad it is: for formats that describe their rules. docs/usage.md has more."""

from __future__ import annotations

from pytest_maskcheck.results import Verdict

MEANINGS = {
    Verdict.LEAK: "After the interrupt a resource is still held.",
    Verdict.ALTERED: "After the interrupt the state of the process is not what it was.",
    Verdict.SWALLOWED: "The interrupt was raised and did not come out of the test.",
    Verdict.REPLACED: "Another exception came out, raised while the interrupt was on its way.",
    Verdict.UNUSABLE: "After the interrupt the next run of the test fails.",
    Verdict.INVARIANT: "After the interrupt a guarantee that the test states does not hold.",
    Verdict.HANG: "After the interrupt the run does not end.",
    Verdict.CRASH: "After the interrupt the process ends.",
    Verdict.IMPLICIT: "After the interrupt the resource is released only because CPython counts references.",
    Verdict.INTERPRETER: "A defect of CPython, or a place for which no Python code can prepare.",
}
"""Verdict -> what it means."""

DOCUMENTATION = "https://github.com/pytest-maskcheck/pytest-maskcheck/blob/main/docs/usage.md#verdicts"
HOMEPAGE = "https://github.com/pytest-maskcheck/pytest-maskcheck"

LISTED = {Verdict.IMPLICIT, Verdict.INTERPRETER}
"""The verdicts that usually fail no test."""
