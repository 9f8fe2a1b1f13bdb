"""Running threads."""

from __future__ import annotations

import _thread
import gc
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources import Surroundings
from pytest_maskcheck.resources.kinds.locks import Locks
from pytest_maskcheck.resources.kinds.threads import Threads

if TYPE_CHECKING:
    from tests.resources.conftest import Watch


@pytest.fixture
def end() -> Iterator[threading.Event]:
    """Yield an event that the threads of the test wait for; set it at the end, and wait until they are gone."""
    event, count, older = threading.Event(), _thread._count(), set(threading.enumerate())
    yield event
    event.set()
    for thread in set(threading.enumerate()) - older:
        if not isinstance(thread, threading._DummyThread):
            thread.join(5)
    for _ in range(10_000):
        if _thread._count() <= count:
            break
        threading.Event().wait(0.001)


class Kept:
    """An object that a local variable of a frame keeps alive."""


def test_looking_keeps_no_frame(surroundings: Surroundings, watch: Watch, end: threading.Event) -> None:
    """Comparing keeps no reference to frames: an object that a thread drops dies at once, without a collection."""
    begun, references = threading.Event(), []

    def work() -> None:
        kept = Kept()
        references.append(weakref.ref(kept))
        begun.set()
        end.wait()

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    gc.disable()
    try:
        watch(Threads(surroundings))()
        watch(Locks())()
        end.set()
        thread.join()
        assert [reference() for reference in references] == [None]
    finally:
        gc.enable()


def test_a_running_thread_is_a_leftover(surroundings: Surroundings, watch: Watch, end: threading.Event) -> None:
    """A running thread is found by every comparison; numbers in its name are replaced."""
    compare = watch(Threads(surroundings))
    thread = threading.Thread(target=end.wait, name="worker-17", daemon=True)
    thread.start()
    (leftover,) = compare()
    assert (leftover.kind, leftover.key, leftover.token) == ("thread", "worker-#", id(thread))
    assert leftover.detail == "daemon thread 'worker-17' is still running"
    assert compare() == [leftover]


def test_a_thread_of_a_pool_is_a_leftover(surroundings: Surroundings, watch: Watch) -> None:
    """An idle worker of a pool is a leftover until the pool is shut down."""
    compare = watch(Threads(surroundings))
    with ThreadPoolExecutor(2, "pool") as pool:
        pool.submit(int).result()
        assert [leftover.key for leftover in compare()] == ["pool_#"]
    assert compare() == []


def _spin(ready: threading.Event, end: threading.Event) -> None:
    ready.set()
    end.wait()


def test_a_thread_without_an_object_is_a_leftover(
    surroundings: Surroundings, watch: Watch, end: threading.Event
) -> None:
    """A thread started with ``start_new_thread`` is named by its function."""
    compare, ready = watch(Threads(surroundings)), threading.Event()
    _thread.start_new_thread(_spin, (ready, end))
    ready.wait()
    (leftover,) = compare()
    assert leftover.key == "start_new_thread(_spin)"


def test_a_thread_that_runs_no_python_code_is_a_leftover(surroundings: Surroundings, watch: Watch) -> None:
    """A thread without a Python frame is found, since the number of threads is compared."""
    compare, lock = watch(Threads(surroundings)), _thread.allocate_lock()
    lock.acquire()
    count = _thread._count()
    _thread.start_new_thread(lock.acquire, ())
    while _thread._count() == count:  # a thread is counted once it has begun to run
        threading.Event().wait(0.001)
    try:
        assert [leftover.key for leftover in compare()] == ["start_new_thread(?)"]
    finally:
        lock.release()
        while _thread._count() > count:
            threading.Event().wait(0.001)


def test_older_and_ended_threads_do_not_count(surroundings: Surroundings, watch: Watch, end: threading.Event) -> None:
    """A thread is no leftover if it ran before, with a ``Thread`` object or without, or if it has ended."""
    ready = threading.Event()
    threading.Thread(target=end.wait).start()
    _thread.start_new_thread(_spin, (ready, end))
    ready.wait()
    compare = watch(Threads(surroundings))
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    assert compare() == []


def test_a_new_thread_instead_of_an_old_one_is_seen(
    surroundings: Surroundings, watch: Watch, end: threading.Event
) -> None:
    """A new thread is found even if an old one has ended, so that the number of threads is the same."""
    old_end = threading.Event()
    old = threading.Thread(target=old_end.wait, name="old")
    old.start()
    compare = watch(Threads(surroundings))
    old_end.set()
    old.join()
    threading.Thread(target=end.wait, name="new").start()
    assert [leftover.key for leftover in compare()] == ["new"]


def test_repair_tells_whether_the_thread_has_ended(surroundings: Surroundings, watch: Watch) -> None:
    """Repair returns whether the thread has ended, since it cannot end a thread."""
    kind, end = Threads(surroundings), threading.Event()
    compare = watch(kind)
    thread = threading.Thread(target=end.wait)
    thread.start()
    (leftover,) = compare()
    assert kind.repair(leftover) is False
    end.set()
    thread.join()
    assert kind.repair(leftover) is True


def test_a_thread_on_its_way_is_a_leftover(surroundings: Surroundings, watch: Watch, end: threading.Event) -> None:
    """A thread whose start was interrupted is found before it has begun to run."""
    compare = watch(Threads(surroundings))
    thread = threading.Thread(target=end.wait, name="early")
    # As ``Thread.start()`` does before the new thread runs: an interrupt right after that leaves the thread there.
    threading._limbo[thread] = thread  # type: ignore[attr-defined]
    try:
        (leftover,) = compare()
        later = watch(Threads(surroundings))
        assert later() == []
    finally:
        del threading._limbo[thread]  # type: ignore[attr-defined]
    assert (leftover.key, leftover.detail) == ("early", "thread 'early' has not begun to run")
    assert compare() == []


def test_a_thread_that_has_just_begun_is_told_once(
    surroundings: Surroundings, watch: Watch, end: threading.Event
) -> None:
    """A thread that runs before ``threading`` has recorded its identifier is reported once, not twice."""
    begun, go = threading.Event(), threading.Event()
    thread = threading.Thread(target=end.wait, name="new")
    tell = thread._set_ident  # type: ignore[attr-defined]

    def tell_late() -> None:
        begun.set()
        go.wait()
        tell()

    thread._set_ident = tell_late  # type: ignore[attr-defined]
    starter = threading.Thread(target=lambda: (end.wait(0.01), thread.start(), end.wait()))
    starter.start()
    compare = watch(Threads(surroundings))
    try:
        begun.wait()
        assert [leftover.key for leftover in compare()] == ["new"]
    finally:
        go.set()
        end.set()
        starter.join()
        thread.join()
