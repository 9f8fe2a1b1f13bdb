"""One run: its readings, what counts as leaked or dropped, and whose exception came out."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from pytest_maskcheck.audit.run_maker import unarmed
from pytest_maskcheck.interrupts import choose
from pytest_maskcheck.points.ids import Names
from pytest_maskcheck.resources import Kind, Leftover, Surroundings, all_kinds
from pytest_maskcheck.resources.census import Census
from pytest_maskcheck.runs import after_fixtures, readings
from pytest_maskcheck.runs.requests import RunResult
from pytest_maskcheck.runs.runner import Runner
from pytest_maskcheck.system.frozen_heap import FrozenHeap

LOCK = threading.Lock()


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """Thaw the heap at the end: kinds freeze it again after they thawed it to name something."""
    yield
    FrozenHeap.thaw()


def run(
    body: Callable[[], object],
    *,
    here: bool = True,
    places: dict[str, str] | None = None,
    only: str = "",
    asked: Counter[str] | None = None,
) -> RunResult:
    """Run a body once without an interrupt; count in ``asked`` how often each kind compares."""

    class Target:
        """A plain callable."""

        still = False

        def __call__(self, around: Callable[[Callable[[], object]], None]) -> str:
            around(body)
            return ""

        def places(self) -> dict[str, str]:
            return places or {}

        def note_left(self, kinds: Collection[str]) -> None:
            pass

        def forget(self) -> None:
            pass

    surroundings = Surroundings()
    kinds = tuple(kind for kind in all_kinds(surroundings) if only in {"", kind.name})
    for kind in kinds:
        kind.prepare()
        if asked is not None:
            kind.compare = _counting(kind, asked)  # type: ignore[method-assign]
    runner = Runner(Target(), kinds, surroundings, Names(os.getcwd()), lambda name: name == __file__, choose()[0], here)
    return runner.run(unarmed(nullcontext()))


def _counting(kind: Kind, asked: Counter[str]) -> Callable[[object], list[Leftover]]:
    compare = kind.compare

    def counted(before: object) -> list[Leftover]:
        asked[kind.name] += 1
        return compare(before)

    return counted


def test_an_interrupt_that_comes_out_of_a_fixture_ends_the_run() -> None:
    """An interrupt from a fixture makes the run late; in the session's process it is raised, as it may be the user's own."""

    def target(around: Callable[[Callable[[], object]], None]) -> str:
        around(lambda: None)
        raise KeyboardInterrupt

    target.places = dict  # type: ignore[attr-defined]
    target.still = False  # type: ignore[attr-defined]
    target.note_left = lambda kinds: None  # type: ignore[attr-defined]
    runner = Runner(target, (), Surroundings(), Names(os.getcwd()), lambda _: True, choose()[0])  # type: ignore[arg-type]
    assert runner.run(unarmed(nullcontext())).late
    runner = Runner(target, (), Surroundings(), Names(os.getcwd()), lambda _: True, choose()[0], here=True)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        runner.run(unarmed(nullcontext()))


def found(ran: RunResult) -> tuple[list[str], list[str]]:
    """Return the kinds that leaked, and those that were dropped."""
    return [leftover.kind for leftover in ran.leaked], [leftover.kind for leftover in ran.dropped]


def test_a_body_that_leaves_nothing_leaves_nothing() -> None:
    """A body that leaves nothing has no leftovers, whether it returns or raises."""

    def fails() -> None:
        raise ValueError("no")

    assert found(run(lambda: None)) == ([], [])
    assert found(run(fails)) == ([], [])


def test_what_is_still_there_when_all_frames_are_gone_is_leaked() -> None:
    """Leftovers that outlive all frames are leaked, and are repaired if the process goes on."""

    def body() -> None:
        os.open(os.devnull, os.O_RDONLY)
        LOCK.acquire()
        raise ValueError

    before = len(os.listdir("/proc/self/fd"))
    assert found(run(body)) == (["fd", "lock"], [])
    assert not LOCK.locked()
    assert len(os.listdir("/proc/self/fd")) == before


def test_only_what_may_vanish_by_itself_is_asked_again_and_again() -> None:
    """While waiting for another thread to close a descriptor, only that kind is compared; the last reading compares all."""

    def body() -> None:
        os.open(os.devnull, os.O_RDONLY)
        LOCK.acquire()

    end, asked = threading.Event(), Counter[str]()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        assert found(run(body, asked=asked)) == (["fd", "lock"], [])
    finally:
        end.set()
        thread.join()
    others = {number for name, number in asked.items() if name != "fd"}
    assert max(others) <= 7, "once, and twice for each of three readings"
    assert asked["fd"] >= max(others) + 15


def test_a_descriptor_is_not_waited_for_where_nobody_else_could_close_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """An open descriptor is not waited for if no other thread could close it."""
    monkeypatch.setattr(readings, "has_other_threads", lambda: False)
    slept: list[float] = []
    monkeypatch.setattr(readings.time, "sleep", slept.append)
    assert found(run(lambda: os.open(os.devnull, os.O_RDONLY), only="fd")) == (["fd"], [])
    assert slept == []


def test_what_only_a_frame_holds_is_dropped() -> None:
    """A file held only by a local variable is dropped, and its ResourceWarning is reported."""

    def body() -> None:
        file = open(os.devnull)
        raise ValueError(file.name)

    with warnings.catch_warnings(record=True):
        leaked, dropped = found(run(body))
    assert (leaked, dropped) == (["implicit"], ["fd"])


def test_directories_of_one_run_have_names_in_what_it_tells(tmp_path: Path) -> None:
    """Results show a run's directories by name, not by path, since the paths differ in every run."""

    def body() -> None:
        (tmp_path / "tmp12345678").mkdir()
        (tmp_path / "missing").unlink()

    ran = run(body, places={"tmp_path": str(tmp_path)})
    assert ran.raised is not None
    assert ran.raised.text.endswith("'<tmp_path>/missing'")
    assert [leftover.detail.split()[1] for leftover in ran.leaked] == ["<tmp_path>/tmp12345678"]


def test_a_thread_that_ends_by_itself_is_not_dropped() -> None:
    """A thread that ends by itself is waited for, and is neither leaked nor dropped."""

    def body() -> None:
        thread = threading.Thread(target=time.sleep, args=[0.03])
        thread.start()
        raise ValueError("no")

    assert found(run(body, only="thread")) == ([], [])


def test_a_lock_of_the_test_itself_is_leaked_though_it_dies_with_it() -> None:
    """A lock in a local variable of the test itself is leaked, since the test stands for the program that goes on."""

    def body() -> None:
        lock = threading.Lock()
        lock.acquire()
        raise ValueError

    ran = run(body)
    assert found(ran) == (["lock"], [])
    assert ran.leaked[0].key == "<local lock>"


def test_a_lock_that_died_with_the_interrupted_code_harmed_nobody() -> None:
    """A lock that only an interrupted frame held, such as the waiter of a ``Condition``, is no leak."""

    def waits() -> None:
        lock = threading.Lock()
        lock.acquire()
        raise ValueError

    assert found(run(lambda: waits())) == ([], [])  # noqa: PLW0108  (a frame between test and lock)


def test_a_traceback_is_told_from_the_test_on() -> None:
    """A traceback has the frames from the test on, without those of pytest and the audit."""

    def body() -> None:
        os.path.join(1)  # type: ignore[arg-type, call-overload]

    raised = run(body).raised
    assert raised is not None
    assert raised.type == "TypeError"
    assert raised.frames[0].function.endswith("<locals>.body")
    assert raised.frames[-1].path == "<frozen posixpath>" or raised.frames[-1].path.endswith("posixpath.py")


def test_the_users_own_interrupt_passes_where_there_is_no_isolation() -> None:
    """In the session's process, an interrupt that the audit did not send is the user's and is raised."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(interrupted)
    ran = run(interrupted, here=False)
    assert ran.raised is not None
    assert ran.raised.interrupt


def test_an_interrupt_in_a_finalizer_is_noted() -> None:
    """An interrupt raised in ``__del__``, which CPython drops, is recorded as lost."""

    class Late:
        """Raises an interrupt in ``__del__``."""

        def __del__(self) -> None:
            raise KeyboardInterrupt

    ran = run(lambda: Late() and None)
    assert ran.raised is None
    assert [name.rpartition(".")[2] for name in ran.lost] == ["__del__"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KeyboardInterrupt(), True),
        (BaseExceptionGroup("g", [KeyboardInterrupt(), BaseExceptionGroup("h", [KeyboardInterrupt()])]), True),
        (BaseExceptionGroup("g", [KeyboardInterrupt(), ValueError()]), False),
        (SystemExit(), False),
    ],
)
def test_what_is_an_interrupt(error: BaseException, expected: bool) -> None:
    """``KeyboardInterrupt`` counts as an interrupt, and so does an exception group that contains nothing else."""
    assert choose()[0].is_interrupt(error) is expected


def test_a_process_can_go_on_after_a_descriptor_or_a_lock_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A result is passable if nothing but descriptors and locks is left; ``release`` then releases the locks, and leaves descriptors."""
    monkeypatch.setattr(after_fixtures, "has_other_threads", lambda: False)  # a worker of xdist has some
    kept: list[int] = []

    def runner_of(body: Callable[[], object]) -> Runner:
        def target(around: Callable[[Callable[[], object]], None]) -> str:
            around(body)
            return ""

        target.places = dict  # type: ignore[attr-defined]
        target.forget = lambda: None  # type: ignore[attr-defined]
        target.still = True  # type: ignore[attr-defined]
        target.note_left = lambda _: None  # type: ignore[attr-defined]
        kinds = tuple(all_kinds(Surroundings()))
        for kind in kinds:
            kind.prepare()
        return Runner(target, kinds, Surroundings(), Names(os.getcwd()), lambda name: name == __file__, choose()[0])  # type: ignore[arg-type]

    def opens() -> None:
        kept.append(os.open(os.devnull, os.O_RDONLY))

    runner = runner_of(lambda: (opens(), LOCK.acquire()))
    FrozenHeap.freeze()
    Census.learn({id(LOCK): "LOCK"})  # otherwise the heap is thawed to name it
    ran = runner.run(unarmed(nullcontext()))
    assert {leftover.kind for leftover in ran.leaked} == {"fd", "lock"}
    assert ran.passable
    assert LOCK.locked()
    assert runner.release()
    assert not LOCK.locked()
    os.fstat(kept[0])  # still open
    runner = runner_of(lambda: os.environ.update(LEFT="1"))
    FrozenHeap.freeze()
    assert not runner.run(unarmed(nullcontext())).passable
    assert not runner.release()
    del os.environ["LEFT"]
    os.close(kept[0])
