"""Audits that the tests of exports write: defects of each level, and things that were not audited."""

from __future__ import annotations

from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.results import (
    Audit,
    Exposure,
    Finding,
    Frame,
    Origin,
    Point,
    PointResult,
    Verdict,
)

SOURCE = """\
def get():
    LOCK.acquire()
    return 1

def test():
    get()
"""

HOSTILE = "a\"b'<script>|`x`\x1b[31m\n::error::x%0A](1){0}\\ \u2028ä@you #1 ~~"
"""A name that means something in JSON, HTML, Markdown, on terminals, in workflow commands and in messages of SARIF."""


def finding(key: str = "LOCK", verdict: Verdict = Verdict.LEAK, kind: str = "lock", **more) -> Finding:
    """Return a finding with an origin on the line of the acquisition."""
    place = Frame("a.py", 2, "get", more.pop("file", "/nowhere/a.py"))
    origin = Origin((place,), place, held_by=f"a.{key}", waiting=(place,))
    return Finding(verdict, kind, key, f"a lock is still held: {key}", origin=origin, **more)


def audit(*findings: Finding, test: str = "test_a.py::test", file: str = "/nowhere/a.py", **more) -> Audit:
    """Return an audit with a point for each finding; the later ones are the more exposed."""
    context = (Frame("a.py", 6, "test", file),)
    numbers = range(1, len(findings) + 1)
    points = tuple(
        Point(f"a.py:2:call#{number}", "a.py", file, 2, "call", number, "get", context) for number in numbers
    )
    results = tuple(
        PointResult(point.id, (each,), traceback=point.traceback) for point, each in zip(points, findings, strict=True)
    )
    exposures = {point.id: Exposure(10.0**number, 10.0**number) for number, point in enumerate(points)}
    return Audit(test, points=points, results=results, exposures=exposures, duration=1.0, **more)


def refused(test: str = "test_a.py::test_other") -> Audit:
    """Return an audit that was not made."""
    return Audit(test, refused=Reason(NotAudited.DOCTEST))


LEFT_OUT = {Reason(NotAudited.HITS, hits=3): 12}

CLEAN = Audit(
    "test_a.py::test_clean",
    points=(Point("a.py:2:call#1", "a.py", "/nowhere/a.py", 2, "call", 1, "get"),),
    results=(PointResult("a.py:2:call#1"),),
)
"""An audit with one point, and nothing wrong there."""
