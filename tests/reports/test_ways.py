"""The way of a defect: its stages, and the line at which to cure it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.reports.ways import StageKind, Way, way
from pytest_maskcheck.results import Audit, Finding, Frame, HeldBackRun, Origin, Point, PointResult, Span, Verdict

if TYPE_CHECKING:
    from tests.conftest import Run

SOURCE = """\
def get():
    LOCK.acquire()
    return 1

def use():
    try:
        get()
    except BaseException:
        pass

def test():
    use()
"""


@pytest.fixture
def file(tmp_path):
    """Return the path of a file with the source above."""
    path = tmp_path / "a.py"
    path.write_text(SOURCE, encoding="utf-8")
    return str(path)


def frames(file: str, *rows: tuple[int, str]) -> tuple[Frame, ...]:
    """Return frames of the file."""
    return tuple(Frame("a.py", line, function, file) for line, function in rows)


def made(file: str, finding: Finding, traceback: tuple[Frame, ...], line: int = 2, first: Point | None = None) -> Way:
    """Return the way of a finding at a point in ``get``."""
    context = frames(file, (7, "use"), (12, "test"))
    point = Point(f"a.py:{line}:call#1", "a.py", file, line, "call", 1, "get", context, first=first)
    audit = Audit("test", points=(point,), results=(PointResult(point.id, (finding,), traceback=traceback),))
    return way(audit, audit.defects[0])


def told(found: Way) -> list[tuple[str, str, int]]:
    """Return kind, sentence and line of each stage; 0 without a line."""
    return [(each.kind.value, each.text, each.region.line if each.region else 0) for each in found.stages]


def test_the_way_of_a_leak(file):
    """It leads from the acquisition over the interrupt and all functions that it leaves to what is left, who holds it and whom it blocks."""
    place, waits = frames(file, (2, "get"), (2, "get"))
    origin = Origin((place,), place, held_by="a.LOCK", waiting=(waits,))
    finding = Finding(Verdict.LEAK, "lock", "LOCK", "a lock is still held: LOCK", origin=origin)
    found = made(file, finding, frames(file, (12, "test"), (7, "use"), (2, "get")))
    assert told(found) == [
        ("acquired", "Acquired here: lock LOCK.", 2),
        ("interrupted", "SIGINT arrives here.", 2),
        ("unwound", "The exception leaves use here.", 7),
        ("unwound", "The exception leaves test here.", 12),
        ("left", "A lock is still held: LOCK.", 0),
        ("held", "It is held by a.LOCK.", 0),
        ("blocks", "Whoever acquires it next waits here for ever.", 2),
    ]
    assert [each.region.line for each in found.of(StageKind.UNWOUND)] == [7, 12]
    region = found.cure_at
    assert (region.line, region.column, region.end_line, region.end_column) == (2, 5, 2, 19)


def test_functions_beyond_the_except_are_not_left(file):
    """An interrupt that is caught leaves only the functions below, and is cured where it is caught."""
    origin = Origin((), *frames(file, (8, "use")))
    finding = Finding(Verdict.SWALLOWED, "exception", "use", "the interrupt was caught", origin=origin)
    found = made(file, finding, frames(file, (12, "test"), (7, "use"), (2, "get")))
    assert [(kind, line) for kind, _, line in told(found)] == [("interrupted", 2), ("caught", 8), ("left", 0)]
    assert found.cure_at.line == 8


def test_an_interrupt_that_the_interrupted_function_catches_leaves_none(file):
    """The function that is interrupted may be the one that catches it."""
    origin = Origin((), *frames(file, (3, "get")))
    finding = Finding(Verdict.SWALLOWED, "exception", "get", "the interrupt was caught", origin=origin)
    found = made(file, finding, frames(file, (12, "test"), (7, "use"), (2, "get")))
    assert [kind for kind, *_ in told(found)] == ["interrupted", "caught", "left"]


@pytest.mark.parametrize("verdict", [Verdict.HANG, Verdict.CRASH])
def test_where_a_run_ended(file, verdict):
    """What a run that hung or crashed had left before is not known; the last stage is where it did."""
    finding = Finding(verdict, verdict, "a.py:7", "it waits")
    found = made(file, finding, frames(file, (12, "test"), (7, "use")))
    assert told(found) == [("interrupted", "SIGINT arrives here.", 2), ("left", "It waits.", 7)]


def test_two_interrupts_have_a_stage_each(file):
    """Without a window, the place to cure is where the thing came from, or the interrupted line."""
    first = Point("a.py:2:call#1", "a.py", file, 2, "call", 1, "get")
    finding = Finding(Verdict.REPLACED, "exception", "OSError", "OSError came out")
    found = made(file, finding, (), 3, first)
    assert told(found)[:2] == [
        ("interrupted", "A first SIGINT arrives here.", 2),
        ("interrupted", "A second SIGINT arrives here.", 3),
    ]
    assert found.cure_at.line == 3
    origin = Origin((), *frames(file, (6, "use")))
    assert made(file, replace(finding, origin=origin), (), 3, first).cure_at.line == 6


def test_a_window_that_does_not_help_is_no_place_to_cure(file):
    """The place to cure is in a window of which a run has shown that it helps, before one that is only likely to."""
    finding = Finding(Verdict.LEAK, "lock", "LOCK", "")
    at = [Point(f"a.py:{line}:call#1", "a.py", file, line, "call", 1, "get") for line in (1, 2, 3, 4, 5, 6)]
    results = tuple(PointResult(each.id, (finding,) if each.line % 2 else ()) for each in at)
    runs = (
        HeldBackRun(at[0].id, at[2].id, clean=False),
        HeldBackRun(at[0].id, at[3].id, clean=False),
        HeldBackRun(at[0].id, "", clean=False),
        HeldBackRun(at[4].id, "", clean=True),
    )
    audit = Audit("test", points=tuple(at), results=results, held_back=runs)
    found = way(audit, audit.defects[0])
    assert found.cure_at.line == 5
    assert [window.first for window in found.windows] == [3, 5]


@pytest.mark.parametrize("file", ["/nowhere/a.py", "", "/a\0.py", "/\ud800.py"])
def test_source_that_cannot_be_read_has_no_columns(file):
    """A report that is merged elsewhere may name files that are not there, or that cannot be."""
    finding = Finding(Verdict.LEAK, "lock", "LOCK", "")
    found = made(file, finding, ())
    assert (found.cure_at.column, found.cure_at.end_column) == (0, 0)


def test_the_region_of_a_call(tmp_path):
    """The interrupted call has its columns in characters, and those of the line if the file has changed since."""
    path = tmp_path / "a.py"
    path.write_text('ä = "ß"; lock.acquire(\n    1)\n', encoding="utf-8")
    finding = Finding(Verdict.LEAK, "lock", "LOCK", "")

    def columns(span: Span) -> tuple[int, ...]:
        point = Point("a.py:1:call#1", "a.py", str(path), 1, "call", 1, "get", span=span)
        audit = Audit("test", points=(point,), results=(PointResult(point.id, (finding,)),))
        region = way(audit, audit.defects[0]).stages[0].region
        return region.line, region.column, region.end_line, region.end_column

    assert columns(Span(11, 6, 2)) == (1, 10, 2, 7)
    assert columns(Span(200, 210, 1)) == (1, 1, 1, 23)


GUARD = """
    import threading

    class Guard:
        def __init__(self):
            self._lock = threading.Lock()

        def put(self):
            self._lock.acquire()
            abs(-1)
            self._lock.release()

        def clear(self):
            with self._lock:
                pass
"""
TEST_GUARD = """
    import pytest
    from guard import Guard

    @pytest.fixture
    def guard():
        guard = Guard()
        yield guard
        guard.clear()

    @pytest.mark.interrupt_safe(timeout=0.5)
    def test_put(guard):
        guard.put()
"""


def test_the_way_of_a_hang_leads_to_where_it_hung(pytester: pytest.Pytester, run: Run) -> None:
    """If a fixture waits for what the interrupted test has lost, the way has its call, and ends on the line that its last sentence names."""
    pytester.makepyfile(guard=GUARD, test_it=TEST_GUARD)
    run("--maskcheck", "--maskcheck-report=json:r.json")
    (audit,) = (Audit.from_json(each) for each in json.loads(Path("r.json").read_text(encoding="utf-8"))["audits"])
    (hang,) = audit.failures
    assert hang.verdict is Verdict.HANG
    *_, interrupted, called, left = way(audit, hang).stages
    assert interrupted.kind is StageKind.INTERRUPTED
    assert called.kind is StageKind.CALLED
    assert called.region is not None
    assert (called.region.path, called.region.line) == ("test_it.py", 8)
    assert left.region is not None
    assert f"at {left.region.path}:{left.region.line} in clear" in left.text


def test_a_hang_at_no_known_place_has_none(pytester: pytest.Pytester, run: Run) -> None:
    """If it is not known where a run hung, the way does not end on the line of the interrupt."""
    pytester.makepyfile(guard=GUARD, test_it=TEST_GUARD)
    run("--maskcheck", "--maskcheck-report=json:r.json")
    (audit,) = (Audit.from_json(each) for each in json.loads(Path("r.json").read_text(encoding="utf-8"))["audits"])
    unknown = replace(audit.failures[0], key="no end after 0.5 s", traceback=audit.points[0].traceback)
    stages = way(audit, unknown).stages
    assert [stage.kind for stage in stages] == [StageKind.INTERRUPTED, StageKind.LEFT]
    assert stages[-1].region is None
