"""Seeded defects: each program loses or alters one resource if it is interrupted at its marked line, which the audit finds there.

All programs acquire something, do something else, and release it without ``try``. They are audited in one session.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from textwrap import dedent, indent

import pytest

from pytest_maskcheck.resources import kind_names
from pytest_maskcheck.results import Audit

MARK = "between"


@dataclass(frozen=True)
class Seed:
    """A program that acquires a resource and releases it.

    Parameters:
        kind: the kind that must find the defect.
        take: lines that acquire the resource.
        give: lines that release it.
        before: lines at the top of the file.
        verdict: the verdict that must be found.
        is_async: whether the body is that of a coroutine.
    """

    kind: str
    take: str
    give: str
    before: str = ""
    verdict: str = "leak"
    is_async: bool = False

    def source(self) -> str:
        """Return the text of a test file."""
        body = "\n".join([*self.take.split("; "), f"os.getpid()  # {MARK}", *self.give.split("; ")])
        marker = f'@pytest.mark.interrupt_safe(kinds=["{self.kind}"])'
        head = ["import asyncio, os, pytest, signal, sys, threading", dedent(self.before), marker]
        if self.is_async:
            rest = ["def test_it():", "    async def main():", indent(body, " " * 8), "    asyncio.run(main())"]
        else:
            rest = [f"def test_it({'tmp_path' if 'tmp_path' in body else ''}):", indent(body, " " * 4)]
        return "\n".join([*head, *rest, ""])


def state(kind: str, take: str, give: str, before: str = "") -> Seed:
    """Return a program that changes process state and restores it."""
    return Seed(kind, take, give, before, "altered")


FORK = "import multiprocessing\nFORK = multiprocessing.get_context('fork')"
GENERATOR = "import contextlib\n@contextlib.contextmanager\ndef held():\n    try:\n        yield\n    finally:\n        os.getpid()"

SEEDS = {
    # Descriptors, files, memory
    "fd": Seed("fd", "fd = os.open(os.devnull, os.O_RDONLY)", "os.close(fd)"),
    "fd_of_a_pipe": Seed("fd", "ends = os.pipe()", "os.close(ends[0]); os.close(ends[1])"),
    "fd_redirected": state("fd", "copy = os.dup(2); os.dup2(1, 2)", "os.dup2(copy, 2); os.close(copy)"),
    "path": Seed("path", "path = tmp_path / 'a'; path.touch()", "path.unlink()"),
    "path_of_a_directory": Seed("path", "path = tmp_path / 'a'; path.mkdir()", "path.rmdir()"),
    "tempdir": Seed(
        "tempdir", "KEPT.append(tempfile.TemporaryDirectory())", "KEPT.pop().cleanup()", "import tempfile\nKEPT = []"
    ),
    "tempfile": Seed(
        "tempfile", "KEPT.append(tempfile.NamedTemporaryFile())", "KEPT.pop().close()", "import tempfile\nKEPT = []"
    ),
    "socket": Seed("socket", "KEPT.append(socket.socket())", "KEPT.pop().close()", "import socket\nKEPT = []"),
    "mmap": Seed("mmap", "KEPT.append(mmap.mmap(-1, 10))", "KEPT.pop().close()", "import mmap\nKEPT = []"),
    "shared_memory": Seed(
        "shared_memory",
        "memory = SharedMemory(create=True, size=10)",
        "memory.close(); memory.unlink()",
        "from multiprocessing.shared_memory import SharedMemory",
    ),
    "sqlite": Seed(
        "sqlite", "KEPT.append(sqlite3.connect(':memory:'))", "KEPT.pop().close()", "import sqlite3\nKEPT = []"
    ),
    "transaction": Seed(
        "transaction",
        "DB.execute('insert into t values (1)')",
        "DB.rollback()",
        "import sqlite3\nDB = sqlite3.connect(':memory:')\nDB.execute('create table t (a)')",
    ),
    "file_lock": Seed(
        "file_lock",
        "fcntl.flock(FILE, fcntl.LOCK_EX)",
        "fcntl.flock(FILE, fcntl.LOCK_UN)",
        "import fcntl, tempfile\nFILE = tempfile.TemporaryFile()",
    ),
    "double_close": Seed(
        "double_close",
        "KEPT.append(open(os.devnull)); os.close(KEPT[0].fileno())",
        "os.dup2(os.open(os.devnull, os.O_RDONLY), KEPT[0].fileno()); KEPT.pop().close()",
        "KEPT = []",
    ),
    # Locks
    "lock": Seed("lock", "LOCK.acquire()", "LOCK.release()", "LOCK = threading.Lock()"),
    "lock_reentrant": Seed("lock", "LOCK.acquire()", "LOCK.release()", "LOCK = threading.RLock()"),
    "lock_of_a_condition": Seed("lock", "LOCK.acquire()", "LOCK.release()", "LOCK = threading.Condition()"),
    "semaphore": Seed("semaphore", "LOCK.acquire()", "LOCK.release()", "LOCK = threading.Semaphore(2)"),
    "process_lock": Seed("process_lock", "LOCK.acquire()", "LOCK.release()", f"{FORK}\nLOCK = FORK.Lock()"),
    "process_semaphore": Seed(
        "process_semaphore", "LOCK.acquire()", "LOCK.release()", f"{FORK}\nLOCK = FORK.Semaphore(2)"
    ),
    "async_lock": Seed(
        "async_lock",
        "await LOCK.acquire()",
        "await asyncio.sleep(0); LOCK.release()",
        "LOCK = asyncio.Lock()",
        is_async=True,
    ),
    # Threads, processes, event loops, and code that is still to run
    "thread": Seed(
        "thread",
        "end = threading.Event(); thread = threading.Thread(target=end.wait, daemon=True); thread.start()",
        "end.set(); thread.join()",
    ),
    "child": Seed(
        "child", "pid = os.posix_spawnp('sleep', ['sleep', '60'], os.environ)", "os.kill(pid, 9); os.waitpid(pid, 0)"
    ),
    "popen": Seed(
        "popen",
        "KEPT.append(subprocess.Popen(['sleep', '60']))",
        "KEPT[0].kill(); KEPT.pop().wait()",
        "import subprocess\nKEPT = []",
    ),
    "pool": Seed(
        "pool",
        "KEPT.append(ThreadPool(1))",
        "KEPT[0].terminate(); KEPT.pop().join()",
        "from multiprocessing.pool import ThreadPool\nKEPT = []",
    ),
    "manager": Seed("manager", "KEPT.append(FORK.Manager())", "KEPT.pop().shutdown()", f"{FORK}\nKEPT = []"),
    "executor": Seed(
        "executor",
        "KEPT.append(ThreadPoolExecutor(1)); KEPT[0].submit(len, 'x').result()",
        "KEPT.pop().shutdown()",
        "from concurrent.futures import ThreadPoolExecutor\nKEPT = []",
    ),
    "loop": Seed("loop", "KEPT.append(asyncio.new_event_loop())", "KEPT.pop().close()", "KEPT = []"),
    "timer": Seed(
        "timer",
        "handle = LOOP.call_later(60, len, 'x')",
        "handle.cancel()",
        "LOOP = asyncio.new_event_loop()",
    ),
    "task": Seed(
        "task",
        "KEPT.append(LOOP.create_task(asyncio.sleep(60)))",
        "KEPT.pop().cancel(); LOOP.run_until_complete(asyncio.sleep(0))",
        "LOOP = asyncio.new_event_loop()\nKEPT = []",
    ),
    "coroutine": Seed("coroutine", "KEPT.append(asyncio.sleep(0))", "KEPT.pop().close()", "KEPT = []"),
    "generator": Seed(
        "generator",
        "KEPT.append(held()); KEPT[0].__enter__()",
        "KEPT.pop().__exit__(None, None, None)",
        f"{GENERATOR}\nKEPT = []",
    ),
    "asyncgen": Seed(
        "asyncgen",
        "KEPT.append(numbers()); LOOP.run_until_complete(anext(KEPT[0]))",
        "LOOP.run_until_complete(KEPT.pop().aclose())",
        "LOOP = asyncio.new_event_loop()\nKEPT = []\nasync def numbers():\n    try:\n        yield 1\n    finally:\n        os.getpid()",
    ),
    "atexit": Seed("atexit", "atexit.register(len, 'x')", "atexit.unregister(len)", "import atexit"),
    "finalize": Seed(
        "finalize",
        "KEPT.append(weakref.finalize(THING, len, 'x'))",
        "KEPT.pop().detach()",
        "import weakref\nKEPT = []\nclass Thing: pass\nTHING = Thing()",
    ),
    # State of the process
    "handler": state("handler", "old = signal.signal(signal.SIGUSR1, len)", "signal.signal(signal.SIGUSR1, old)"),
    "sigmask": state(
        "sigmask",
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])",
        "signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])",
    ),
    "itimer": state("itimer", "signal.setitimer(signal.ITIMER_REAL, 60)", "signal.setitimer(signal.ITIMER_REAL, 0)"),
    "wakeup_fd": state(
        "wakeup_fd",
        "signal.set_wakeup_fd(END.fileno())",
        "signal.set_wakeup_fd(-1)",
        "import socket\nEND, OTHER = socket.socketpair()\nEND.setblocking(False)",
    ),
    "cwd": state("cwd", "old = os.getcwd(); os.chdir('/')", "os.chdir(old)"),
    "umask": state("umask", "old = os.umask(0o77)", "os.umask(old)"),
    "environ": state("environ", "os.environ['SEED'] = '1'", "del os.environ['SEED']"),
    "environ_removed": state("environ", "old = os.environ.pop('PATH')", "os.environ['PATH'] = old"),
    "stdio": state("stdio", "old = sys.stdin; sys.stdin = None", "sys.stdin = old"),
    "interpreter": state(
        "interpreter", "old = sys.getrecursionlimit(); sys.setrecursionlimit(old + 9)", "sys.setrecursionlimit(old)"
    ),
    "excepthook": state("excepthook", "old = sys.excepthook; sys.excepthook = print", "sys.excepthook = old"),
    "trace": state("trace", "threading.setprofile(print)", "threading.setprofile(None)"),
    "gc": state("gc", "gc.disable()", "gc.enable()", "import gc"),
    "sys_path": state("sys_path", "sys.path.insert(0, 'seed')", "sys.path.remove('seed')"),
    "import_hook": state(
        "import_hook", "sys.meta_path.append(Finder)", "sys.meta_path.remove(Finder)", "class Finder: pass"
    ),
    "modules": state(
        "modules", "old = sys.modules.pop('colorsys')", "sys.modules['colorsys'] = old", "import colorsys"
    ),
    "builtins": state("builtins", "builtins.seed = 1", "del builtins.seed", "import builtins"),
    "attribute": state("attribute", "old = os.remove; os.remove = print", "os.remove = old"),
    "attribute_of_a_class": state(
        "attribute",
        "old = Thing.work; Thing.work = print",
        "Thing.work = old",
        "class Thing:\n    def work(self): pass",
    ),
    "warnings": state("warnings", "warnings.simplefilter('ignore')", "warnings.filters.pop(0)", "import warnings"),
    "logging": state(
        "logging", "LOGGER.setLevel(10)", "LOGGER.setLevel(0)", "import logging\nLOGGER = logging.getLogger('seed')"
    ),
    "logging_handler": state(
        "logging",
        "LOGGER.addHandler(HANDLER)",
        "LOGGER.removeHandler(HANDLER)",
        "import logging\nLOGGER = logging.getLogger('seed')\nHANDLER = logging.NullHandler()",
    ),
    "locale": state(
        "locale",
        "locale.setlocale(locale.LC_CTYPE, 'C')",
        "locale.setlocale(locale.LC_CTYPE, OLD)",
        "import locale\nOLD = locale.setlocale(locale.LC_CTYPE, 'C.UTF-8')",
    ),
    "decimal": state(
        "decimal", "CONTEXT = decimal.getcontext(); CONTEXT.prec = 7", "CONTEXT.prec = 28", "import decimal"
    ),
    "contextvar": state(
        "contextvar",
        "token = VARIABLE.set(1)",
        "VARIABLE.reset(token)",
        "import contextvars\nVARIABLE = contextvars.ContextVar('seed')",
    ),
    "rlimit": state(
        "rlimit",
        "old = resource.getrlimit(resource.RLIMIT_CORE); resource.setrlimit(resource.RLIMIT_CORE, (0 if old[0] else 1, old[1]))",
        "resource.setrlimit(resource.RLIMIT_CORE, old)",
        "import resource",
    ),
    "terminal": state("terminal", "os.set_blocking(0, False)", "os.set_blocking(0, True)"),
    "scheduling": state(
        "scheduling",
        "old = os.sched_getaffinity(0); os.sched_setaffinity(0, {min(old)})",
        "os.sched_setaffinity(0, old)",
    ),
}


SHARED = {
    *("async_lock", "asyncgen", "child", "executor", "file_lock", "loop", "manager", "mmap", "path", "pool", "popen"),
    *("process_lock", "process_semaphore", "shared_memory", "socket", "sqlite", "task", "tempdir", "tempfile"),
    *("thread", "timer", "transaction"),
}
"""Kinds whose programs share something with other processes, or start processes or threads."""


@pytest.fixture(scope="module")
def audits(audit_together) -> dict[str, Audit]:
    """Return the audits of all programs, by name."""
    sources = {name: seed.source() for name, seed in SEEDS.items()}
    return audit_together(sources, None, "--maskcheck-hits=1", "--maskcheck-strategy=rerun")


@pytest.fixture(scope="module")
def by_snapshots(audit_together) -> dict[str, Audit]:
    """Return the audits, by snapshots, of the programs that keep nothing open and run no threads."""
    alone = {name: seed for name, seed in SEEDS.items() if seed.kind not in SHARED and not seed.is_async}
    sources = {name: seed.source() for name, seed in alone.items() if not re.search("LOOP|socket", seed.before)}
    return audit_together(sources, None, "--maskcheck-hits=1", "--maskcheck-strategy=snapshot")


@pytest.mark.parametrize("name", SEEDS)
def test_what_is_lost_at_the_marked_line_is_found_there(audits, name):
    """An interrupt at the marked line gives the expected verdict, by the kind meant for it."""
    seed, audit = SEEDS[name], audits[name]
    assert not audit.refused
    lines = seed.source().splitlines()
    marked = next(number for number, line in enumerate(lines, 1) if line.endswith(f"# {MARK}"))
    found = {
        (defect.verdict.value, defect.kind)
        for defect in audit.defects
        for point in defect.points
        if (point.line, point.kind) == (marked, "call")
    }
    assert (seed.verdict, seed.kind) in found, [str(defect) for defect in audit.defects]


@pytest.mark.newest
def test_snapshots_find_the_same(audits, by_snapshots, results_of):
    """Snapshots and rerun have the same findings at each point, and audit the same points."""
    taken = {name for name, audit in by_snapshots.items() if audit.strategy.startswith("snapshot")}
    assert len(taken) >= 25, {audit.strategy for audit in by_snapshots.values()}
    assert {name: results_of(by_snapshots[name]) for name in taken} == {
        name: results_of(audits[name]) for name in taken
    }


def test_every_kind_has_a_program():
    """Every kind has a program, except ``implicit``, which no interrupt leads to by itself."""
    assert {seed.kind for seed in SEEDS.values()} >= set(kind_names()) - {"implicit"}
