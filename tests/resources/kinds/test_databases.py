"""Connections and transactions of sqlite."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.resources import Surroundings
from pytest_maskcheck.resources.kinds.databases import Connections, Transactions
from pytest_maskcheck.resources.kinds.descriptors import Descriptors
from pytest_maskcheck.system.frozen_heap import FrozenHeap

if TYPE_CHECKING:
    from tests.conftest import AuditSource
    from tests.resources.conftest import Watch


class Derived(sqlite3.Connection):
    """A user's subclass, whose methods must not be called."""

    @property
    def total_changes(self) -> int:  # type: ignore[override]
        raise AssertionError


@pytest.fixture
def older() -> Iterator[sqlite3.Connection]:
    """Yield a connection that is older than the frozen heap."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("create table t (x)")
        connection.row_factory = lambda *_: None
        yield connection


@pytest.mark.usefixtures("frozen_heap")
@pytest.mark.parametrize("make", [sqlite3.Connection, Derived])
def test_an_open_connection_is_a_leftover(
    surroundings: Surroundings, watch: Watch, tmp_path: Path, make: type[sqlite3.Connection]
) -> None:
    """An open connection is a leftover, which ``describe`` names after its file; repair closes it."""
    kind = Connections(surroundings)
    compare = watch(kind)
    connection = sqlite3.connect(tmp_path / "a.db", factory=make)
    (leftover,) = compare()
    assert (leftover.key, leftover.detail) == (make.__name__, "a connection to a database was not closed")
    described = kind.describe(leftover)
    assert described.key == "<tmp_path>/a.db"
    assert described.detail == f"a connection to a database was not closed: {tmp_path}/a.db"
    assert kind.repair(leftover)
    assert compare() == []
    with pytest.raises(sqlite3.ProgrammingError):
        connection.execute("select 1")


@pytest.mark.usefixtures("frozen_heap")
def test_connections_of_other_threads_are_seen_and_closed(
    surroundings: Surroundings, watch: Watch, tmp_path: Path
) -> None:
    """Connections of other threads are found, without a file name; repair closes their descriptor while the thread still runs."""
    kind, descriptors = Connections(surroundings), Descriptors(surroundings)
    compare, opened_files = watch(kind), watch(descriptors)
    made: list[sqlite3.Connection] = []
    opened, done = threading.Event(), threading.Event()

    def use() -> None:
        made.append(sqlite3.connect(tmp_path / "a.db"))
        made[0].execute("create table t (x)")
        opened.set()
        done.wait()

    thread = threading.Thread(target=use)
    thread.start()
    try:
        opened.wait()
        (leftover,) = compare()
        assert kind.describe(leftover) == leftover
        assert [each.key for each in opened_files()] == ["<tmp_path>/a.db"]
        assert kind.repair(leftover)
        assert compare() == opened_files() == []
    finally:
        done.set()
        thread.join()


def test_a_connection_of_another_thread_is_one_defect(audit: AuditSource) -> None:
    """The descriptor of another thread's connection is reported with the connection, not as a defect of its own."""
    audited = audit("""
        import pytest, sqlite3, threading
        KEPT = []

        def use(path, opened, done):
            KEPT.append(sqlite3.connect(path))
            KEPT[0].execute("create table if not exists t (x)")
            opened.set()
            done.wait()
            KEPT.pop().close()

        @pytest.mark.interrupt_safe
        def test_it(tmp_path):
            opened, done = threading.Event(), threading.Event()
            thread = threading.Thread(target=use, args=(tmp_path / "a.db", opened, done), daemon=True)
            thread.start()
            opened.wait()
            len("x")
            done.set()
            thread.join()
        """)
    defects = [defect for defect in audited.audit.failures if any(point.line == 18 for point in defect.points)]
    assert sorted(defect.kind for defect in defects) == ["sqlite", "thread"]
    assert ["; with it fd" in defect.detail for defect in defects if defect.kind == "sqlite"] == [True]


@pytest.mark.usefixtures("frozen_heap")
def test_closed_connections_are_no_leftovers(surroundings: Surroundings, watch: Watch) -> None:
    """Closed, half-made and older connections are no leftovers."""
    with closing(sqlite3.connect(":memory:")):
        compare = watch(Connections(surroundings))
        with closing(sqlite3.connect(":memory:")) as closed:
            closed.execute("select 1")
        unborn = sqlite3.Connection.__new__(sqlite3.Connection)
        assert compare() == []
        del unborn


def test_a_transaction_on_an_older_connection_is_a_leftover(
    surroundings: Surroundings, watch: Watch, older: sqlite3.Connection
) -> None:
    """An open transaction on an older connection is a leftover; repair rolls it back."""
    kind = Transactions(surroundings)
    kind.prepare()
    FrozenHeap.freeze()
    try:
        before = kind.snapshot()
        older.execute("insert into t values (1)")
        (leftover,) = kind.compare(before)
        described = kind.describe(leftover)
        assert described.key == ":memory:"
        assert described.detail == "a transaction was neither committed nor rolled back: :memory:"
        assert kind.repair(leftover)
        assert not older.in_transaction
        assert kind.compare(before) == []
    finally:
        FrozenHeap.thaw()


def test_transactions_that_ended_are_no_leftovers(
    surroundings: Surroundings, watch: Watch, older: sqlite3.Connection
) -> None:
    """A transaction that has ended, or was open before the snapshot, is no leftover."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as another:
        another.execute("begin")
        compare = watch(Transactions(surroundings))
        with older:
            older.execute("insert into t values (1)")
        assert compare() == []


@pytest.mark.skipif(sys.version_info < (3, 12), reason="since 3.12")
def test_the_transaction_that_is_always_open_is_no_leftover(surroundings: Surroundings, watch: Watch) -> None:
    """With ``autocommit=False``, the transaction that is always open is no leftover."""
    options: dict[str, Any] = {"autocommit": False}
    compare = watch(Transactions(surroundings))
    with closing(sqlite3.connect(":memory:", **options)) as connection:
        connection.execute("create table t (x)")
        assert compare() == []
