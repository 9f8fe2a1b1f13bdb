"""Keys of points: what distinguishes code, and that they are the same in all processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from pytest_maskcheck.interrupts import Hit, Trigger
from pytest_maskcheck.interrupts.cpython.codes import code_with, number_of
from pytest_maskcheck.points.plan import Aim
from pytest_maskcheck.points.repeats import digest_of
from pytest_maskcheck.points.sampling import layered
from pytest_maskcheck.results import Point

SOURCE = """
def outer(value, *more, key=(1, "a")):
    def inner():
        return value in {"x", "y", "z", 1, None}
    for each in more:
        try:
            yield inner, each.name, b"\\0", 1.5, "\\ud800"
        except ValueError:
            continue
"""


def function(source: str, name: str = "outer"):
    """Return the code object of a function of a source."""
    names: dict[str, object] = {}
    exec(compile(source, "code.py", "exec"), names)
    return names[name].__code__


def test_a_digest_is_that_of_the_content():
    """Two code objects of the same content have one digest, wherever they stand in their files; changed content has another."""
    one = digest_of(function(SOURCE))
    assert digest_of(function(SOURCE)) == one
    assert digest_of(function("\n\n" + SOURCE)) == one
    for old, new in (
        ("1.5", "2.5"),
        ("name", "names"),
        ('"z"', '"w"'),
        ("ValueError", "OSError"),
        ("continue", "break"),
    ):
        assert digest_of(function(SOURCE.replace(old, new))) != one, old


def test_a_digest_is_the_same_in_all_processes():
    """Neither the order of sets nor the way constants are shared makes a digest differ from process to process."""
    program = "from tests.points.test_keys import *; print(digest_of(function(SOURCE)))"
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in (1, 2, 3)
    }
    assert found == {digest_of(function(SOURCE))}


def test_code_is_found_by_its_number():
    """The number of a code object leads back to an equal one."""
    codes = [function(f"def outer(): return {number} + x") for number in range(3)]
    assert [code_with(number_of(code)) for code in codes] == codes


def aims() -> list[tuple[Point, Aim]]:
    """Return eight points, two on each of four lines, with their aims."""
    code = function(SOURCE)
    found = []
    for number in range(8):
        hit = Hit(code, 2 * number, "call", 1, (), Trigger("t", code, 2 * number, 1))
        found.append((Point(f"p{number}", "a.py", "/a.py", number // 2, "call", 1, "f"), Aim(hit, signal.SIGINT)))
    return found


@pytest.mark.parametrize("size", range(9))
def test_points_of_other_tests_go_last(size):
    """Points that other tests have audited are sampled only where there is room for all others."""
    last = {0, 1, 5}
    taken = layered(aims(), size, 0, last=last)
    assert len(taken) == len({*taken}) == size
    assert len(last.intersection(taken)) == max(0, size - 5)
    rest = layered(aims(), 8 - size, 0, taken, last)
    assert sorted([*taken, *rest]) == [*range(8)]
