"""Attribution: which runs are made to find the origins of leftovers, and that an origin depends on its point alone."""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.audit.attribution import Attribution
from pytest_maskcheck.interrupts import Strike
from pytest_maskcheck.results import Finding, Frame, Origin, Point, PointResult, Verdict
from pytest_maskcheck.runs.requests import Request, RunResult, Trace
from pytest_maskcheck.runs.sightings import Sighting

if TYPE_CHECKING:
    from pytest_maskcheck.results import Audit
    from pytest_maskcheck.runs.requests import Last
    from tests.conftest import AuditSource

LOCK = ("lock", "a.LOCK")


def at(line: int) -> Origin:
    """Return the origin on a line."""
    place = Frame("a.py", line, "test", "/a.py")
    return Origin((place,), place)


def point(line: int, **more: object) -> Point:
    """Return the point of a line."""
    return Point(f"a.py:{line}:call#1", "a.py", "/a.py", line, "call", 1, "test", **more)  # type: ignore[arg-type]


def row(where: Point, *names: tuple[str, str], fails: bool = True) -> tuple[Point, PointResult]:
    """Return a point and its result, with one leak for each name."""
    findings = tuple(Finding(Verdict.LEAK, kind, key, key, fails) for kind, key in names)
    return where, PointResult(where.id, findings)


@dataclass
class Runs:
    """An executor that answers from a table of the things that exist at each line, and their origins.

    Parameters:
        there: line -> name -> lines where things of that name came from.
        made: the same for what is left at the end of the run, where that differs.
    """

    there: Mapping[int, Mapping[tuple[str, str], Sequence[int]]]
    made: Mapping[int, Mapping[tuple[str, str], Sequence[int]]] = field(default_factory=dict)
    clean = True
    asked: list[Trace] = field(default_factory=list)

    def runs(self, requests: Sequence[Request], last: Last) -> Generator[RunResult, None, None]:
        for request in requests:
            assert isinstance(request, Trace)
            self.asked.append(request)
            ran = RunResult(Strike())
            for name in request.passing:
                known = self.there[int(name.split(":")[1])]
                ran.passed_by[name] = {
                    of: tuple(Sighting("lock 1", (1, 1), at(line)) for line in lines) for of, lines in known.items()
                }
            if request.point is not None:
                line = request.point.line
                for of, lines in {**self.there.get(line, {}), **self.made.get(line, {})}.items():
                    ran.sightings[of] = Sighting("lock 1", (1, 1), at(lines[-1])).held("POOL")
            yield ran


def explained(runs: Runs, rows: Sequence[tuple[Point, PointResult]]) -> dict[int, int | None]:
    """Return the line of origin of the only finding on each line."""
    attribution = Attribution(runs, {"lock": True, "fd": False})
    found = {result.point: result for result in attribution.explain(rows)}
    lines = {}
    for where, result in rows:
        (finding,) = found.get(where.id, result).findings
        lines[where.line] = finding.origin and finding.origin.place.line
    return lines


def test_one_run_goes_by_all_points_and_one_confirms_each_place() -> None:
    """Thirty points with two origins take three runs: one that passes all points, and one to confirm each origin."""
    there = {line: {LOCK: [1 if line < 20 else 16]} for line in range(2, 32)}
    runs = Runs(there)
    lines = explained(runs, [row(point(line), LOCK) for line in there])
    assert lines == {line: lines_of[LOCK][0] for line, lines_of in there.items()}
    assert [(trace.point and trace.point.line, len(trace.passing)) for trace in runs.asked] == [
        (None, 30),
        (2, 0),
        (20, 0),
    ]


def test_what_does_not_come_from_one_place_is_run_again() -> None:
    """If two things look alike, or a thing was made later, only a run of the point itself shows the origin."""
    there = {2: {LOCK: [1]}, 3: {LOCK: [1]}, 4: {LOCK: [1, 3]}, 5: {}}
    runs = Runs(there, {5: {LOCK: [9]}})
    assert explained(runs, [row(point(line), LOCK) for line in there]) == {2: 1, 3: 1, 4: 3, 5: 9}
    assert [trace.point.line for trace in runs.asked if trace.point] == [2, 4, 5]


def test_what_is_left_more_often_than_it_was_there_is_run_again() -> None:
    """If two things are left but only one existed at the point, the point is run again.

    The call at whose end the interrupt arrived may have made the second.
    """
    there = {line: {LOCK: [1]} for line in range(2, 6)}
    runs = Runs(there, {5: {LOCK: [1, 5]}})
    where, result = row(point(5), LOCK)
    twice = where, PointResult(result.point, result.findings * 2)
    attribution = Attribution(runs, {"lock": True})
    found = list(attribution.explain([*(row(point(line), LOCK) for line in (2, 3, 4)), twice]))
    assert [finding.origin and finding.origin.place.line for finding in found[-1].findings] == [5, 5]
    assert [trace.point.line for trace in runs.asked if trace.point] == [2, 5]


def test_where_the_run_of_a_point_disagrees_each_is_run_again() -> None:
    """If the run of one point contradicts the passing run, the passing run proves nothing about other points, and each is run again."""
    there = {line: {LOCK: [1]} for line in range(2, 6)}
    runs = Runs(there, {line: {LOCK: [line + 10]} for line in there})
    assert explained(runs, [row(point(line), LOCK) for line in there]) == {2: 12, 3: 13, 4: 14, 5: 15}


def test_something_that_has_its_name_only_in_the_end_is_known_by_its_kind() -> None:
    """A lock that is older than the run gets its name only after the run, and is matched by its kind until then."""
    there = {line: {("lock", ""): [1]} for line in range(2, 12)}
    runs = Runs(there, {line: {LOCK: [1]} for line in there})
    assert set(explained(runs, [row(point(line), LOCK) for line in there]).values()) == {1}
    assert len(runs.asked) == 2


def test_what_is_listed_takes_one_run_more_at_most() -> None:
    """All findings that do not fail are given the origin of the first of their points, which takes one more run at most."""
    there: dict[int, dict[tuple[str, str], list[int]]] = {line: {} for line in range(2, 12)}
    runs = Runs(there, {line: {LOCK: [1]} for line in there})
    assert set(explained(runs, [row(point(line), LOCK, fails=False) for line in there]).values()) == {1}
    assert len(runs.asked) == 2


def test_second_interrupts_have_what_the_first_of_each_first_one_has() -> None:
    """One pair is run for each first interrupt, because no uninterrupted run passes the points of second ones."""
    firsts = {line: point(1 if line < 7 else 2) for line in range(3, 11)}
    runs = Runs({}, {line: {LOCK: [firsts[line].line]} for line in firsts})
    rows = [row(point(line, first=first), LOCK) for line, first in firsts.items()]
    assert explained(runs, rows) == {line: first.line for line, first in firsts.items()}
    assert [trace.point.line for trace in runs.asked if trace.point] == [3, 7]


def test_neither_order_nor_sample_changes_where_things_came_from() -> None:
    """The origin found for a point does not depend on which other points are audited with it."""
    there = {line: {LOCK: [1 + line // 7]} for line in range(2, 40)}
    rows = [row(point(line), LOCK) for line in there]
    whole = explained(Runs(there), rows)
    chance = random.Random(1)
    for _ in range(20):
        some = [each for each in rows if chance.random() < 0.5]
        assert explained(Runs(there), some).items() <= whole.items()


def test_nothing_is_run_when_the_time_is_up() -> None:
    """When the time is up, nothing more is run, and untraced findings stay open."""
    runs = Runs({2: {LOCK: [1]}})
    attribution = Attribution(runs, {"lock": True}, late=lambda _: True)
    where, result = row(point(2), LOCK)
    assert list(attribution.explain([(where, result)])) == []
    assert attribution.is_open(where, result)
    assert runs.asked == []


def test_a_search_that_would_take_too_long_is_not_begun() -> None:
    """A search is not begun if it would take too long, judging by the latest one; untraced findings stay open."""
    runs = Runs({2: {LOCK: [1]}, 3: {LOCK: [1]}})
    attribution = Attribution(runs, {"lock": True}, late=lambda seconds: seconds > 0)
    rows = [row(point(line, first=point(1)), LOCK) for line in (2, 3)]
    rows[1] = row(point(3, first=point(4)), LOCK)
    (explained,) = attribution.explain(rows)
    assert explained.point == point(2).id
    assert [attribution.is_open(*each) for each in rows] == [False, True]


PROGRAM = """
import os, pytest, threading
LOCK = threading.Lock()
KEPT = []

def take():
    LOCK.acquire()
    len("x")

class Worker(threading.Thread):
    def __init__(self, end):
        super().__init__(daemon=True)
        self.end = end

    def run(self):
        self.end.wait()

@pytest.mark.interrupt_safe(hits="all")
def test_it():
    end = threading.Event()
    workers = []
    for _ in range(2):
        workers.append(Worker(end))
        workers[-1].start()
    for _ in range(2):
        take()
        LOCK.release()
    KEPT.append(os.dup(1))
    KEPT.append(os.dup(1))
    for fd in KEPT:
        os.close(fd)
    KEPT.clear()
    end.set()
    for worker in workers:
        worker.join()
"""


def defects(audits: Sequence[Audit]) -> dict[tuple[object, ...], set[str]]:
    """Return the ids of the points of each failing defect, by everything that distinguishes defects."""
    found: dict[tuple[object, ...], set[str]] = {}
    for audit in audits:
        for defect in audit.failures:
            line = defect.origin and defect.origin.place.line
            name = (defect.verdict, defect.kind, defect.key, defect.category, line)
            found.setdefault(name, set()).update(each.id for each in defect.points)
    return found


@pytest.mark.oldest_and_newest
def test_the_same_defects_are_found_whoever_audits_and_however(audit: AuditSource) -> None:
    """Workers of xdist and shards find the same defects at the same points; a sample finds some of them."""
    expected = defects(audit(PROGRAM).audits)
    assert {kind: sum(name[1] == kind for name in expected) for kind in ("lock", "thread")} == {"lock": 1, "thread": 1}
    assert None not in {name[-1] for name in expected}
    assert defects(audit(PROGRAM, "-p", "xdist", "-n2").audits) == expected
    shards = [audit(PROGRAM, f"--maskcheck-shard={number}/2").audit for number in (1, 2)]
    assert defects(shards) == expected
    some = defects(audit(PROGRAM, "--maskcheck-max-points=12").audits)
    assert some
    assert all(points <= expected[name] for name, points in some.items())
