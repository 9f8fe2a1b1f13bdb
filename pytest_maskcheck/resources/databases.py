"""Connections of ``sqlite3`` that are open, and transactions that are."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Any

from pytest_maskcheck.resources.base import Surroundings
from pytest_maskcheck.resources.heap import Family
from pytest_maskcheck.resources.objects import Objects

HAS_SQLITE = find_spec("_sqlite3") is not None
_CONNECTIONS = Family("_sqlite3:Connection")


def _is_open(connection: Any) -> bool:
    try:
        _read(connection, "total_changes")
    except Exception:  # noqa: BLE001  (it is closed, or its __init__ was interrupted)
        return False
    return True


def _read(connection: Any, name: str) -> Any:
    """Return what sqlite itself says, whatever a subclass does."""
    import _sqlite3

    return vars(_sqlite3.Connection)[name].__get__(connection)


def _database(connection: Any, surroundings: Surroundings) -> tuple[str, str]:
    """Return the key and the name of the file that a connection is to."""
    import _sqlite3

    name = "?"
    with suppress(Exception):  # it belongs to another thread
        cursor = _sqlite3.Cursor(connection)
        cursor.row_factory = None
        name = cursor.execute("PRAGMA database_list").fetchone()[2] or ":memory:"
    return surroundings.key(name), name


class Connections(Objects):
    """Connections that were not closed."""

    name = "sqlite"
    owns = True
    family = _CONNECTIONS

    def __init__(self, surroundings: Surroundings) -> None:
        self.surroundings = surroundings

    def is_open(self, thing: Any) -> bool:
        return _is_open(thing)

    def told(self, thing: Any) -> tuple[str, str]:
        key, name = _database(thing, self.surroundings)
        return key, f"a connection to the database {name} was not closed"

    def close(self, thing: Any) -> None:
        thing.close()

    @contextmanager
    def canary(self) -> Iterator[None]:
        import sqlite3

        connection = sqlite3.connect(":memory:")
        try:
            yield
        finally:
            connection.close()


class Transactions(Objects):
    """Transactions left open, on new connections and on those that were open before the heap was frozen.

    With ``autocommit=False`` there is always one, which says nothing.
    """

    name = "transaction"

    def __init__(self, surroundings: Surroundings) -> None:
        self.surroundings = surroundings
        self._old: dict[int, object] = {}  # there are no weak references to them

    def prepare(self) -> None:
        self._old = {id(thing): thing for thing in self._made() if _is_open(thing)}

    def _made(self) -> Collection[object]:
        new = _CONNECTIONS.made()
        return {**self._old, **{id(thing): thing for thing in new}}.values() if self._old else new

    def is_open(self, thing: Any) -> bool:
        return _is_open(thing) and _read(thing, "in_transaction") and getattr(thing, "autocommit", True) is not False

    def told(self, thing: Any) -> tuple[str, str]:
        key, name = _database(thing, self.surroundings)
        return key, f"a transaction on the database {name} was neither committed nor rolled back"

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
