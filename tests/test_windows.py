"""Windows: the stretches in which an interrupt leads into a defect."""

from __future__ import annotations

import pytest

from pytest_maskcheck.results import Audit, Finding, Frame, Point, PointResult, Verdict
from pytest_maskcheck.results.windows import windows

LOST = Finding(Verdict.LEAK, "lock", "LOCK", "lost")
OTHER = Finding(Verdict.LEAK, "lock", "OTHER", "lost")


def at(line: int, *callers: int, function: str = "f", hit: int = 1) -> Point:
    """Return a point on a line of a function, called from lines of the function ``outer``, innermost first."""
    context = tuple(Frame("a.py", caller, "outer", "/a.py") for caller in callers)
    return Point(f"a.py:{line}:call#{hit}", "a.py", "/a.py", line, "call", hit, function, context)


def audit(*rows: tuple[Point, Finding | str | None]) -> Audit:
    """Return an audit of points, each with its finding, the reason why it was not audited, or neither."""
    results = tuple(
        PointResult(point.id, reason=what) if isinstance(what, str) else PointResult(point.id, (what,) if what else ())
        for point, what in rows
    )
    return Audit("test", points=tuple(point for point, _ in rows), results=results)


def until(*rows: tuple[Point, Finding | str | None]) -> list[int]:
    """Return the last line to be masked, of each window of the first defect."""
    made = audit(*rows)
    return [each.until for each in windows(made, made.defects[0])]


def shown(*rows: tuple[Point, Finding | str | None]) -> list[tuple[str, str, int | None]]:
    """Return function, lines and following line of the windows of the first defect."""
    made = audit(*rows)
    found = windows(made, made.defects[0])
    return [(each.function, each.lines, each.after and each.after.line) for each in found]


def test_from_first_to_last_point():
    """A window extends from the first to the last losing point, and the next one follows it."""
    assert shown((at(1), None), (at(2), LOST), (at(3), LOST), (at(4), None)) == [("f", "2-3", 4)]


def test_interrupted_by_a_clean_point():
    """A point without the defect ends a window; what was not audited does not."""
    rows = [(at(1), LOST), (at(2), None), (at(3), LOST), (at(4), "ignored"), (at(5), LOST), (at(6), None)]
    assert shown(*rows) == [("f", "1", 2), ("f", "3-5", 6)]


def test_followed_by_another_defect():
    """If something else is lost at the next point, nothing is said to follow; nor if there is no next point."""
    assert shown((at(1), LOST), (at(2), OTHER), (at(3), LOST)) == [("f", "1", None), ("f", "3", None)]


def test_in_the_caller():
    """What a function acquires and returns is lost in its caller, whose lines count."""
    rows = [
        (at(20, 5, function="acquire"), LOST),
        (at(6, function="outer"), LOST),
        (at(30, 7, function="release"), LOST),
        (at(8, function="outer"), None),
    ]
    assert shown(*rows) == [("outer", "5-7", 8)]


def test_in_one_call():
    """What is acquired and released in one call is lost there, whatever its callers."""
    assert shown((at(2, 9), LOST), (at(3, 9), LOST), (at(4, 9), None)) == [("f", "2-3", 4)]


@pytest.mark.parametrize(("then", "after"), [(None, 3), (OTHER, None)])
def test_several_times(then, after):
    """A stretch that the run comes to twice is one window; what follows must be clean each time."""
    rows = [(at(2, 9), LOST), (at(3, 9), None), (at(2, 9, hit=2), LOST), (at(3, 9, hit=2), then)]
    assert shown(*rows) == [("f", "2", after)]


def test_to_be_masked():
    """A mask must cover the line of the point that follows, unless that is in another function."""
    assert until((at(2), LOST), (at(3), None)) == [3]
    assert until((at(2, 9), LOST), (at(9, function="outer"), None)) == [2]
    assert until((at(2, 9), LOST), (at(3, 10), None)) == [2]
    assert until((at(2), LOST)) == [2]
    assert until((at(6, function="outer"), LOST), (at(30, 7, function="release"), None)) == [7]
