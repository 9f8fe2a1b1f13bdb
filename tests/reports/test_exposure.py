"""The exposure of a defect in words."""

from __future__ import annotations

import pytest

from pytest_maskcheck.reports.exposure import exposure, odds
from pytest_maskcheck.results import Audit, Defect, Exposure, Verdict


def defect(exposed: Exposure | None) -> Defect:
    """Return a defect with an exposure."""
    return Defect(Verdict.LEAK, "lock", "a.LOCK", "", True, (), (), exposure=exposed)


@pytest.mark.parametrize(
    ("exposed", "seconds", "text"),
    [
        (Exposure(3.2, 4.9), 0.018, "3.2-4.9 µs of a run of 18 ms: about one Ctrl-C in 4,400"),
        (Exposure(0.0, 0.25), 1.0, "0-0.25 µs of a run of 1 s: at most one Ctrl-C in 4,000,000"),
        (Exposure(5, 49), 0.018, "5-49 µs of a run of 18 ms: about one Ctrl-C in 670"),
        (Exposure(5, 51), 0.018, "5-51 µs of a run of 18 ms: at most one Ctrl-C in 350"),
        (Exposure(0, 18_000), 0.018, "0 µs to 18 ms of a run of 18 ms: perhaps every Ctrl-C"),
        (Exposure(900, 1500), 0.018, "900 µs to 1.5 ms of a run of 18 ms: about one Ctrl-C in 15"),
        (Exposure(120, 120), 0.1, "120 µs of a run of 100 ms: about one Ctrl-C in 830"),
        (
            Exposure(15_002, 15_600, 15_000),
            0.016,
            "15-16 ms (15 ms of it waiting) of a run of 16 ms: nearly every Ctrl-C",
        ),
        (
            Exposure(4_000, 6_000, 4_800),
            0.05,
            "4-6 ms (4.8 ms of it waiting) of a run of 50 ms: about one Ctrl-C in 10",
        ),
    ],
)
def test_an_exposure_is_told_with_units(exposed, seconds, text):
    """Each time has a unit that fits it; the odds are those during the test."""
    audit = Audit("test", duration=seconds)
    assert exposure(audit, defect(exposed)) == text
    assert text.endswith(odds(audit, defect(exposed)))


def test_where_nothing_was_measured_nothing_is_told():
    """A defect without an exposure has no such text."""
    assert exposure(Audit("test"), defect(None)) == odds(Audit("test"), defect(None)) == ""
