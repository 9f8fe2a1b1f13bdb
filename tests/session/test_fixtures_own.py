"""Things that code under test opens and a fixture closes: the fixture goes first, but the verdict is that of the end of the body."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.results import Audit, Verdict

if TYPE_CHECKING:
    from tests.conftest import AuditFolder, AuditSource, AuditTogether, Run

LAZY = """
import asyncio, atexit, multiprocessing.pool, os, pathlib, shutil, socket, sqlite3, subprocess, sys, tempfile, threading, weakref
from concurrent.futures import ThreadPoolExecutor
import pytest

class Store:
    def __init__(self, directory):
        self.directory = directory
        self.made = None
        self.others = []

    def get(self):
        if self.made is None:
            self.made = make(self.directory)
        return self.made

@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    yield store
    end(store)

def work(store):
    store.get()
    len("x")

{mark}
def test_it(store):
    work(store)
"""

MARK = "@pytest.mark.interrupt_safe"

OWNERS = {
    "connection": """
        def make(directory):
            return sqlite3.connect(directory / "x.db", isolation_level=None)

        def end(store):
            connection = store.get()
            connection.execute("create table if not exists t (x)")
            connection.close()
    """,
    "executor": """
        def make(directory):
            pool = ThreadPoolExecutor(1)
            pool.submit(int).result()
            return pool

        def end(store):
            assert store.get().submit(int).result() == 0
            store.get().shutdown()
    """,
    "pool": """
        def make(directory):
            return multiprocessing.pool.ThreadPool(1)

        def end(store):
            assert store.get().apply(int) == 0
            store.get().terminate()
            store.get().join()
    """,
    "sockets": """
        def make(directory):
            return socket.socketpair()

        def end(store):
            one, other = store.get()
            one.sendall(b"x")
            assert other.recv(1) == b"x"
            one.close()
            other.close()
    """,
    "directory": """
        def make(directory):
            return tempfile.TemporaryDirectory()

        def end(store):
            (pathlib.Path(store.get().name) / "x").touch()
            store.get().cleanup()
    """,
    "temporary_file": """
        def make(directory):
            return tempfile.NamedTemporaryFile("w")

        def end(store):
            print("x", file=store.get())
            store.get().close()
    """,
    "process": """
        def make(directory):
            return subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        def end(store):
            assert store.get().communicate(b"x")[0] == b"x"
            assert store.get().returncode == 0
    """,
    "file": """
        def make(directory):
            return open(directory / "x", "w")

        def end(store):
            print("x", file=store.get())
            store.get().close()
            (store.directory / "x").unlink()
    """,
    "descriptor": """
        def make(directory):
            return os.open(directory / "x", os.O_RDWR | os.O_CREAT)

        def end(store):
            os.write(store.get(), b"x")
            os.close(store.get())
    """,
    "thread": """
        def make(directory):
            made = threading.Event()
            thread = threading.Thread(target=made.wait)
            thread.start()
            return made, thread

        def end(store):
            made, thread = store.get()
            assert thread.is_alive()
            made.set()
            thread.join()
    """,
    "loop": """
        def make(directory):
            return asyncio.new_event_loop()

        def end(store):
            store.get().run_until_complete(asyncio.sleep(0))
            store.get().close()
    """,
    "finalizer": """
        DONE = []

        def make(directory):
            return weakref.finalize(Store, DONE.append, 1)

        def end(store):
            DONE.clear()
            store.get()()
            assert DONE == [1]
    """,
    "path": """
        def make(directory):
            (directory / "x").mkdir()
            return directory / "x"

        def end(store):
            if store.made is not None:
                store.made.rmdir()
    """,
}


def _dedented(body: str) -> str:
    return "\n".join(line[8:] for line in body.splitlines())


def lazy(body: str, arguments: str = "") -> str:
    """Return a test of a store that makes a thing on first use, and whose fixture closes the thing."""
    return LAZY.replace("{mark}", MARK + arguments) + _dedented(body)


@pytest.fixture(scope="module")
def audits(audit_together: AuditTogether) -> dict[str, Audit]:
    """The audits of all sources."""
    sources = {name: lazy(body) for name, body in OWNERS.items()}
    for name in "connection", "sockets", "executor":
        sources[f"{name}_here"] = lazy(OWNERS[name], "(isolation='none')")
        sources[f"{name}_rerun"] = lazy(OWNERS[name], "(strategy='rerun')")
    return audit_together(sources)


@pytest.mark.parametrize(
    "name", [*OWNERS, *(f"{n}_{how}" for n in ("connection", "sockets", "executor") for how in ("here", "rerun"))]
)
def test_a_fixture_ends_what_is_its_own(audits: dict[str, Audit], name: str) -> None:
    """A fixture finds the thing that it closes still open, so neither the fixture nor the next run fails; only lost things are leaks."""
    audit = audits[name]
    assert not audit.refused
    assert audit.audited >= 3
    failing = {(defect.verdict, defect.kind) for defect in audit.defects if defect.fails}
    assert not {each for each in failing if each[0] in {Verdict.UNUSABLE, Verdict.HANG, Verdict.CRASH}}
    # A thing that is lost before it is stored is a leak, as no fixture can close it.
    lost = {point.function for defect in audit.defects if defect.fails for point in defect.points}
    assert lost <= {"make", "Store.get"}


@pytest.mark.oldest_and_newest
@pytest.mark.parametrize("name", ["connection", "sockets", "executor"])
def test_a_real_interrupt_leaves_it_to_the_fixture(pytester: pytest.Pytester, run: Run, name: str) -> None:
    """After a real SIGINT that ends a plain pytest, the fixture also finds the thing that the test opened."""
    source = lazy(OWNERS[name]).replace('len("x")', "os.kill(os.getpid(), 2)")
    pytester.makepyfile(source.replace("    end(store)", "    end(store)\n    print('ended well')"))
    result = run("-s")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*ended well*"])


LOST = """
        def make(directory):
            lost = socket.socketpair()
            LOST.append(lost)
            len("x")
            LOST.remove(lost)
            for one in lost:
                one.close()
            return directory

        LOST = []

        def end(store):
            for several in LOST:
                for one in several:
                    one.close()
            LOST.clear()
"""
HELD = """
        LOCK = threading.Lock()

        def make(directory):
            LOCK.acquire()
            LOCK.release()
            return directory

        def end(store):
            {end}
"""


def test_a_leak_is_one_though_a_fixture_ends_it(audit_together: AuditTogether) -> None:
    """A leftover at the end of the body is a leak, even if a fixture closes it later; its descriptor is not reported separately."""
    audits = audit_together({"forked": lazy(LOST), "here": lazy(LOST, "(isolation='none')")})
    for name, audit in audits.items():
        failing = {(defect.verdict, defect.kind) for defect in audit.defects if defect.fails}
        assert failing == {("leak", "socket")}, name


def test_a_fixture_that_waits_for_a_lost_lock(audit_together: AuditTogether) -> None:
    """A fixture that waits for a lost lock hangs if the run is forked; if runs share the process, the lock is released before."""
    waits, asks = (
        lazy(HELD.format(end=end), arguments)
        for end, arguments in (
            ("LOCK.acquire(); LOCK.release()", "(timeout=1)"),
            ("LOCK.acquire(); LOCK.release()", "(isolation='none')"),
        )
    )
    audits = audit_together({"waits": waits, "asks": asks})
    verdicts = {name: {defect.verdict for defect in audit.defects if defect.fails} for name, audit in audits.items()}
    assert verdicts == {"waits": {"hang"}, "asks": {"leak"}}


ROLLED_BACK = """
import sqlite3
import pytest

@pytest.fixture(scope="module")
def database(tmp_path_factory):
    connection = sqlite3.connect(tmp_path_factory.mktemp("data") / "x.db", isolation_level=None)
    connection.execute("create table t (x)")
    yield connection
    connection.close()

@pytest.fixture
def transaction(database):
    database.execute("begin")
    yield database
    database.execute("rollback")

@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    return tmp_path_factory.mktemp("notes") / "x"

@pytest.mark.interrupt_safe
def test_rolled_back(transaction):
    transaction.execute("insert into t values (1)")
    assert transaction.execute("select * from t").fetchall() == [(1,)]

@pytest.mark.interrupt_safe
def test_lost(transaction, notes):
    transaction.execute("insert into t values (1)")
    notes.touch()
    len("x")
    notes.unlink()
"""


def test_the_journal_of_a_transaction_that_a_fixture_rolls_back(audit: AuditSource) -> None:
    """The journal left in a worker's own database counts as the one left in the session's; anything more is a leak."""
    rolled_back, lost = audit(ROLLED_BACK).audits
    assert rolled_back.audited >= 3
    assert rolled_back.left_anyway == ("fd:<basetemp>/data#/x.db-journal",)
    assert not any(defect.fails for defect in rolled_back.defects)
    assert {(each.kind, each.key) for each in lost.defects if each.fails} == {("path", "<basetemp>/notes#/x")}


PLUGIN = """
import pytest

OPEN = {}

class Handles:
    name = "handle"

    def snapshot(self):
        return list(OPEN)

    def describe(self, thing):
        return thing

    def repair(self, thing):
        del OPEN[thing]

@pytest.hookimpl
def pytest_maskcheck_resources():
    return [Handles()]
"""
PLUGGED = """
import pytest
from conftest import OPEN

@pytest.fixture
def handles():
    yield
    for name in "first", {second}:
        del OPEN[name]
    {then}

@pytest.mark.interrupt_safe{mark}
def test_it(handles):
    OPEN["first"] = OPEN["second"] = 1
    len("x")
"""


def test_kinds_of_plugins_are_repaired_after_fixtures(audit_folder: AuditFolder) -> None:
    """A handle that a fixture closes is still open for it; a handle that no fixture closes is repaired afterwards, for the next run."""
    files = {
        "conftest.py": PLUGIN,
        "test_forked.py": PLUGGED.format(second='"second"', then="pass", mark=""),
        "test_here.py": PLUGGED.format(second='"second"', then="pass", mark="(isolation='none')"),
        "test_one.py": PLUGGED.format(second='"first"', then="assert OPEN", mark="").replace(
            "del OPEN[name]", "OPEN.pop(name, 0)"
        ),
    }
    folder = audit_folder(files, "-p", "no:randomly")
    assert len(folder.audits) == 3
    for audit in folder.audits:
        assert not audit.refused, folder.output
        unusable = {
            defect.key for defect in audit.defects if defect.verdict == "unusable" and "call" in defect.points[0].kind
        }
        assert not unusable, folder.output
