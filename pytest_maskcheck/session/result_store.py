"""The file that keeps the results of audits for later sessions: an SQLite database, opened anew for each access.

1. Sessions and workers of xdist may use one file at the same time: each access is one transaction, and waits for others.
2. No connection is open while a test runs or a process is forked: it would be one more descriptor, and must not be used in a child.
3. A result is found by its test and is valid only with its basis (:mod:`.basis`). So a file may hold results of any age, of any
   interpreter, and of code that is gone: they are of no use, and do no harm. Those that nobody has used for long are deleted.
4. A file that is damaged, or not of this version, is started anew if it is in pytest's cache, which is nobody's data. One that the user
   has named is left alone, and is a usage error.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_maskcheck.system.unpatched import os, pathlib, time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

VERSION = 2
"""Version of the tables; it grows by one with each change of them."""

_MARK = 0x6D61736B
"""``application_id`` of the database: the letters ``mask``."""

_WAIT = 30.0
"""Seconds to wait for another process that writes."""

_UNUSED = 90
"""Days after which what nobody has used is deleted."""

_TABLES = """
    CREATE TABLE results (
        test TEXT NOT NULL, environment TEXT NOT NULL, basis TEXT NOT NULL, reached TEXT NOT NULL, positions TEXT NOT NULL,
        texts TEXT NOT NULL, clean TEXT NOT NULL, leaning TEXT NOT NULL,
        brief TEXT NOT NULL, session TEXT NOT NULL, settled INTEGER NOT NULL, audit BLOB NOT NULL, used INTEGER NOT NULL,
        PRIMARY KEY (test, environment));
    CREATE TABLE sources (digest TEXT PRIMARY KEY, data TEXT NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE sessions (name TEXT PRIMARY KEY, number INTEGER NOT NULL, ended INTEGER NOT NULL);
"""


_COLUMNS = "test, basis, reached, positions, texts, clean, leaning, brief, session, settled"
"""What is read of a result without its audit."""


class UnusableStoreError(Exception):
    """The file cannot be used; the message says why."""


@dataclass(frozen=True, slots=True, repr=False)
class Row:
    """One result.

    Parameters:
        test: node id.
        basis: digest of what decides the result.
        reached: what the audit has shown about the code that decides, as JSON.
        positions: digest of the places of that code.
        texts: digest of its functions.
        clean: keys of the points that were audited without a finding, for tests that leave them out.
        leaning: test -> such keys of it, of points that this test has left out; as JSON.
        brief: what the summary needs, as JSON; ``""`` if the audit has findings.
        session: the session that made the audit.
        settled: nothing is to be tried again: no point stayed undecided by chance, or that was so in two audits.
    """

    test: str
    basis: str
    reached: str
    positions: str
    texts: str
    clean: str
    leaning: str
    brief: str
    session: str
    settled: bool = True


class ResultStore:
    """A file of results.

    Parameters:
        path: the file.
        named: the user has named it; else it is part of pytest's cache.

    Attributes:
        complaint: why results of earlier sessions are not used, or ``""``.

    Raises:
        UnusableStoreError: the file cannot be used.
    """

    def __init__(self, path: str, *, named: bool) -> None:
        self.path = path
        self.complaint = ""
        try:
            self._prepare()
        except (sqlite3.Error, UnusableStoreError) as error:
            if named or not _is_damage(error):
                raise UnusableStoreError(str(error)) from None
            self.complaint = (
                f"the results of earlier sessions in pytest's cache cannot be used ({error}): they were deleted"
            )
            self._start_anew()

    def _prepare(self) -> None:
        """Create the tables, unless they are there.

        Raises:
            sqlite3.Error: the file is no database, or cannot be written.
            UnusableStoreError: it is another database, or one of another version.
        """
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            (mark,), (version,) = (
                database.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version")
            )
            (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if not tables:
                for statement in _TABLES.split(";"):
                    database.execute(statement)
                database.execute(f"PRAGMA application_id = {_MARK}")
                database.execute(f"PRAGMA user_version = {VERSION}")
            elif mark != _MARK:
                raise UnusableStoreError("it is another program's database")
            elif version != VERSION:
                raise UnusableStoreError(
                    f"it has version {version}, and this pytest-maskcheck writes version {VERSION}"
                )

    def _start_anew(self) -> None:
        try:
            for ending in ("", "-journal"):
                if os.path.lexists(self.path + ending):
                    os.remove(self.path + ending)
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise UnusableStoreError(str(error)) from None

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open the file for one transaction, which is undone if the body raises."""
        with closing(sqlite3.connect(self.path, timeout=_WAIT, isolation_level=None)) as database:
            # The journal stays: files that come and go in a directory that a test uses would look like its leftovers.
            database.execute("PRAGMA journal_mode = PERSIST")
            database.execute("PRAGMA synchronous = OFF")  # a result that a power failure loses is audited again
            yield database
            if database.in_transaction:
                database.execute("COMMIT")

    # Reading

    def rows(self, environment: str) -> dict[str, Row]:
        """Return all results of sessions with this environment, without their audits, by test."""
        with self._open() as database:
            found = database.execute(f"SELECT {_COLUMNS} FROM results WHERE environment = ?", (environment,))
            return {row[0]: Row(*row) for row in found}

    def row(self, test: str, environment: str) -> Row | None:
        """Return the result of a test as it is now; ``None`` if there is none."""
        with self._open() as database:
            query = f"SELECT {_COLUMNS} FROM results WHERE test = ? AND environment = ?"
            found = database.execute(query, (test, environment)).fetchone()
        return Row(*found) if found else None

    def audit(self, row: Row) -> str | None:
        """Return the audit of a result as JSON; ``None`` if another session has replaced it meanwhile."""
        with self._open() as database:
            query = "SELECT audit FROM results WHERE test = ? AND basis = ? AND session = ?"
            found = database.execute(query, (row.test, row.basis, row.session)).fetchone()
        return zlib.decompress(found[0]).decode() if found else None

    def sources(self) -> dict[str, str]:
        """Return what is known of the content of source files, by digest."""
        with self._open() as database:
            return dict(database.execute("SELECT digest, data FROM sources"))

    # Sessions

    def begin(self, name: str) -> None:
        """Record that a session has begun."""
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("DELETE FROM sessions WHERE number <= (SELECT max(number) FROM sessions) - 100")
            database.execute(
                "INSERT INTO sessions VALUES (?, (SELECT ifnull(max(number), 0) + 1 FROM sessions), 0)", (name,)
            )

    def end(self, name: str) -> None:
        """Record that a session has run all its tests."""
        with self._open() as database:
            database.execute("UPDATE sessions SET ended = 1 WHERE name = ?", (name,))

    def interrupted(self) -> str | None:
        """Return the last session if it has not run all its tests, else ``None``."""
        with self._open() as database:
            found = database.execute("SELECT name, ended FROM sessions ORDER BY number DESC LIMIT 1").fetchone()
        return found[0] if found and not found[1] else None

    # Writing

    def keep(self, row: Row, environment: str, audit: str) -> None:
        """Keep a result in place of an earlier one of the same test."""
        values = (
            row.test,
            environment,
            row.basis,
            row.reached,
            row.positions,
            row.texts,
            row.clean,
            row.leaning,
            row.brief,
            row.session,
            row.settled,
            _packed(audit),
            _today(),
        )
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute(f"INSERT OR REPLACE INTO results VALUES ({', '.join('?' * len(values))})", values)

    def keep_sources(self, learned: Mapping[str, str], used: Iterable[str]) -> None:
        """Keep what was learned about source files; delete what nobody has used for long."""
        today = _today()
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            rows = [(key, data, today) for key, data in learned.items()]
            database.executemany("INSERT OR REPLACE INTO sources VALUES (?, ?, ?)", rows)
            database.executemany(
                "UPDATE sources SET used = ? WHERE digest = ? AND used < ?", [(today, key, today) for key in used]
            )
            for table in ("sources", "results"):
                database.execute(f"DELETE FROM {table} WHERE used < ?", (today - _UNUSED,))

    def drop(self, test: str, environment: str) -> None:
        """Delete the result of a test."""
        with self._open() as database:
            database.execute("DELETE FROM results WHERE test = ? AND environment = ?", (test, environment))

    def note_used(self, tests: Iterable[str], environment: str) -> None:
        """Record that results were used today."""
        today = _today()
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            database.executemany(
                "UPDATE results SET used = ? WHERE test = ? AND environment = ? AND used < ?",
                [(today, test, environment, today) for test in tests],
            )


def seconds_in(path: str) -> dict[str, float]:
    """Return how many seconds the audit of each test took, according to a file of results, which is only read; none if there is no file.

    Where a test has several results, as of different interpreters, the longest time counts.

    Raises:
        UnusableStoreError: the file is not one of results, or of another version.
    """
    if not os.path.exists(path):
        return {}
    seconds: dict[str, float] = {}
    try:
        with closing(sqlite3.connect(f"{pathlib.Path(path).as_uri()}?mode=ro", uri=True, timeout=_WAIT)) as database:
            marks = [database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
            if marks != [_MARK, VERSION]:
                raise UnusableStoreError("it is not a file of results of this version of pytest-maskcheck")
            for test, audit in database.execute("SELECT test, audit FROM results"):
                took = float(json.loads(zlib.decompress(audit))["seconds"])
                seconds[test] = max(seconds.get(test, 0.0), took)
    except (sqlite3.Error, zlib.error, ValueError, KeyError, TypeError) as error:
        raise UnusableStoreError(str(error)) from None
    return seconds


def _packed(text: str) -> bytes:
    return zlib.compress(text.encode("utf-8", "backslashreplace"), 1)


def _today() -> int:
    return int(time.time() // 86400)


def _is_damage(error: Exception) -> bool:
    """Return whether a file must be started anew, rather than that it cannot be written, or another process uses it."""
    return isinstance(error, UnusableStoreError) or not isinstance(error, sqlite3.OperationalError)
