"""Held locks."""

from __future__ import annotations

import functools
import gc
import queue
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.resources import heap
from pytest_maskcheck.resources.census import Census
from pytest_maskcheck.resources.heap import at_once
from pytest_maskcheck.resources.kind_set import KindSet
from pytest_maskcheck.resources.kinds.async_locks import AsyncLocks
from pytest_maskcheck.resources.kinds.locks import Locks
from pytest_maskcheck.resources.kinds.semaphores import Semaphores
from pytest_maskcheck.system import other_threads
from pytest_maskcheck.system.frozen_heap import FrozenHeap

if TYPE_CHECKING:
    from tests.conftest import AuditSource
    from tests.resources.conftest import Watch


class Store:
    """An object with a lock as an attribute."""

    def __init__(self, lock: Any = None) -> None:
        self.lock = lock or threading.Lock()


class Slotted:
    """An object with a lock in a slot."""

    __slots__ = ("lock",)

    def __init__(self) -> None:
        self.lock = threading.Lock()


@contextmanager
def other_thread(body: Callable[[], object]) -> Iterator[threading.Thread]:
    """Run ``body`` in another thread during the ``with`` statement."""
    thread = threading.Thread(target=body)
    thread.start()
    try:
        yield thread
    finally:
        thread.join()


@pytest.mark.usefixtures("frozen_heap")
def test_a_held_lock_is_a_leftover(watch: Watch) -> None:
    """A new lock that is held is found by every comparison, under the name of its owner."""
    compare = watch(Locks())
    store = Store()
    store.lock.acquire()
    (leftover,) = compare()
    assert (leftover.kind, leftover.key, leftover.altered) == ("lock", "Store.lock", False)
    assert leftover.detail == "a lock is still held: Store.lock"
    assert compare() == [leftover]
    store.lock.release()


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock, threading._RLock, threading.Condition])
def test_every_sort_of_lock_is_seen(watch: Watch, make: Callable[[], Any]) -> None:
    """Plain locks, reentrant locks in C and in Python, and conditions are found, older and newer than the census."""
    older = make()
    compare = watch(Locks())
    assert compare() == []
    for lock in older, make():
        lock.acquire()
        assert len(compare()) == 1
        lock.release()
        assert compare() == []


def test_locks_that_were_held_before_do_not_count(watch: Watch) -> None:
    """A lock held before the run is no leftover."""
    store, lock = Store(), threading.RLock()
    with store.lock, lock:
        compare = watch(Locks())
        assert compare() == []


def test_a_reentrant_lock_acquired_once_more_counts(watch: Watch) -> None:
    """A reentrant lock that is acquired more often than before is a leftover."""
    store = Store(threading.RLock())
    with store.lock:
        compare = watch(Locks())
        store.lock.acquire()
        assert [leftover.key for leftover in compare()] == ["Store.lock"]
        store.lock.release()
        assert compare() == []


def test_another_lock_at_the_same_address_is_told_apart(watch: Watch) -> None:
    """A lock that was held before is recognised by identity, not by its id alone."""
    kind = Locks()
    old = threading.Lock()
    old.acquire()
    before: Any = kind.snapshot()
    new = threading.Lock()
    new.acquire()
    before[id(new)] = before.pop(id(old))
    assert {leftover.token for leftover in kind.compare(before)} == {id(new), id(old)}


def _queue() -> tuple[Any, Any]:
    holder = queue.Queue[int]()
    return holder, holder.mutex


def _condition() -> tuple[Any, Any]:
    holder = threading.Condition()
    return holder, holder


def _slot() -> tuple[Any, Any]:
    holder = Slotted()
    return holder, holder.lock


def _class() -> tuple[Any, Any]:
    holder = type("Shared", (), {"lock": threading.Lock()})
    return holder, holder.lock  # type: ignore[attr-defined]


def _list() -> tuple[Any, Any]:
    holder = Store()
    lock = holder.lock
    holder.lock = [[lock]]
    return holder, lock


def _dict() -> tuple[Any, Any]:
    holder = Store()
    lock = holder.lock
    holder.lock = {"a": lock}
    return holder, lock


def _module() -> tuple[Any, Any]:
    module = types.ModuleType("pool")
    module.LOCK = threading.Lock()  # type: ignore[attr-defined]
    return module, module.LOCK  # type: ignore[attr-defined]


def _closure() -> tuple[Any, Any]:
    guard = threading.Lock()

    def holder() -> threading.Lock:
        return guard

    return holder, holder()


def _generator() -> tuple[Any, Any]:
    def run() -> Iterator[threading.Lock]:
        guard = threading.Lock()
        yield guard

    holder = run()
    return holder, next(holder)


def _traceback() -> tuple[Any, Any]:
    def fail() -> None:
        guard = threading.Lock()
        raise LookupError(guard)

    try:
        fail()
    except LookupError as error:
        return error.with_traceback(error.__traceback__.tb_next), error.args[0]  # type: ignore[union-attr]
    return None, None


@pytest.mark.parametrize("frozen", [False, True], ids=["new", "frozen"])
@pytest.mark.parametrize(
    ("made", "key"),
    [
        (_queue, "Queue.mutex"),
        (_condition, "Condition._lock"),
        (_slot, "Slotted.lock"),
        (_class, "Shared.lock"),
        (_list, "Store.lock[][]"),
        (_dict, "Store.lock['a']"),
        (_module, "pool.LOCK"),
        (_closure, "<local guard>"),
        (_generator, "<local guard>"),
        (_traceback, "<local guard>"),
    ],
)
def test_a_lock_is_named_by_who_holds_it(made: Callable[[], tuple[Any, Any]], key: str, frozen: bool) -> None:
    """The key of a lock is the path from its owner, whether the owner is newer or older than the frozen heap."""
    kind = Locks()
    kind.prepare()
    if frozen:
        holder, lock = made()
        kind.prepare()
    gc.collect()
    FrozenHeap.freeze()
    try:
        if not frozen:
            holder, lock = made()
        before = kind.snapshot()
        lock.acquire()
        assert [kind.describe(leftover).key for leftover in kind.compare(before)] == [key]
        assert (gc.get_freeze_count() == 0) is frozen, "thawed only if there is no other way"
        kind.finish(before)
        Census.settle()
        assert gc.get_freeze_count() > 0
        lock.release()
        assert kind.compare(before) == []
    finally:
        FrozenHeap.thaw()
    assert holder is not None


def test_one_look_at_a_thawed_heap_serves_every_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Naming locks thaws the heap, which is walked again once for all kinds, and only if another run begins."""
    walks = []
    walk = heap._walk
    monkeypatch.setattr(heap, "_walk", lambda: walks.append(gc.get_freeze_count()) or walk())
    store, kinds = Store(), [Locks(), Semaphores(), AsyncLocks()]
    together = KindSet(kinds)
    for kind in kinds:
        kind.prepare()
    gc.collect()
    FrozenHeap.freeze()
    try:
        befores = together.snapshot()
        with store.lock:
            assert [kinds[0].describe(leftover).key for leftover in together.compare(befores)] == ["Store.lock"]
        walks.clear()
        together.finish(befores, listening=True)
        together.finish(befores, listening=False)
        assert walks == [], "this may be the last run of the process"
        together.snapshot()
        assert len(walks) == 2, "one look at the whole heap, and one at what is new"
        assert walks[0] == 0 < walks[1]
    finally:
        FrozenHeap.thaw()


@pytest.mark.usefixtures("frozen_heap")
def test_a_lock_made_since_the_freeze_is_not_forgotten_when_the_heap_is_frozen_again() -> None:
    """A lock made since the first freeze is found by the next run, although the heap was frozen again after a finding."""
    kind = Locks()
    kind.prepare()
    made = Store()
    (loose,) = [threading.Lock()]
    before = kind.snapshot()
    loose.acquire()
    kind.compare(before)
    kind.finish(before)
    Census.settle()
    loose.release()
    before = kind.snapshot()
    made.lock.acquire()
    assert [leftover.key for leftover in kind.compare(before)] == ["Store.lock"]
    made.lock.release()
    kind.finish(before)


@pytest.mark.usefixtures("frozen_heap")
def test_a_lock_that_dies_with_its_frames_is_gone_at_the_second_reading(watch: Watch) -> None:
    """A held lock is found while a traceback keeps it alive, and no longer."""
    compare = watch(Locks())
    error, lock = _traceback()
    lock.acquire()
    del lock
    assert [leftover.key for leftover in compare()] == ["<local guard>"]
    del error
    gc.collect()
    assert compare() == []


def test_a_thread_that_waits_holds_no_leftover(watch: Watch) -> None:
    """The locks that a live thread holds for its own end and for its wait are no leftovers."""
    end, ready = threading.Event(), threading.Event()

    def wait() -> None:
        ready.set()
        end.wait()

    compare = watch(Locks())
    with other_thread(wait):
        ready.wait()
        time.sleep(0.01)
        try:
            assert compare() == []
        finally:
            end.set()


def test_a_lock_that_a_thread_holds_for_a_moment_is_no_leftover(watch: Watch) -> None:
    """A lock that a running thread releases shortly after the run is no leftover."""
    store, ready = Store(), threading.Event()

    def hold() -> None:
        with store.lock:
            ready.set()
            time.sleep(0.003)

    compare = watch(Locks())
    with other_thread(hold):
        ready.wait()
        assert compare() == []


@pytest.mark.usefixtures("frozen_heap")
def test_a_lock_that_only_a_thread_could_reach_goes_with_it(watch: Watch) -> None:
    """A held lock that only a thread referred to, like the one it waits on, is no leftover once the thread drops it."""
    ready, end = threading.Event(), threading.Event()

    def wait() -> None:
        place = threading.Lock()
        place.acquire()
        ready.set()
        while not end.is_set():
            pass
        time.sleep(0.002)

    compare = watch(Locks())
    with other_thread(wait), at_once:
        ready.wait()
        end.set()
        assert compare() == []


@pytest.mark.usefixtures("frozen_heap")
def test_woken_threads_leave_no_locks(watch: Watch) -> None:
    """A thread that is woken repeatedly leaves no lock, whenever the comparison happens."""
    questions: queue.Queue[int | None] = queue.Queue()
    answers: queue.Queue[int] = queue.Queue()

    def answer() -> None:
        while (question := questions.get()) is not None:
            answers.put(question)

    compare = watch(Locks())
    with other_thread(answer):
        for number in range(100):
            questions.put(number)
            with at_once:
                assert compare() == []
            answers.get()
        questions.put(None)


@pytest.mark.usefixtures("frozen_heap")
def test_a_lock_that_a_waiting_thread_does_not_give_back_is_a_leftover(watch: Watch) -> None:
    """A lock held by a thread that waits for something else is a leftover, with a name or without."""
    store, ready, end = Store(), threading.Event(), threading.Event()

    def hold() -> None:
        own = threading.Lock()
        own.acquire()
        store.lock.acquire()
        ready.set()
        end.wait()
        store.lock.release()

    compare = watch(Locks())
    with other_thread(hold):
        ready.wait()
        try:
            with at_once:
                assert sorted(leftover.key for leftover in compare()) == ["<unnamed lock>", "Store.lock"]
        finally:
            end.set()


@pytest.mark.usefixtures("frozen_heap")
def test_an_unnamed_lock_that_is_lost_beside_a_thread_is_a_leftover(watch: Watch) -> None:
    """An unnamed lock that an object refers to is a leftover even while threads run, since somebody may wait for it."""
    holder = functools.partial(Store, threading.Lock())
    compare = watch(Locks())
    jobs: queue.Queue[int] = queue.Queue()
    with other_thread(jobs.get):
        holder.args[0].acquire()
        try:
            (leftover,) = compare()
            assert leftover.key.startswith("<unnamed") or "partial" in leftover.key
        finally:
            holder.args[0].release()
            jobs.put(1)


WOKEN = """
import queue, threading, pytest

def work(requests):
    while requests.get() is not None:
        pass

class Owner:
    def __init__(self):
        self.requests = queue.Queue()
        threading.Thread(target=work, args=(self.requests,), daemon=True).start()
        len("x")

    def close(self):
        self.requests.put(None)

    __del__ = close

@pytest.mark.interrupt_safe
def test_it():
    Owner()
"""


def test_an_interrupt_beside_a_thread_that_is_woken_is_audited(audit: AuditSource) -> None:
    """An interrupt beside a thread that is being woken leaves a thread, and never a lock, at any point."""
    audited = audit(WOKEN).audit
    assert audited.undecided == 0
    assert {defect.kind for defect in audited.defects} == {"thread", "finalizer"}


def test_looks_end_though_a_thread_turns_for_ever(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison ends although another thread runs forever, and waits for that thread only once per snapshot."""
    monkeypatch.setattr(other_threads, "_SECONDS", 0.02)
    store, end = Store(), threading.Event()

    def turn() -> None:
        while not end.is_set():
            pass

    compare = watch(Locks())
    with other_thread(turn):
        store.lock.acquire()
        try:
            assert [leftover.key for leftover in compare()] == ["Store.lock"]
            monkeypatch.setattr(other_threads, "_PAUSES", ())
            monkeypatch.setattr(other_threads, "_PAUSE", 3600)
            assert [leftover.key for leftover in compare()] == ["Store.lock"]
        finally:
            end.set()
            store.lock.release()


def test_a_reentrant_lock_of_another_thread_is_no_leftover(watch: Watch) -> None:
    """A reentrant lock of another thread is no leftover, since only the thread that compares is interrupted."""
    store, ready, end = Store(threading.RLock()), threading.Event(), threading.Event()

    def hold() -> None:
        with store.lock:
            ready.set()
            end.wait()

    compare = watch(Locks())
    with other_thread(hold):
        ready.wait()
        time.sleep(0.01)
        try:
            assert compare() == []
        finally:
            end.set()


def test_a_lock_leaked_beside_a_running_thread_is_seen(watch: Watch) -> None:
    """A leaked lock is found while other threads run, even one that they wait for."""
    jobs: queue.Queue[int] = queue.Queue()
    compare = watch(Locks())
    with other_thread(jobs.get):
        time.sleep(0.01)
        jobs.mutex.acquire()
        try:
            assert [leftover.key for leftover in compare()] == ["Queue.mutex"]
        finally:
            jobs.mutex.release()
            jobs.put(1)


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock])
def test_repair_releases(watch: Watch, make: Callable[[], Any]) -> None:
    """Repair releases the lock completely, however often it was acquired."""
    kind, store = Locks(), Store(make())
    compare = watch(kind)
    store.lock.acquire()
    if make is threading.RLock:
        store.lock.acquire()
    (leftover,) = compare()
    assert kind.repair(leftover) is True
    assert compare() == []
    assert store.lock.acquire(blocking=False)
    store.lock.release()


def test_naming_runs_no_code_of_the_holder(watch: Watch) -> None:
    """Naming a lock runs no code of its owner, which may raise at every attribute access."""

    class Touchy:
        def __init__(self) -> None:
            object.__setattr__(self, "lock", threading.Lock())

        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(name)

    holder = Touchy()
    lock = object.__getattribute__(holder, "lock")
    compare = watch(Locks())
    lock.acquire()
    assert [leftover.key for leftover in compare()] == ["Touchy.lock"]
    lock.release()


def test_looking_is_cheap_beside_a_frozen_heap() -> None:
    """The cost of a comparison does not grow with the frozen heap, since old objects are not visited."""
    heap = [[number] for number in range(300_000)]
    kind = Locks()
    kind.prepare()
    gc.collect()
    FrozenHeap.freeze()
    try:
        began = time.process_time()  # independent of what else the machine has to do
        for _ in range(100):
            kind.compare(kind.snapshot())
        assert time.process_time() - began < 0.3
    finally:
        FrozenHeap.thaw()
    assert len(heap) == 300_000
    assert sys.getrefcount(heap) >= 1
