"""Forked processes: their messages, how they end, and that none of them stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from pytest_maskcheck import settings
from pytest_maskcheck.interrupts import Strike
from pytest_maskcheck.reasons import Isolation
from pytest_maskcheck.resources import Surroundings
from pytest_maskcheck.resources.kinds.children import Children
from pytest_maskcheck.results import Point
from pytest_maskcheck.runs.child import in_child
from pytest_maskcheck.runs.forked import Forked
from pytest_maskcheck.runs.in_process import InProcess
from pytest_maskcheck.runs.isolation import ISOLATIONS
from pytest_maskcheck.runs.requests import RunResult
from pytest_maskcheck.runs.watchdog import Death
from pytest_maskcheck.system.breakdown import AuditBrokeError
from pytest_maskcheck.system.stopwatch import Page

Say = Callable[[object], None]


@pytest.fixture
def page() -> Iterator[Page]:
    """Yield a page of shared memory."""
    page = Page()
    yield page
    page.close()


def heard(work: Callable[[Say], None], page: Page, limit: float = 10.0) -> tuple[list[object], Death | None]:
    """Return the messages of a child that runs ``work``, and how it died."""
    said: list[object] = []
    children = in_child(work, page, lambda: limit, leader=True)
    while True:
        try:
            said.append(next(children))
        except StopIteration as end:
            return said, end.value


def children() -> set[object]:
    """Return the children of this process, including zombies; other tests may have left some."""
    return set(Children(Surroundings()).snapshot())  # type: ignore[call-overload]


def test_a_child_says_what_it_has_to_say(page: Page) -> None:
    """A child sends picklable objects of any size in order, and leaves no process."""
    words = [1, "two", {"three": [3.0]}, b"x" * 300_000]

    def work(say: Say) -> None:
        for word in words:
            say(word)

    before = children()
    assert heard(work, page) == (words, None)
    assert children() == before


def test_a_child_that_its_own_child_stops_is_continued_after_any_message(page: Page) -> None:
    """A process that its own child stops is continued, even if it has begun another turn after a message."""

    def stops_its_parent(say: Say) -> None:
        say("first")
        time.sleep(0.05)  # until the parent waits for the next one
        os.kill(os.getppid(), signal.SIGSTOP)
        say("second")

    def work(say: Say) -> None:
        inner = Page()
        for message in in_child(stops_its_parent, inner, lambda: 10.0, leader=True):
            page.begin(0)
            say(message)
        inner.close()

    assert heard(work, page) == (["first", "second"], None)


@pytest.mark.parametrize(
    ("end", "detail"),
    [
        (lambda: os._exit(3), "the process exited with status 3"),
        (lambda: os.kill(os.getpid(), signal.SIGSEGV), "killed by SIGSEGV"),
        (os.abort, "killed by SIGABRT"),
    ],
    ids=["exit", "segv", "abort"],
)
def test_a_death_is_told_apart_from_an_end(page: Page, end: Callable[[], None], detail: str) -> None:
    """A child that dies is reported as a crash, and the messages that it sent before are received."""

    def work(say: Say) -> None:
        say("before")
        end()

    said, death = heard(work, page)
    assert said == ["before"]
    assert death is not None
    assert (death.how, death.detail) == ("crash", detail)


def test_a_crash_tells_where_it_was(page: Page) -> None:
    """A crash is reported with the stack of the main thread, innermost frame last."""
    _, death = heard(lambda _: os.kill(os.getpid(), signal.SIGSEGV), page)
    assert death is not None
    assert death.stack[-1].function == "<lambda>"
    assert death.stack[-1].path == __file__


@pytest.mark.parametrize("masked", [False, True])
def test_a_hang_is_noticed_and_tells_where_it_is(page: Page, masked: bool) -> None:
    """A child that hangs is killed and reported with its stack; with all signals blocked it is killed too."""

    def wait_for_ever() -> None:
        if masked:
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()

    _, death = heard(lambda _: wait_for_ever(), page, limit=0.3)
    assert death is not None
    assert death.how == "hang"
    assert masked or death.stack[-1].function == "wait_for_ever"


def test_a_turn_that_moves_on_is_no_hang(page: Page) -> None:
    """The time limit holds for each turn of a child, not for all turns together."""

    def work(say: Say) -> None:
        for turn in range(6):
            page.begin(turn)
            time.sleep(0.1)
        say("done")

    assert heard(work, page, limit=0.4) == (["done"], None)


def test_an_exception_in_the_work_is_ours_and_comes_out(page: Page) -> None:
    """An exception in the child's work is a defect of the audit, and is raised in the parent with its traceback."""
    with pytest.raises(AuditBrokeError, match="ZeroDivisionError"):
        heard(lambda _: print(1 / 0), page)


def test_closing_kills_child_and_grandchildren(page: Page) -> None:
    """Closing the generator kills the child and its children, whatever they wait for."""

    def work(say: Say) -> None:
        sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
        say((os.getpid(), sleeper.pid))
        time.sleep(100)

    with closing(in_child(work, page, lambda: 60.0, leader=True)) as children:
        pids = next(children)
        assert all(_alive(pid) for pid in pids)
    deadline = time.monotonic() + 5
    while any(_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(_alive(pid) for pid in pids)


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_child_does_not_run_exit_handlers_or_flush(page: Page, tmp_path: object) -> None:
    """A child does not flush what its parent has buffered, so that it is written only once."""
    path = os.path.join(str(tmp_path), "buffered")
    with open(path, "w") as file:
        file.write("once")
        heard(lambda _: None, page)
    with open(path) as file:
        assert file.read() == "once"


def test_the_signal_mask_of_parent_and_child_is_what_it_was(page: Page) -> None:
    """The signal mask of parent and child is unchanged after the fork, where signals are blocked."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    said, _ = heard(lambda say: say(signal.pthread_sigmask(signal.SIG_BLOCK, [])), page)
    assert said == [before]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


POINTS = [Point(f"a.py:{line}:call#1", "a.py", "/a.py", line, "call", 1, "f") for line in (1, 2, 3)]


def _run(point: Point | None, struck: Callable[[], None]) -> RunResult:
    """Make a run, which at the second point ends the process after the interrupt."""
    if point is not None:
        struck()
        if point.line == 2:
            os._exit(7)
    return RunResult(Strike(fired=point is not None), seconds=os.getpid())


def test_runs_of_a_sequence_share_a_process_and_the_one_that_dies_is_told() -> None:
    """Runs of a sequence share a process; one that dies is the last result, with whether its interrupt had been sent."""
    runs = list(Forked(_run, 10).runs(POINTS, lambda *_: False))
    assert [run.died for run in runs] == ["", "crash"]
    assert runs[1].strike.fired
    assert runs[0].seconds != os.getpid()


def test_a_sequence_ends_where_the_process_says_so() -> None:
    """A sequence ends when the process that made a run decides that no other run follows."""
    runs = list(Forked(_run, 10).runs([POINTS[0], POINTS[0], None], lambda point, _: point is POINTS[0]))
    assert len(runs) == 1


def test_a_hang_before_the_strike_is_told_from_one_after() -> None:
    """Whether the interrupt had been sent before a hang is known, since shared memory survives the process."""

    def run(point: Point | None, struck: Callable[[], None]) -> RunResult:
        if point is POINTS[1]:
            struck()
        if point is not None:
            time.sleep(100)
        return RunResult(Strike())

    (before,) = Forked(run, 0.3).runs([POINTS[0]], lambda *_: False)
    (after,) = Forked(run, 0.3).runs([POINTS[1]], lambda *_: False)
    assert (before.died, before.strike.fired) == ("hang", False)
    assert (after.died, after.strike.fired) == ("hang", True)


def test_a_child_of_the_code_under_test_that_returns_into_the_audit_is_ended() -> None:
    """If the code under test forks and both processes return from the run, only the one that began it goes on."""

    def run(point: Point | None, struck: Callable[[], None]) -> RunResult:
        if point is not None and (pid := os.fork()):
            os.waitpid(pid, 0)
        return RunResult(Strike())

    assert len(list(Forked(run, 10).runs([POINTS[0], None], lambda *_: False))) == 2


def test_without_isolation_runs_happen_here() -> None:
    """Without isolation, runs happen in the process of the session."""
    runs = list(InProcess(_run).runs([POINTS[0], None], lambda *_: False))
    assert [run.seconds for run in runs] == [os.getpid()] * 2


def test_each_isolation_is_a_choice_of_the_setting() -> None:
    """The setting ``isolation`` offers ``auto`` and the ways that have an executor, and nothing else."""
    (row,) = (row for row in settings.TABLE if row.name == "isolation")
    assert row.must == f"one of {', '.join(['auto', *ISOLATIONS])}"
    assert [row.parse(name) for name in ISOLATIONS] == list(ISOLATIONS)
    assert {*ISOLATIONS} <= {*map(str, Isolation)}
