"""Functions that are suspended between two lines."""

from __future__ import annotations

import pytest

from pytest_maskcheck.points.suspensions import suspends

SOURCE = """\
async def f():
    a()
    await b()
    def g():
        yield
    async with c:
        a()
        a()
    [d async for d in e]
    a()

def h():
    lambda: (yield)
    x = (
        yield
    )
    a()
"""


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (2, 2, False),
        (2, 3, True),
        (3, None, True),
        (4, 5, True),
        (6, 6, True),
        (7, 7, False),
        (7, 8, True),
        (9, 9, True),
        (10, None, False),
        (13, 14, False),
        (13, 15, True),
        (15, 17, True),
        (16, None, False),
        (11, None, False),
    ],
)
def test_lines(tmp_path, first, last, expected):
    """Only an ``await`` or a ``yield`` of the innermost function counts, and only on these lines."""
    path = tmp_path / "a.py"
    path.write_text(SOURCE, encoding="utf-8")
    assert suspends(str(path), first, last) is expected


def test_no_source(tmp_path):
    """A file that cannot be read, or is no Python, has no suspensions."""
    path = tmp_path / "a.py"
    path.write_text("def f(:", encoding="utf-8")
    assert not suspends(str(path), 1, None)
    assert not suspends(str(tmp_path / "none.py"), 1, None)
