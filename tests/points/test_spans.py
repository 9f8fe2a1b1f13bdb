"""The spans of points: which characters of its line an interrupted call consists of."""

from __future__ import annotations

from pathlib import Path

SOURCE = """
import pytest

def inner(value):
    return value

@pytest.mark.interrupt_safe
def test_it():
    "ä"; abs(inner(-1)); [].extend(
        str(1))
    for _ in range(2):
        pass
"""


def test_each_call_has_its_own_columns(audit):
    """A point at a call has the span of that call, in the bytes of its line; a point at a jump or an entry has none."""
    points = audit(SOURCE).audit.points
    lines = Path(points[0].file).read_text(encoding="utf-8").encode().splitlines(keepends=True)

    def text(point):
        span = point.span
        ends = [b"".join(lines[: line - 1]) for line in (point.line, span.end_line)]
        return b"".join(lines)[len(ends[0]) + span.start : len(ends[1]) + span.end].decode()

    called = {text(point) for point in points if point.span}
    assert {"abs(inner(-1))", "str(1)", "[].extend(\n        str(1))", "range(2)"} <= called
    assert {point.kind for point in points if point.span is None} >= {"entry", "jump"}
    assert {point.kind for point in points if point.span} == {"call"}
