"""Cures are tried on seeded defects: following one makes the audit pass, and holds under real signals."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.interrupts.cpython.entering import with_checks_on_entering
from pytest_maskcheck.reports.cures import BY_KIND, cure
from pytest_maskcheck.results import Audit, Category, Verdict

if TYPE_CHECKING:
    from tests.conftest import AuditTogether

ENOUGH = 5
"""The number of signals that must land in a body."""

PREAMBLE = """
import asyncio, contextlib, os, shutil, signal, sqlite3, subprocess, tempfile, threading
from pathlib import Path
from pytest_maskcheck.masking import bracket, mask, shield, sigmask

LOCK = threading.Lock()
GATE = threading.Semaphore(2)
ASYNC_LOCK = asyncio.Lock()
END = threading.Event()
DATABASE = sqlite3.connect(":memory:")
DATABASE.execute("CREATE TABLE names (name)")
FREE = [object()]
LEFT = []
STATE = {"depth": 0}

def lend():
    GATE.acquire()
    return FREE

def give_back(_):
    GATE.release()

def start():
    END.clear()
    thread = threading.Thread(target=END.wait, daemon=True)
    thread.start()
    return thread

def stop(thread):
    END.set()
    thread.join()

def spawn():
    return os.posix_spawn(shutil.which("sleep"), ["sleep", "5"], os.environ)

def end(pid):
    os.kill(pid, 9)
    os.waitpid(pid, 0)

class Connection:
    def __enter__(self):
        self.made = sqlite3.connect(":memory:")
        LEFT.append(self.made)
    def __exit__(self, *details):
        self.made.close()
        LEFT.clear()

class Finalized:
    def __del__(self):
        len("x")

def tolerating(errors):
    try:
        len("x")
    except errors:
        pass

def opened(path):
    files = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return [file for file in files if os.path.islink(file) and os.readlink(file) == path]

def children():
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
"""

TEST = """
import pytest

@pytest.mark.interrupt_safe(hits=1)
def test_it(tmp_path, maskcheck):
"""

SUBJECT = """
class maskcheck:
    unchanged = staticmethod(lambda *arguments: None)

def body(place):
    tmp_path = Path(place)
{body}

def left(place):
    tmp_path = Path(place)
    return [{left!r}] if {left} else []
"""


@dataclass(frozen=True)
class Tried:
    """A cure that is tried.

    Parameters:
        says: a part of the sentence that names the cure.
        bad: a body with the defect.
        cured: a body that follows the cure.
        left: an expression that is true if something is left behind; ``""`` if that cannot be seen from outside a run, or the body is a
            coroutine: an event loop that is interrupted anywhere may wait for ever, and ``asyncio.run()`` sees to it for Python's own
            handler only.
    """

    says: str
    bad: str
    cured: str
    left: str = ""


TRIED = {
    "lock": Tried(
        "`with bracket(acquire, release, ...)`",
        """
        LOCK.acquire()
        try:
            len("x")
        finally:
            LOCK.release()
        """,
        """
        with bracket(LOCK.acquire, lambda _: LOCK.release()):
            len("x")
        """,
        "LOCK.locked()",
    ),
    "semaphore": Tried(
        "`with bracket(acquire, release, ...)`",
        """
        lend()
        give_back(None)
        """,
        """
        with bracket(lend, give_back):
            len("x")
        """,
        "GATE._value < 2",
    ),
    "sqlite": Tried(
        "`with shield(make, ...)`",
        """
        connection = sqlite3.connect(":memory:")
        LEFT.append(connection)
        connection.close()
        LEFT.clear()
        """,
        """
        with shield(Connection):
            len("x")
        """,
        "LEFT",
    ),
    "fd": Tried(
        "`with bracket(os.open, os.close, ...)`",
        """
        fd = os.open("/dev/zero", os.O_RDONLY)
        os.close(fd)
        """,
        """
        with bracket(os.open, os.close, "/dev/zero", os.O_RDONLY):
            len("x")
        """,
        "opened('/dev/zero')",
    ),
    "thread": Tried(
        "`with bracket(start, stop, ...)`",
        """
        thread = start()
        stop(thread)
        """,
        """
        with bracket(start, stop):
            len("x")
        """,
        "threading.active_count() > 1",
    ),
    "child": Tried(
        "`with bracket(start, end, ...)`",
        """
        pid = spawn()
        end(pid)
        """,
        """
        with bracket(spawn, end):
            len("x")
        """,
        "children()[1:]",  # the first one sends the signals
    ),
    "popen": Tried(
        "`with shield(make, ...)`",
        """
        process = subprocess.Popen(["sleep", "5"])
        process.kill()
        process.wait()
        """,
        """
        with shield(subprocess.Popen, ["true"]):
            len("x")
        """,
        "children()[1:]",
    ),
    "path": Tried(
        "`with bracket(create, remove, ...)`",
        """
        path = tmp_path / "part"
        path.touch()
        len("x")
        path.unlink()
        """,
        """
        path = tmp_path / "part"
        with bracket(path.touch, lambda _: path.unlink()):
            len("x")
        """,
        'os.path.exists(tmp_path / "part")',
    ),
    "transaction": Tried(
        "run it in `with connection:`",
        """
        DATABASE.execute("INSERT INTO names VALUES ('x')")
        len("x")
        DATABASE.rollback()
        """,
        """
        with DATABASE:
            DATABASE.execute("INSERT INTO names VALUES ('x')")
            len("x")
        """,
        "DATABASE.in_transaction",
    ),
    "double_close": Tried(
        "`detach()` it first",
        """
        file = open(os.devnull)
        LEFT.append(file)
        os.close(file.fileno())
        len("x")
        os.open(os.devnull, os.O_RDONLY)
        LEFT.pop().close()
        """,
        """
        with mask():
            file = os.fdopen(os.open(os.devnull, os.O_RDONLY), closefd=False)
            LEFT.append(file)
            os.close(file.fileno())
            LEFT.clear()
        """,
    ),
    "sigmask": Tried(
        "`with sigmask(...)`",
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        len("x")
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
        """,
        """
        with sigmask(signal.SIGUSR1, other_threads="allow"):
            len("x")
        """,
        "signal.pthread_sigmask(signal.SIG_BLOCK, ())",
    ),
    "async_lock": Tried(
        "`async with`",
        """
        async def work():
            await ASYNC_LOCK.acquire()
            await asyncio.sleep(0)
            ASYNC_LOCK.release()
        asyncio.run(work())
        """,
        """
        async def work():
            async with ASYNC_LOCK:
                await asyncio.sleep(0)
        asyncio.run(work())
        """,
    ),
    "loop": Tried(
        "let `asyncio.run()`",
        """
        loop = asyncio.new_event_loop()
        LEFT.append(loop)
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        LEFT.clear()
        """,
        """
        asyncio.run(asyncio.sleep(0))
        """,
    ),
    "altered": Tried(
        "restore the old state in a `finally` that is entered before the state is changed",
        """
        before = os.getcwd()
        os.chdir(tmp_path)
        len("x")
        os.chdir(before)
        """,
        """
        before = os.getcwd()
        try:
            os.chdir(tmp_path)
            len("x")
        finally:
            os.chdir(before)
        """,
        "os.getcwd() == str(tmp_path)",
    ),
    "implicit": Tried(
        "`with shield(make, ...)`",
        """
        file = open(os.devnull)
        len("x")
        file.close()
        """,
        """
        with shield(open, os.devnull):
            len("x")
        """,
    ),
    "swallowed": Tried(
        "`except Exception` instead of a bare `except:`",
        """
        tolerating(BaseException)
        """,
        """
        tolerating(Exception)
        """,
    ),
    "finalizer": Tried(
        "mask signals where the last reference goes",
        """
        thing = Finalized()
        del thing
        """,
        """
        with mask():
            thing = Finalized()
            del thing
        """,
    ),
    "replaced": Tried(
        "clean-up code must cope with what was only half done",
        """
        items = []
        try:
            len("x")
            items.append(1)
        finally:
            items.pop()
        """,
        """
        items = []
        try:
            len("x")
            items.append(1)
        finally:
            if items:
                items.pop()
        """,
    ),
    "unusable": Tried(
        "restore the invariants of the object in a `finally`",
        """
        assert not STATE["depth"]
        STATE["depth"] = 1
        len("x")
        STATE["depth"] = 0
        """,
        """
        assert not STATE["depth"]
        try:
            STATE["depth"] = 1
            len("x")
        finally:
            STATE["depth"] = 0
        """,
        'STATE["depth"]',
    ),
    "invariant": Tried(
        "mask signals while the guarantee does not hold",
        """
        maskcheck.unchanged(lambda: STATE["depth"], "depth")
        STATE["depth"] = 1
        len("x")
        STATE["depth"] = 0
        """,
        """
        maskcheck.unchanged(lambda: STATE["depth"], "depth")
        with mask():
            STATE["depth"] = 1
            len("x")
            STATE["depth"] = 0
        """,
        'STATE["depth"]',
    ),
    "cleanup": Tried(
        "only signals masked from before the clean-up begins to its end",
        """
        path = tmp_path / "part"
        try:
            path.touch()
        finally:
            path.unlink(missing_ok=True)
        """,
        """
        path = tmp_path / "part"
        with mask():
            try:
                path.touch()
            finally:
                path.unlink(missing_ok=True)
        """,
        'os.path.exists(tmp_path / "part")',
    ),
    "inside": Tried(
        "here, mask signals around the call",
        """
        name = tempfile.mkdtemp(dir=tmp_path)
        os.rmdir(name)
        """,
        """
        with mask():
            name = tempfile.mkdtemp(dir=tmp_path)
            os.rmdir(name)
        """,
        "os.listdir(tmp_path)",
    ),
}
if with_checks_on_entering():
    TRIED["interpreter"] = Tried(
        "masking signals around the block can",
        """
        with LOCK:
            len("x")
        """,
        """
        with mask():
            with LOCK:
                len("x")
        """,
        "LOCK.locked()",
    )


@pytest.fixture(scope="module")
def audits(audit_together: AuditTogether) -> dict[str, Audit]:
    """Return the audits of all bodies, with the defect and cured."""
    bodies = {f"bad_{name}": tried.bad for name, tried in TRIED.items()}
    bodies |= {f"cured_{name}": tried.cured for name, tried in TRIED.items()}
    return audit_together({name: PREAMBLE + TEST + indent(dedent(body), "    ") for name, body in bodies.items()})


def test_every_cure_of_a_kind_is_tried() -> None:
    """Each cure that is written for some kinds of leftovers is tried for one of them at least."""
    assert {BY_KIND[name] for name in TRIED if name in BY_KIND} == {*BY_KIND.values()}


@pytest.mark.parametrize("name", TRIED)
def test_what_the_sentence_says_cures(audits: dict[str, Audit], name: str) -> None:
    """The defect is found and its cure is named, and a body that follows the cure passes at every point."""
    bad, cured = audits[f"bad_{name}"], audits[f"cured_{name}"]
    found = [each for each in bad.defects if name in {each.kind, each.verdict, each.category}]
    defect = min(found, key=lambda each: (each.category is Category.INSIDE, each.verdict is Verdict.IMPLICIT))
    assert TRIED[name].says in cure(defect)
    assert not cured.refused
    assert cured.audited == len(cured.points) > 0
    assert not cured.failures
    allowed = {Verdict.INTERPRETER} if with_checks_on_entering() else set()
    assert {each.verdict for each in cured.defects if each.kind == defect.kind} <= allowed


@pytest.mark.oldest_and_newest
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at descriptors and children in /proc")
@pytest.mark.parametrize("name", [name for name, tried in TRIED.items() if tried.left])
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # workers of xdist have a second thread
def test_the_cure_holds_under_real_signals(experiment: ModuleType, tmp_path: Path, name: str) -> None:
    """A body that follows the cure leaves nothing behind under SIGINT from another process at random times."""
    tried, path = TRIED[name], tmp_path / "subject.py"
    body = indent(dedent(tried.cured), "    ")
    path.write_text(PREAMBLE + SUBJECT.format(body=body, left=tried.left), encoding="utf-8")
    tries: list[list[str]] = []
    until = time.monotonic() + 60.0
    while len(tries) < ENOUGH and (left := until - time.monotonic()) > 0:  # few signals land in so short a body
        tries += [left for _, left in experiment.in_children(path, "process", 2000, left)]
    assert tries
    assert not any(tries)


def test_sentences_warn_of_masks_that_end_too_early(audits: dict[str, Audit]) -> None:
    """The cure of a leaked lock warns that masking within one's own ``@contextmanager`` does not help."""
    (defect,) = audits["bad_lock"].failures
    assert "`@contextmanager`" in cure(defect)
