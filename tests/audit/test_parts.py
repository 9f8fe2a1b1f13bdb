"""Parts of a leftover are reported together with it, and nothing else is."""

from __future__ import annotations

import linecache
from textwrap import dedent

import pytest

from pytest_maskcheck.results import Audit

PREAMBLE = """
import asyncio, concurrent.futures, mmap, multiprocessing.pool, os, pytest, socket, sqlite3, subprocess, sys, tempfile, threading
KEPT = {}
"""

PROGRAMS = {
    "executor": """
        @pytest.mark.interrupt_safe
        def test_it():
            pool = KEPT["pool"] = concurrent.futures.ThreadPoolExecutor(1)
            pool.submit(len, "abc").result()
            len("x")
            KEPT.pop("pool").shutdown()
        """,
    "pool": """
        @pytest.mark.interrupt_safe
        def test_it():
            pool = KEPT["pool"] = multiprocessing.pool.ThreadPool(1)
            len("x")
            pool.terminate()
            pool.join()
            del KEPT["pool"]
        """,
    "socket": """
        @pytest.mark.interrupt_safe
        def test_it():
            KEPT["socket"] = socket.socket()
            len("x")
            KEPT.pop("socket").close()
        """,
    "popen": """
        @pytest.mark.interrupt_safe
        def test_it():
            KEPT["process"] = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
            len("x")
            KEPT.pop("process").communicate()
        """,
    "tempdir": """
        @pytest.mark.interrupt_safe
        def test_it():
            KEPT["directory"] = tempfile.TemporaryDirectory()
            len("x")
            KEPT.pop("directory").cleanup()
        """,
    "loop": """
        @pytest.mark.interrupt_safe
        def test_it():
            KEPT["loop"] = asyncio.new_event_loop()
            len("x")
            KEPT.pop("loop").close()
        """,
    "sqlite": """
        @pytest.mark.interrupt_safe
        def test_it(tmp_path):
            KEPT["database"] = sqlite3.connect(tmp_path / "a")
            len("x")
            KEPT.pop("database").close()
        """,
    "beside": """
        @pytest.mark.interrupt_safe
        def test_it():
            KEPT["socket"] = socket.socket()
            KEPT["fd"] = os.dup(1)
            len("x")
            os.close(KEPT.pop("fd"))
            KEPT.pop("socket").close()
        """,
}


@pytest.fixture(scope="module")
def audits(audit_together) -> dict[str, Audit]:
    """The audits of all programs."""
    return audit_together({name: PREAMBLE + dedent(source) for name, source in PROGRAMS.items()})


def in_the_middle(audit: Audit) -> dict[str, str]:
    """Return the kind and detail of each leak at the line that calls ``len``, where everything is open."""
    points = [point for point in audit.points if 'len("x")' in linecache.getline(point.file, point.line)]
    point = points[-1]
    (result,) = (result for result in audit.results if result.point == point.id)
    return {finding.kind: finding.detail for finding in result.findings if finding.verdict == "leak"}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("executor", ["thread ThreadPoolExecutor-#_#"]),
        ("pool", ["thread Thread-# (_handle_"]),
        ("socket", ["fd socket"]),
        ("popen", ["fd pipe", "child "]),
        ("tempdir", ["path <tmp>/tmp*"]),
        ("loop", ["fd anon_inode:[eventpoll]", "fd socket (2 times)"]),
        ("sqlite", ["fd <tmp_path>/a"]),
    ],
)
def test_parts_are_told_with_what_owns_them(audits, name, parts):
    """One leak is reported, together with the descriptors, threads, children and paths that disappear when it is closed."""
    ((kind, detail),) = in_the_middle(audits[name]).items()
    assert kind == name
    for part in parts:
        assert part in detail.partition("; with it ")[2]


def test_what_stands_beside_is_told_by_itself(audits):
    """A descriptor that stays open when the socket is closed is a leak of its own."""
    found = in_the_middle(audits["beside"])
    assert found.keys() == {"socket", "fd"}
    assert found["socket"].endswith("; with it fd socket")
