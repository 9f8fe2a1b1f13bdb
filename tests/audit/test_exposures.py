"""The exposure of defects: which points have one, and in which order defects come.

How long something takes differs from machine to machine: these tests compare what differs by orders of magnitude.
"""

from __future__ import annotations

import time
from textwrap import dedent
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_maskcheck.audit.budget import Share
from pytest_maskcheck.audit.exposures import Exposed, exposures
from pytest_maskcheck.interrupts import Strike
from pytest_maskcheck.reasons import NotAudited, Note, Reason, reason_of
from pytest_maskcheck.results import Audit, Exposure, Finding, Point, PointResult, Verdict
from pytest_maskcheck.runs.requests import RunResult

TWO_LOCKS = """
    import threading, pytest

    brief, long = threading.Lock(), threading.Lock()

    @pytest.mark.interrupt_safe{arguments}
    def test_it():
        brief.acquire()
        brief.release()
        long.acquire()
        sum(range(300_000))
        long.release()
"""


def source(arguments: str = "") -> str:
    """Return a test that holds one lock briefly and another one for long."""
    return TWO_LOCKS.format(arguments=arguments)


def test_points_with_a_finding_have_an_exposure(audit):
    """The exposure of each point where something is lost is measured, and that of no other point; and how long the test takes."""
    audited = audit(source()).audit
    losing = {result.point for result in audited.results if result.findings}
    assert losing
    assert audited.exposures.keys() == losing
    assert all(0 <= each.least <= each.greatest for each in audited.exposures.values())
    assert audited.duration > 500e-6


def test_the_most_exposed_defect_comes_first(audit):
    """The lock that is held while something long runs is lost far more often, and its defect comes first, although it was met last."""
    audited = audit(source()).audit
    first, second = audited.defects
    assert "long" in first.key
    assert "brief" in second.key
    assert first.exposure.least > 500
    assert second.exposure.greatest < first.exposure.least
    together = sum((audited.exposures[point.id] for point in first.points), start=Exposure(0, 0))
    assert first.exposure == together.within(audited.duration * 1e6)


def test_the_report_says_how_likely_it_is(audit):
    """The story of a defect names its exposure."""
    audited = audit(source())
    audited.result.stdout.fnmatch_lines(["E *exposed * of a run of *: *Ctrl-C*"])


def test_nothing_is_measured_where_nothing_is_lost(audit):
    """A test without a finding has no exposure."""
    audited = audit(
        """
        import pytest

        @pytest.mark.interrupt_safe
        def test_it():
            abs(1)
            sum(range(300_000))
        """
    ).audit
    assert audited.audited
    assert (audited.exposures, audited.duration) == ({}, 0.0)


@pytest.mark.parametrize(
    ("left", "mode", "found", "why"),
    [
        (100, "checkpoint", 1, None),
        (0, "checkpoint", 1, Reason(NotAudited.BUDGET, seconds=5)),
        (100, "line", 1, Reason(Note.OTHER_MODE)),
        (100, "checkpoint", 0, Reason(Note.TOO_OFTEN, number=1)),
    ],
    ids=["measured", "no time", "lines", "too often"],
)
def test_where_it_cannot_be_measured_it_says_why(left, mode, found, why):
    """If there is no time left for timed runs, points are lines, or the test comes to them too often, there is none, but a reason."""
    point = Point("a.py:1:call#1", "a.py", "/a.py", 1, "call", 1, "f")
    losing = PointResult(point.id, (Finding(Verdict.LEAK, "lock", "a.LOCK", ""),))
    ran = RunResult(Strike(), exposures={point.id: Exposure(1, 2)} if found else {}, seconds=0.5)
    executor = SimpleNamespace(runs=lambda *_: iter([ran]), clean=True)
    judge: Any = SimpleNamespace(results={point.id: losing}, executor=executor)
    maker: Any = SimpleNamespace(mode=mode)
    share = Share(time.perf_counter() + left, 5)
    measured = [*exposures(judge, maker, [point], 0.01, share)]
    if why is None or why.code is Note.TOO_OFTEN:
        exposed = Exposed({point.id: Exposure(1, 2) if found else Exposure(0, 0.5e6)}, 0.5)
        assert measured.pop(0) == exposed
    assert measured == ([Reason(Note.UNTIMED, why=why)] if why else [])


def test_a_wanted_point_has_its_exposure(audit):
    """The audit of one point measures that of this point."""
    first, *_ = audit(source()).audit.defects
    name = first.points[0].id
    assert audit(source(), f"--maskcheck-point={name}").audit.exposures.keys() == {name}


def test_the_second_of_two_interrupts_has_none(audit):
    """Where something is lost by two interrupts only, no exposure is stated."""
    audited = audit(
        """
        import threading, pytest
        lock = threading.Lock()

        @pytest.mark.interrupt_safe(interrupts=2)
        def test_it():
            with lock:
                try:
                    abs(1)
                except BaseException:
                    abs(2)
                    lock.release()
                    abs(3)
                    lock.acquire()
                    raise
        """
    ).audit
    assert any(defect.points[0].first for defect in audited.defects)
    assert all(defect.exposure is None for defect in audited.defects if all(point.first for point in defect.points))


@pytest.mark.parametrize("isolation", ["fork", "none"])
def test_it_is_measured_in_each_isolation(audit, isolation):
    """It does not matter in which process runs are made."""
    audited = audit(source(), f"--maskcheck-isolation={isolation}").audit
    assert audited.exposures


def test_it_survives_json(audit):
    """The exposure is part of the JSON form."""
    audited = audit(source()).audit
    again = Audit.from_json(audited.to_json())
    assert (again.exposures, again.duration) == (audited.exposures, audited.duration)
    assert [each.exposure for each in again.defects] == [each.exposure for each in audited.defects]


def test_a_loop_that_polls_has_a_wide_interval(audit):
    """A loop that goes on until some time is up makes fewer turns while it is watched; the interval still holds the time that it takes."""
    audited = audit(
        """
        import threading, time
        import pytest

        lock = threading.Lock()

        @pytest.mark.interrupt_safe
        def test_it():
            end = time.perf_counter() + 0.01
            lock.acquire()
            while time.perf_counter() < end:
                pass
            lock.release()
        """
    ).audit
    (defect,) = audited.failures
    assert 5_000 < defect.exposure.least < defect.exposure.greatest < 1.2e6 * audited.duration


LOOP = """
    import threading
    import pytest

    lock = threading.Lock()

    @pytest.mark.interrupt_safe{arguments}
    def test_it():
        lock.acquire()
        for number in range(30_000):
            number += 1
        lock.release()
"""


def test_points_count_for_the_hits_that_they_stand_for(audit):
    """If only the first turn of a loop is interrupted, the exposure is still that of all of its turns."""
    audited = audit(LOOP.format(arguments="(hits=1)")).audit
    (defect,) = audited.failures
    assert defect.exposure.greatest > 0.5e6 * audited.duration


def test_points_that_come_often_are_sampled(audit):
    """A lock that is held while a loop turns so often that its places cannot be watched is lost by nearly every Ctrl-C."""
    audited = audit(LOOP.format(arguments="")).audit
    (defect,) = audited.failures
    assert defect.exposure.total > 0.5e6 * audited.duration
    assert set(audited.exposures) == {point.id for point in defect.points}
    assert all(reason_of(note).code is not Note.UNTIMED for note in audited.notes)


def test_a_timer_of_the_test_is_left_alone(audit):
    """Where the test has a handler for the signal of the timer, nothing is sampled: it may be anything up to the whole run."""
    handler = "signal.signal(signal.SIGALRM, lambda *_: None)"
    audited = audit("import signal\n" + handler + dedent(LOOP.format(arguments=""))).audit
    (defect,) = audited.failures
    assert defect.exposure.least < 0.1 * defect.exposure.greatest
    assert defect.exposure.greatest == audited.duration * 1e6
    assert any(reason_of(note).code is Note.UNTIMED for note in audited.notes)
