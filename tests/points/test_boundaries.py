"""Tests of the boundary between a test and its surroundings: whose points are audited, and the threads that the test needs."""

from __future__ import annotations

import dis
import shutil
import sys
from types import CodeType

import pytest

from pytest_maskcheck.interrupts.cpython.positions import line_of

SUPPRESS = """
import contextlib

import pytest


@pytest.mark.interrupt_safe(include=["contextlib"], hits="all")
def test_it():
    with contextlib.suppress(ValueError):
        len("x")
"""

SERVER = """
import queue
import threading

import pytest


@pytest.fixture(scope="module")
def server():
    asked, answered = queue.Queue(), queue.Queue()

    def serve():
        while (question := asked.get()) is not None:
            answered.put(question + 1)

    thread = threading.Thread(target=serve, name="server")
    thread.start()
    yield asked, answered
    asked.put(None)
    thread.join()


@pytest.mark.interrupt_safe
def test_with_the_server(server):
    server[0].put(1)
    assert server[1].get(timeout=5) == 2


@pytest.mark.interrupt_safe
def test_without():
    len("x")
"""


def test_the_audits_own_use_of_code_in_scope_gives_no_points(audit):
    """The audit itself uses ``contextlib``, but not between arming and the test, so its own use adds no points."""
    audited = audit(SUPPRESS).audit
    functions = [(point.function, point.kind) for point in audited.points if point.path == "contextlib.py"]
    assert functions == [
        ("suppress.__init__", "entry"),
        ("suppress.__enter__", "entry"),
        ("suppress.__exit__", "entry"),
    ]
    assert audited.not_audited == {}


def test_a_test_that_uses_a_thread_of_a_fixture_is_not_forked(audit):
    """A test that uses a thread of a fixture is not forked, since the fork would lose the thread; other tests are forked as usual."""
    with_server, without = audit(SERVER).audits
    assert with_server.isolation.startswith("none: a fork would lose running threads: server")
    assert with_server.audited > 0
    assert without.isolation.startswith("fork: ")


POOL = """
import pytest
from concurrent.futures import ThreadPoolExecutor

POOL = ThreadPoolExecutor(1)

@pytest.mark.interrupt_safe(timeout=1)
def test_with_pool():
    assert POOL.submit(len, "x").result() == 1

@pytest.mark.interrupt_safe
def test_without():
    len("x")
"""


def test_a_test_that_waits_for_a_thread_of_a_module_is_not_forked(audit):
    """A test that waits for a thread of a module is not forked, since a pool does not restart its threads; other tests are forked."""
    with_pool, without = audit(POOL).audits
    assert with_pool.isolation.startswith("none: a fork loses running threads")
    assert "ThreadPoolExecutor-0_0" in with_pool.isolation
    assert with_pool.audited > 0
    late = {"different each time: leak ThreadPoolExecutor._idle_semaphore", "not reached again"}
    assert {*with_pool.not_audited} <= late, "allowed if the thread was late"
    assert without.isolation.startswith("fork: ")


ROOM = """
import pytest
from concurrent.futures import ThreadPoolExecutor

@pytest.fixture(scope="session")
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool

@pytest.mark.interrupt_safe(timeout=1)
def test_it(pool):
    assert list(pool.map(len, "xy")) == [1, 1]
"""


def test_a_pool_with_room_for_another_thread_is_not_forked_either(audit):
    """A test with a pool that has room for a thread is not forked: the forked process gets a new thread, but forks of it get none."""
    audited = audit(ROOM).audit
    assert audited.isolation.startswith("none: a fork loses running threads")
    assert audited.audited > 0


TRACKER = """
import pytest
from multiprocessing.shared_memory import SharedMemory

@pytest.mark.interrupt_safe
def test_it():
    memory = None
    try:
        memory = SharedMemory(create=True, size=10)
    finally:
        if memory is not None:
            memory.close()
            memory.unlink()
    len("x")
"""


def test_a_process_that_serves_all_runs_is_left_alone(audit):
    """A resource tracker is no leftover: from CPython 3.14 on, a forked process starts its own when it first needs one."""
    audited = audit(TRACKER).audit
    assert {defect.kind for defect in audited.defects} <= {"shared_memory", "mmap", "fd", "path"}
    assert "altered" not in {defect.verdict for defect in audited.defects}


def _codes(code: CodeType) -> list[CodeType]:
    inner = [const for const in code.co_consts if isinstance(const, CodeType)]
    return [code, *(found for const in inner for found in _codes(const))]


def test_an_instruction_without_a_line_belongs_to_another():
    """A backward jump that the compiler gives no line has the line of its loop, since real signals land there, too."""
    with open(shutil.__file__, encoding="utf-8") as source:
        codes = _codes(compile(source.read(), shutil.__file__, "exec"))
    jumps = 0
    for code in codes:
        lines = {at: line for start, end, line in code.co_lines() for at in range(start, end)}
        known = code.co_firstlineno
        for instruction in dis.get_instructions(code):
            line = lines[instruction.offset]
            known = line if line is not None else known
            if line is None and instruction.opname == "JUMP_BACKWARD":
                jumps += 1
                assert line_of(code, instruction.offset) == lines[instruction.argval]
            else:
                assert line_of(code, instruction.offset) == known
    assert (jumps > 0) == (sys.version_info < (3, 13))


IN_A_THREAD = """
import threading
import pytest

def in_a_thread(function):
    def run(**arguments):
        thread = threading.Thread(target=function, kwargs=arguments)
        thread.start()
        thread.join()
    return run

@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    if "elsewhere" not in pyfuncitem.name:
        return (yield)
    function, pyfuncitem.obj = pyfuncitem.obj, in_a_thread(pyfuncitem.obj)
    try:
        return (yield)
    finally:
        pyfuncitem.obj = function
"""
BODIES = """
import threading
import pytest

@pytest.mark.interrupt_safe
def test_elsewhere():
    for number in range(3):
        abs(number)

@pytest.mark.interrupt_safe
def test_here():
    for number in range(3):
        abs(number)

@pytest.mark.interrupt_safe
def test_here_with_a_helper():
    def help():
        abs(1)

    thread = threading.Thread(target=help)
    thread.start()
    thread.join()
"""


def test_a_body_that_runs_in_another_thread_is_not_audited(pytester, audit):
    """A test whose body a plugin runs in another thread is not audited, and one line reports that; other tests are audited."""
    pytester.makeconftest(IN_A_THREAD)
    audited = audit(BODIES)
    elsewhere, *here = audited.audits
    assert elsewhere.refused.startswith("its body does not run in the main thread, ")
    assert elsewhere.audited == 0
    assert all(one.audited and not one.refused for one in here)
    audited.result.stdout.fnmatch_lines(["not audited: *::test_elsewhere: its body does not run in the main thread, *"])


def test_a_session_of_bodies_in_another_thread_is_not_green(pytester, audit):
    """A session that could audit nothing exits with status 5."""
    pytester.makeconftest(IN_A_THREAD)
    assert audit(BODIES, "-k", "elsewhere").result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
