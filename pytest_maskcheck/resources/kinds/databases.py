"""Open connections of ``sqlite3``, and open transactions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import Any, cast

from pytest_maskcheck.resources.heap import Family
from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.kinds.executors import within
from pytest_maskcheck.resources.open_objects import OpenObjects
from pytest_maskcheck.resources.surroundings import Surroundings
from pytest_maskcheck.system.untrusted import name_of, read

HAS_SQLITE = find_spec("_sqlite3") is not None
_SECONDS = 1.0
_CONNECTIONS = Family("_sqlite3:Connection")


def _is_open(connection: Any) -> bool:
    try:
        _read(connection, "total_changes")
    except Exception:  # noqa: BLE001  (it is closed, or its __init__ was interrupted)
        return False
    return True


def _read(connection: Any, name: str) -> Any:
    """Return an attribute as ``sqlite3`` itself defines it, even if a subclass overrides it."""
    import _sqlite3

    return vars(_sqlite3.Connection)[name].__get__(connection)


def _described(leftover: Leftover, connections: Iterable[object], surroundings: Surroundings) -> Leftover:
    """Return ``leftover`` under the name of the file that its connection has open.

    The query leaves a statement in the connection, so it is made only at the end, when the leftover is described.
    """
    import _sqlite3

    for connection in connections:
        if id(connection) == leftover.token:
            with suppress(Exception):  # it belongs to another thread, or it was closed
                cursor = _sqlite3.Cursor(cast("_sqlite3.Connection", connection))
                cursor.row_factory = None
                name = cursor.execute("PRAGMA database_list").fetchone()[2] or ":memory:"
                return replace(leftover, key=surroundings.key(name), detail=f"{leftover.detail}: {name}")
    return leftover


def _close_anew(connection: Any) -> None:
    import _sqlite3

    # The base class's own methods: those of a subclass would run the user's code.
    with suppress(_sqlite3.Error):
        _sqlite3.Connection.__init__(connection, ":memory:")  # this closes the former connection
        _sqlite3.Connection.close(connection)


class Connections(OpenObjects):
    """Connections that were not closed."""

    name = "sqlite"
    available = HAS_SQLITE
    owns = True
    files = ("", "-journal", "-wal", "-shm")
    warns = "unclosed database"
    family = _CONNECTIONS

    def is_open(self, thing: Any) -> bool:
        return _is_open(thing)

    def key_and_detail(self, thing: Any) -> tuple[str, str]:
        return name_of(type(thing)), "a connection to a database was not closed"

    def describe(self, leftover: Leftover) -> Leftover:
        return _described(leftover, self._made(), self.surroundings)

    def is_named(self, leftover: Leftover) -> bool:  # noqa: ARG002
        return False

    def close(self, thing: Any) -> None:
        """Close a connection. Only the thread that made it can call ``close``, so another thread's is connected anew to close it."""
        import _sqlite3

        try:
            thing.close()
        except _sqlite3.ProgrammingError:
            within(_SECONDS, partial(_close_anew, thing))  # a statement that its own thread runs must end first

    @contextmanager
    def canary(self) -> Iterator[None]:
        import sqlite3

        connection = sqlite3.connect(":memory:")
        try:
            yield
        finally:
            connection.close()


class Transactions(OpenObjects):
    """Open transactions, on new connections and on those that were open before the heap was frozen.

    With ``autocommit=False`` a transaction is always open; it does not count.
    """

    name = "transaction"
    available = HAS_SQLITE

    def __init__(self, surroundings: Surroundings | None = None) -> None:
        super().__init__(surroundings)
        self._old: dict[int, object] = {}  # strong references, as connections do not support weak ones

    absent = None  # connections older than the frozen heap count, too

    def prepare(self) -> None:
        self._old = {id(thing): thing for thing in self._made() if _is_open(thing)}

    def _made(self) -> Collection[object]:
        new = _CONNECTIONS.made()
        return {**self._old, **{id(thing): thing for thing in new}}.values() if self._old else new

    def is_open(self, thing: Any) -> bool:
        return _is_open(thing) and _read(thing, "in_transaction") and read(thing, "autocommit", True) is not False

    def key_and_detail(self, thing: Any) -> tuple[str, str]:
        return name_of(type(thing)), "a transaction was neither committed nor rolled back"

    def describe(self, leftover: Leftover) -> Leftover:
        return _described(leftover, self._made(), self.surroundings)

    def is_named(self, leftover: Leftover) -> bool:  # noqa: ARG002
        return False

    def close(self, thing: Any) -> None:
        thing.rollback()

    @contextmanager
    def canary(self) -> Iterator[None]:
        import sqlite3

        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.execute("BEGIN")
        try:
            yield
        finally:
            connection.close()
