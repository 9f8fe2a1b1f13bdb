"""Snapshots: one run goes forward and forks at each point. When that is used, what it reports, and what ends it."""

from __future__ import annotations

import re
from textwrap import dedent

import pytest

from pytest_maskcheck.results import Audit
from pytest_maskcheck.runs.fork_sharing import HAS_PROC

pytestmark = pytest.mark.skipif(not HAS_PROC, reason="needs /proc")

PREAMBLE = """
    import contextlib, mmap, os, random, signal, socket, subprocess, sys, threading, time
    import multiprocessing, unittest.mock
    import pytest

    STATE = {"number": 0}
    LOCK = threading.Lock()

"""

MARK = "    @pytest.mark.interrupt_safe(strategy='snapshot', timeout=1, hits=1)\n"

WHOLE = {
    "pure": """
        len("x")
        len("y")
        """,
    "lock_is_lost": """
        LOCK.acquire()
        len("x")
        LOCK.release()
        """,
    "next_run_fails": """
        STATE["number"] += 1
        len("x")
        assert STATE["number"] == 1
        STATE["number"] -= 1
        """,
    "hangs": """
        try:
            len("x")
        except BaseException:
            time.sleep(100)
        """,
    "crashes": """
        try:
            len("x")
        except BaseException:
            os.abort()
        """,
    "writes_to_null": """
        with open(os.devnull, "w") as null:
            len("x")
            null.write("a")
            null.flush()
        """,
    "reads_a_file": """
        with open(__file__) as file:
            first = file.readline()
            len("x")
            second = file.readline()
        with open(__file__) as file:
            assert file.readlines()[:2] == [first, second]
        """,
    "patches_os": """
        with unittest.mock.patch("os.getpid", return_value=1), unittest.mock.patch("time.monotonic", return_value=1):
            with unittest.mock.patch("os.fork"), unittest.mock.patch("os.kill"):
                len("x")
        """,
    "recursion": """
        def down(depth):
            return depth and down(depth - 1)
        down(5)
        """,
    "generator": """
        def numbers():
            try:
                yield 1
                yield 2
            finally:
                len("x")
        assert list(numbers()) == [1, 2]
        """,
    "text": """
        class Thing:
            def __str__(self):
                return "thing"
        assert f"{Thing()}" == "%s" % Thing()
        """,
}
"""Bodies of tests whose points are all audited by snapshots."""

PARTLY = {
    "writes": ("with open(os.devnull + 'x', 'w'): pass", "for writing"),
    "removes": ("with contextlib.suppress(OSError): os.remove('absent')", "os.remove('absent')"),
    "socket": ("socket.socket().close()", "socket.__new__"),
    "child": ("subprocess.run(['true'])", "subprocess.Popen"),
    "thread": (
        "end = threading.Event(); thread = threading.Thread(target=end.wait); thread.start(); len('x'); end.set(); thread.join()",
        "thread",
    ),
    "memory": ("mmap.mmap(-1, 10).close()", "mmap.__new__"),
    "pipe": ("ends = os.pipe(); len('x'); os.close(ends[0]); os.close(ends[1])", "is open: pipe:"),
    "timer": ("signal.setitimer(signal.ITIMER_REAL, 9); len('x'); signal.setitimer(signal.ITIMER_REAL, 0)", "a timer"),
    "semaphore": ("lock = multiprocessing.get_context('fork').Lock(); len('x'); del lock", "memory is shared"),
    "pending": (
        "signal.pthread_sigmask(0, [15]); signal.raise_signal(15); len('x'); signal.sigwait([15]); signal.pthread_sigmask(1, [15])",
        "a signal is pending",
    ),
    "kill": ("os.kill(os.getppid(), 0)", "os.kill"),
}
"""Code that has an effect outside the process, and what the reason for the rerun contains."""

NEVER = {
    "tmp_path": ("tmp_path", "", "a fixture has an effect outside the process: os.mkdir"),
    "capfd": ("capfd", "", "capfd would read what other processes write"),
    "descriptor": ("shared_pipe", "", "is open: pipe:"),
    "thread": ("running_thread", "", "runs share the process of the session"),
}

FIXTURES = """
    @pytest.fixture(scope="module")
    def shared_pipe():
        ends = os.pipe()
        yield
        os.close(ends[0])
        os.close(ends[1])

    @pytest.fixture(scope="module")
    def running_thread():
        end = threading.Event()
        thread = threading.Thread(target=end.wait)
        thread.start()
        yield
        end.set()
        thread.join()

"""


def source(body: str, arguments: str = "") -> str:
    """Return a test file with one marked test."""
    lines = dedent(body).strip().splitlines()
    return "\n".join(
        [
            dedent(PREAMBLE),
            dedent(FIXTURES),
            dedent(MARK),
            f"def test_it({arguments}):",
            *(f"    {line}" for line in lines),
            "",
        ]
    )


@pytest.fixture(scope="module")
def audits(audit_together) -> dict[str, Audit]:
    """Return the audits of all programs, by name."""
    sources = {name: source(body) for name, body in WHOLE.items()}
    sources |= {f"partly_{name}": source(f"len('a')\n{effect}\nlen('z')") for name, (effect, _) in PARTLY.items()}
    sources |= {f"never_{name}": source(f"len('a')\n{body}", arguments) for name, (arguments, body, _) in NEVER.items()}
    return audit_together(sources)


@pytest.fixture(scope="module")
def by_rerun(audit_together) -> dict[str, Audit]:
    """Return the audits by rerun of the programs whose points snapshots all take."""
    sources = {name: source(body).replace("'snapshot'", "'rerun'") for name, body in WHOLE.items()}
    return audit_together(sources)


@pytest.mark.parametrize("name", WHOLE)
def test_every_point_is_taken(audits, name):
    """Every point is audited by a snapshot if the test has no effect outside its process."""
    audit = audits[name]
    assert not audit.refused
    assert audit.strategy == f"snapshot for {len(audit.points)} points"
    assert audit.audited == len(audit.points)


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_found_is_what_running_again_finds(audits, by_rerun, results_of, name):
    """Snapshots and rerun give the same verdicts at each point."""
    assert by_rerun[name].strategy == "rerun: as asked"
    assert results_of(audits[name]) == results_of(by_rerun[name])


def test_something_is_found(audits):
    """Snapshots find defects of each sort, including those that end a process or show only in the next run."""
    found = {name: {defect.verdict.value for defect in audits[name].failures} for name in WHOLE}
    assert found["lock_is_lost"] == {"leak"}
    assert found["next_run_fails"] == {"unusable"}
    assert found["hangs"] == {"hang"}
    assert found["crashes"] == {"crash"}
    assert found["pure"] == found["writes_to_null"] == set()


@pytest.mark.parametrize("name", PARTLY)
def test_the_first_effect_ends_snapshots(audits, name):
    """Points before the first effect outside the process are audited by snapshots, the others by rerun, and the reason is reported."""
    audit = audits[f"partly_{name}"]
    assert not audit.refused
    assert audit.strategy.startswith("snapshot for ")
    assert "rerun for" in audit.strategy
    assert PARTLY[name][1] in audit.strategy
    assert audit.audited == len(audit.points)


@pytest.mark.parametrize("name", NEVER)
def test_what_is_shared_from_the_beginning_excludes_snapshots(audits, name):
    """If the process shares something from the beginning, all points are audited by rerun, and the reason is reported."""
    audit = audits[f"never_{name}"]
    assert not audit.refused
    assert audit.strategy.startswith("rerun: ")
    assert NEVER[name][2] in audit.strategy
    assert audit.audited == len(audit.points)


def test_an_interrupted_run_with_an_effect_discards_all(audit):
    """All points are run again if an interrupted child has an effect, since that may have disturbed the other children."""
    audited = audit("""
        import os, pytest

        @pytest.mark.interrupt_safe(strategy="snapshot")
        def test_it(request):
            try:
                len("x")
            except KeyboardInterrupt:
                os.mkdir(request.config.rootpath / f"made-{os.getpid()}")
                raise
        """)
    (found,) = audited.audits
    assert "rerun for 2 of them: an interrupted run has an effect outside the process: os.mkdir" in found.strategy
    assert found.audited == len(found.points) == 2


@pytest.mark.parametrize(
    ("way", "strategy"),
    [
        ("len('x')", "rerun: the (test is short|way to a point is shorter than a fork, .*)"),
        ("time.sleep(0.3)", "snapshot for 4 points"),
    ],
)
def test_auto_takes_what_is_faster(audit, way, strategy):
    """A short test is audited by rerun, a long one by snapshots."""
    audited = audit(f"""
        import time, pytest

        @pytest.mark.interrupt_safe
        def test_it():
            {way}
            len("x")
            len("y")
        """)
    (found,) = audited.audits
    assert re.fullmatch(strategy, found.strategy)


def test_second_interrupts_are_run_again(audit):
    """Snapshots audit first interrupts only; second interrupts are run again."""
    audited = audit("""
        import pytest, threading

        LOCK = threading.Lock()

        @pytest.mark.interrupt_safe(strategy="snapshot", interrupts=2)
        def test_it():
            try:
                len("x")
            finally:
                len("y")
        """)
    (found,) = audited.audits
    assert found.strategy == "snapshot for 3 points"
    assert found.audited == len(found.points) > 3
