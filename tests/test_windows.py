"""Windows: the stretches in which an interrupt leads into a defect, and where it arrives if a mask holds it back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_maskcheck.results import Audit, Finding, Frame, HeldBackRun, Origin, Point, PointResult, Verdict
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


def shown(*rows: tuple[Point, Finding | str | None]) -> list[tuple[str, str, int | None, int | None]]:
    """Return function, lines, last masked line and line of arrival of the windows of the first defect."""
    made = audit(*rows)
    found = windows(made, made.defects[0])
    return [(each.function, each.lines, each.until, each.after and each.after.line) for each in found]


def test_from_first_to_last_point():
    """A window extends from the first to the last losing point; a mask also covers the line of the next one, where the thing is released."""
    assert shown((at(1), None), (at(2), LOST), (at(3), LOST), (at(4), None), (at(5), None)) == [("f", "2-3", 4, 5)]


def test_points_on_the_line_of_the_release():
    """An interrupt that a mask holds back arrives on another line than the one with which the mask ends."""
    assert shown((at(2), LOST), (at(4), None), (at(4), None), (at(5), None)) == [("f", "2", 4, 5)]
    assert shown((at(2), LOST), (at(4), None), (at(20, 4, function="g"), None), (at(5), None))[0][2:] == (4, 20)


def test_interrupted_by_a_clean_point():
    """A point without the defect ends a window; what was not audited does not."""
    rows = [(at(1), LOST), (at(2), None), (at(3), LOST), (at(4), "ignored"), (at(5), LOST), (at(6), None)]
    assert shown(*rows) == [("f", "1", 6, None), ("f", "3-5", 6, None)]


def test_followed_by_another_defect():
    """If something else is lost where the interrupt would arrive, the mask covers that, too."""
    assert shown((at(1), LOST), (at(2), OTHER), (at(3), None), (at(4), None)) == [("f", "1", 3, 4)]
    assert shown((at(1), LOST), (at(2), None), (at(3), OTHER), (at(4), None), (at(5), None)) == [("f", "1", 4, 5)]
    assert shown((at(1), LOST), (at(2), OTHER)) == [("f", "1", None, None)]
    rows = [(at(line), [LOST, None][line % 2]) for line in range(2, 100)]
    assert shown(*rows)[0] == ("f", "2", None, None)


def test_another_turn_of_a_loop():
    """If the line where the interrupt arrives has points with the defect at another turn, the window is not stated as proven."""
    rows = [(at(2), LOST), (at(3), None), (at(1, hit=2), None), (at(2, hit=2), None), (at(1, hit=3), None)]
    made = replace(audit(*rows), held_back=(HeldBackRun(rows[0][0].id, rows[2][0].id, clean=True),))
    assert [each.proven for each in windows(made, made.defects[0])] == [True]
    rows.append((at(1, hit=4), LOST))
    made = replace(audit(*rows), held_back=made.held_back)
    assert windows(made, made.defects[0])[0].proven is None


def test_in_the_caller():
    """What a function acquires and returns is lost in its caller, whose lines count."""
    rows = [
        (at(20, 5, function="acquire"), LOST),
        (at(6, function="outer"), LOST),
        (at(30, 7, function="release"), LOST),
        (at(8, function="outer"), None),
        (at(9, function="outer"), None),
    ]
    assert shown(*rows) == [("outer", "5-7", 8, 9)]


def test_in_one_call():
    """What is acquired and released in one call is lost there, whatever its callers."""
    assert shown((at(2, 9), LOST), (at(3, 9), LOST), (at(4, 9), None)) == [("f", "2-3", 4, None)]


@pytest.mark.parametrize("turned", [False, True])
def test_several_times(turned):
    """A stretch that the run comes to twice is one window, and that with the longest mask is shown."""
    first = [(at(2, 9), LOST), (at(3, 9), None), (at(9, function="outer"), None)]
    second = [(at(2, 9, hit=2), LOST), (at(3, 9, hit=2), OTHER), (at(9, function="outer", hit=2), None)]
    assert shown(*(second + first if turned else first + second)) == [("f", "2", None, 9)]


def test_each_signal_for_itself():
    """Points of another signal do not end a window."""
    term = [replace(at(line), id=f"a.py:{line}:call#1@SIGTERM", signal="SIGTERM") for line in (2, 3, 4)]
    rows = [(at(2), LOST), (term[0], None), (at(3), LOST), (term[1], LOST), (at(4), None), (term[2], None)]
    assert shown(*rows) == [("f", "2-3", 4, None), ("f", "3", 4, None)]


def test_the_end_of_a_function():
    """If nothing follows in the function, the mask extends to its end."""
    assert shown((at(2, 9), LOST), (at(9, function="outer"), None)) == [("f", "2", None, 9)]
    assert shown((at(2, 9), LOST), (at(3, 10), None)) == [("f", "2", None, 3)]
    assert shown((at(2), LOST)) == [("f", "2", None, None)]


def test_where_the_thing_came_from():
    """A mask begins where the thing came to be, if that is in the function of the window and before it."""

    def since(line: int, function: str) -> int:
        place = Frame("a.py", line, function, "/a.py")
        lost = replace(LOST, origin=Origin((place, Frame("b.py", 1, "inner", "/b.py")), place))
        made = audit((at(5), lost), (at(6), None))
        return windows(made, made.defects[0])[0].since

    assert [since(3, "f"), since(7, "f"), since(3, "g")] == [3, 5, 5]
    made = audit((at(5), LOST), (at(6), None))
    assert windows(made, made.defects[0])[0].since == 5


@pytest.mark.parametrize("clean", [True, False])
def test_tried(clean):
    """A window is proven, or shown not to help, by the run that held the interrupt back over just it."""
    made = audit((at(2), LOST), (at(3), None), (at(4), None))
    runs = {after: HeldBackRun(at(2).id, after, clean) for after in (at(4).id, at(3).id, "")}
    proven = {
        after: windows(tried, tried.defects[0])[0].proven
        for after, ran in runs.items()
        for tried in [replace(made, held_back=(ran,))]
    }
    assert proven == {at(4).id: clean, at(3).id: None, "": None}
