"""Timed runs: when triggers come, on a clock that leaves out the time that watching takes.

How long something takes differs from machine to machine: these tests compare what differs by orders of magnitude.
"""

from __future__ import annotations

import sys
import textwrap
import threading
import time

import pytest

from pytest_maskcheck.interrupts import Engine, Hit
from pytest_maskcheck.interrupts.timing import Lap, Moment, within

LAPS = 5


def laps(engine: Engine, task, hits: list[Hit], *, waits: bool = False) -> list[Lap]:
    """Return timed runs of a task, with the moments of these hits."""
    scope = task.__code__.co_filename
    with engine.time([hit.trigger for hit in hits], lambda file: file == scope, "checkpoint") as clock:
        for _ in range(1 + LAPS):
            with clock.lap(waits=waits):
                task()
    return clock.laps[1:]


def gap_at(hits: list[Hit], lap: Lap, line: int) -> tuple[float, float]:
    """Return the gap before the last hit of a line, in nanoseconds."""
    at = max(number for number, hit in enumerate(hits) if hit.line == line)
    begin, end = lap.reached[at - 1], lap.reached[at]
    assert begin is not None
    assert end is not None
    return lap.between(begin, end)


def first_line(task) -> int:
    """Return the line of the first statement of a task."""
    return task.__code__.co_firstlineno + 1


def uneven() -> None:
    """Take long on one line, and not on the others."""
    abs(1)
    sum(range(300_000))
    abs(2)


def test_every_trigger_comes_in_order(engine, record):
    """In each run, each trigger comes, and none before the one ahead of it."""
    hits = record(uneven).hits
    for lap in laps(engine, uneven, hits):
        times = [moment.time for moment in lap.reached if moment is not None]
        assert len(times) == len(hits)
        assert times == sorted(times)
        assert lap.begin.time <= times[0]
        assert times[-1] <= lap.end.time


def test_the_gap_is_that_of_the_line(engine, record):
    """The line that takes long has a long gap, and the others have short ones; each lower bound is below its upper bound."""
    hits = record(uneven).hits
    first = first_line(uneven) + 1  # after the docstring
    measured = laps(engine, uneven, hits)
    long = [gap_at(hits, lap, first + 1) for lap in measured]
    short = [gap_at(hits, lap, first + 2) for lap in measured]
    assert all(least <= greatest for least, greatest in (*long, *short))
    assert min(least for least, _ in long) > 500_000
    assert min(greatest for _, greatest in short) < 100_000


def test_watching_takes_no_time(engine, record):
    """A run with thousands of events is stated to take about as long as it does unwatched: far less than it took."""

    def busy() -> None:
        for number in range(3000):
            abs(number)

    hits = record(busy).hits
    for _ in range(8):  # others may have the processor, just now
        began = time.perf_counter()
        busy()
        usual = time.perf_counter() - began
        began = time.perf_counter()
        measured = laps(engine, busy, hits)
        taken = (time.perf_counter() - began) / (1 + LAPS)
        stated = min(lap.seconds for lap in measured)
        if stated < min(taken / 2, 20 * usual):
            break
    assert stated < taken / 2
    assert stated < 20 * usual


@pytest.mark.skipif(sys.platform != "linux", reason="no count of voluntary context switches")
def test_waiting_is_told_from_running(engine, record):
    """A gap in which the thread sleeps is waiting, one in which it computes is not; unless asked for, that is not measured."""

    def task() -> None:
        time.sleep(0.02)
        sum(range(300_000))

    hits = record(task).hits
    for lap in laps(engine, task, hits, waits=True):
        entry, slept, *_, computed = (moment for moment in lap.reached if moment is not None)
        assert lap.waiting(entry, slept) > 0.5
        assert lap.waiting(slept, computed) < 0.5
    for lap in laps(engine, task, hits):
        assert lap.waiting(lap.begin, lap.end) == 0.0


def test_stretches_out_of_scope_are_timed(engine):
    """The first and the last checkpoint of code out of scope are counted from where the stretch begins; they come as well."""

    def task() -> None:
        textwrap.dedent(" a\n b")
        textwrap.dedent(" c\n d")

    scope = task.__code__.co_filename
    task()
    with engine.record(lambda file: file == scope, "checkpoint", outside=True) as recording:
        task()
    hits = recording.hits
    assert {"into", "back"} <= {hit.kind for hit in hits}
    for lap in laps(engine, task, hits):
        assert None not in lap.reached


def test_events_of_other_threads_do_not_count(engine, record):
    """Another thread that runs the same code brings no trigger about."""

    def called() -> None:
        abs(1)

    def task() -> None:
        thread = threading.Thread(target=called)
        thread.start()
        thread.join()
        called()

    hits = [hit for hit in record(task).hits if hit.code is called.__code__]
    assert [hit.trigger.count for hit in hits] == [1, 1]
    joined = [hit for hit in record(task).hits if hit.code is task.__code__][-1]
    for lap in laps(engine, task, [joined, *hits]):
        before, *own = (moment.time for moment in lap.reached if moment is not None)
        assert len(own) == len(hits)
        assert all(moment > before for moment in own)


def test_a_trigger_that_does_not_come_has_no_moment(engine, record):
    """A run that takes another way than the recorded one leaves the triggers without a moment that it does not come to."""
    ways = [0, 1]

    def task() -> None:
        if ways:
            abs(ways.pop())
        abs(2)

    hits = record(task).hits
    *_, lap = laps(engine, task, hits)
    assert lap.reached[0] is not None
    assert None in lap.reached


def test_nothing_is_watched_afterwards(engine, record):
    """When the ``with`` statement has ended, the tool and the trace function are given back, even if a run raises."""
    hits = record(uneven).hits
    before = sys.gettrace()
    with (
        pytest.raises(ZeroDivisionError),
        engine.time([hit.trigger for hit in hits], lambda _: True, "checkpoint") as clock,
        clock.lap(),
    ):
        1 / 0  # noqa: B018
    assert sys.gettrace() is before
    if hasattr(sys, "monitoring"):
        assert sys.monitoring.get_tool(4) is None
    with engine.record(lambda _: False, "checkpoint"):
        pass


def test_the_interval_is_the_overheads():
    """What an event may have taken at most and at least gives the interval; no gap is shorter than nothing."""
    lap = Lap(Moment(0, 0), Moment(10_000, 20), (), (100, 300))
    assert lap.between(Moment(1000, 2), Moment(3000, 6)) == (800, 1600)
    assert lap.between(Moment(1000, 2), Moment(1100, 4)) == (0, 0)
    assert lap.seconds == pytest.approx(6e-6)


def test_waiting_takes_a_wait():
    """Time in which the thread did not run is waiting only if the thread gave the processor up."""
    lap = Lap(Moment(0, 0), Moment(10_000, 0), (), (0, 0))
    begin = Moment(1000, 0, 50, 7)
    assert lap.waiting(begin, Moment(2000, 0, 850, 8)) == pytest.approx(0.8)
    assert lap.waiting(begin, Moment(2000, 0, 850, 7)) == 0.0
    assert lap.waiting(begin, Moment(2000, 0, 50, 8)) == 0.0


def test_disturbed_runs_are_left_out():
    """Of ten values or more, those at the ends are left out."""
    assert within([5, 1, 9]) == (1, 9)
    assert within([*range(10), 1000]) == (1, 9)
