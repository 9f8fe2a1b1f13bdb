"""Workers make whole runs between interrupted ones where something is unusual, and end what they started."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from pytest_maskcheck.interrupts import Strike
from pytest_maskcheck.results import Point
from pytest_maskcheck.runs.fork_sharing import HAS_PROC
from pytest_maskcheck.runs.forked import Forked
from pytest_maskcheck.runs.requests import Conditions, RunResult
from pytest_maskcheck.system import descendants


class Renewing(Conditions):
    """Conditions under which each worker starts a child, which only that worker would end."""

    renewing = True

    def begin(self) -> None:
        subprocess.Popen(["sleep", "60"])


def made_by(usual, *passes):
    """Return the results of a worker for three points.

    Parameters:
        usual: whether modules are unchanged, for each time that the worker checks.
        passes: whether the whole run passes, for each whole run.
    """
    answers, outcomes = iter(usual), iter(passes)
    conditions = Conditions()
    conditions.is_usual = lambda: next(answers)  # type: ignore[method-assign]

    def run(request, struck):
        if request is not None:
            return RunResult(Strike(fired=True), detail=request.id)
        return RunResult(Strike(), whole=True, trouble="" if next(outcomes) else "failed")

    points = [Point(name, "a.py", "/a.py", 1, "call", 1, "f") for name in "abc"]
    return list(Forked(run, 10, conditions=conditions).runs([*points, None], lambda *_: False))


def test_a_whole_run_follows_where_something_is_unusual():
    """A whole run follows an interrupted one that changed modules; it is among the results only if it fails, as the last one."""
    assert [ran.detail for ran in made_by([True, True, True], True, True)] == ["a", "b", "c", ""]
    assert [ran.detail for ran in made_by([False, True, True, True], True, True, True)] == ["a", "b", "c", ""]
    followed = made_by([True, False], True, False)
    assert [ran.detail for ran in followed] == ["a", "b", ""]
    assert followed[-1].trouble == "failed"


def test_a_run_that_changed_modules_is_marked():
    """Each interrupted run has a mark if modules are not as usual after it, also where a whole run follows anyway."""
    assert [ran.changed for ran in made_by([False, True, True, False], True, True, True)] == [True, False, True, False]


def test_a_process_ends_where_something_stays_unusual():
    """A worker whose modules stay changed after a whole run ends, so that the next point gets a new process."""
    assert [ran.detail for ran in made_by([False, False], True, True)] == ["a"]


def test_a_process_that_does_not_begin_well_is_spoiled():
    """A worker whose first run fails is spoiled, and runs no points."""
    (ran,) = made_by([], False)
    assert ran.spoiled
    assert ran.trouble == "failed"


@pytest.mark.skipif(not HAS_PROC, reason="needs /proc")
def test_children_of_a_worker_are_ended_after_it():
    """Processes that fixtures started in a worker are ended, even if the worker is ended early."""
    spawned: set[descendants.Process] = set()

    def run(request, struck):
        return RunResult(Strike(fired=request is not None))

    point = Point("a", "a.py", "/a.py", 1, "call", 1, "f")
    runs = Forked(run, 10, conditions=Renewing()).runs([point, None], lambda *_: False)
    next(runs)
    spawned |= set(runs.gi_yieldfrom.gi_frame.f_locals["grandchildren"])
    runs.close()
    assert len(spawned) == 1
    until = time.monotonic() + 5
    while any(os.path.exists(f"/proc/{process.pid}") for process in spawned) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(_lives(process.pid) for process in spawned)


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(("held", "times"), [(True, 1), (False, 3)])
def test_the_usual_state_is_recorded_in_each_worker_only_if_the_first_one_differs(held, times):
    """Looking at all modules is slow in a new process: if the first worker finds them as in its parent, later ones do not look."""
    reader, writer = os.pipe()
    conditions = Conditions()

    def settle():
        os.write(writer, b".")
        return held

    conditions.settle = settle  # type: ignore[method-assign]
    executor = Forked(lambda _request, _struck: RunResult(Strike()), 10, conditions=conditions)
    for _ in range(3):
        assert [ran.passed for ran in executor.runs([None], lambda *_: False)] == [True]
    os.close(writer)
    assert len(os.read(reader, 9)) == times
    os.close(reader)
