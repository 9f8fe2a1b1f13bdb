"""The record of code that processes of an audit enter: nothing that they enter is missing from a complete one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from types import CodeType

import pytest

from pytest_maskcheck.system.entered import EnteredAtImport, EnteredCode, key_of

pytestmark = [
    pytest.mark.skipif(sys.version_info < (3, 12), reason="nothing can watch which code is entered"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),  # a worker of xdist is
]


def made(name: str, text: str = "return 1") -> Callable[[], object]:
    """Return a new function, as if it were written in a file of its own."""
    names: dict[str, Callable[[], object]] = {}
    exec(compile(f"def f():\n    {text}\n", f"/somewhere/{name}", "exec"), names)
    return names["f"]


def has(record: EnteredCode, function: Callable[[], object]) -> bool:
    """Return whether a function is in a record."""
    code = function.__code__
    return record.has(key_of(code.co_filename, code.co_name, code.co_firstlineno))


def recorded(body: Callable[[EnteredCode], object]) -> tuple[EnteredCode, bool]:
    """Run a body in a child that watches; return the record, and whether it is complete."""
    record = EnteredCode()
    record.begin()
    pid = os.fork()
    if not pid:
        try:
            record.watch()
            body(record)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    return record, record.end()


def test_what_a_run_enters_is_known():
    """Functions that a run entered are in the record, and no others."""
    one, other = made("one.py"), made("other.py")

    def run(record):
        record.open()
        one()
        record.close()

    record, complete = recorded(run)
    assert complete
    assert has(record, one)
    assert not has(record, other)


def test_equal_code_of_two_files_is_told_apart():
    """Code that is equal to code of another file, entered before, is in the record as well."""
    one, other = made("one.py"), made("other.py")
    assert one.__code__ == other.__code__

    def run(record):
        one()
        other()
        record.close()

    record, _ = recorded(run)
    assert has(record, one)
    assert has(record, other)


def test_a_function_is_noted_once():
    """A function that was noted costs nothing more: its event is switched off."""
    one = made("one.py")

    def run(record):
        one()
        record.close()
        one()
        again = [each for each in record._seen if type(each) is CodeType and each is one.__code__]
        os.write(writer, bytes([len(again)]))

    reader, writer = os.pipe()
    recorded(run)
    assert os.read(reader, 1) == b"\0"


def test_a_generator_that_had_begun_is_known():
    """A generator that began before anybody watched is in the record as it goes on."""
    generate = made("one.py", "yield 1; yield 2")
    begun = generate()
    next(begun)

    def run(record):
        next(begun)
        record.close()

    record, _ = recorded(run)
    assert has(record, generate)


def _killed(record):
    record.open()
    os.kill(os.getpid(), signal.SIGKILL)


def _forks(record):
    record.open()
    if not os.fork():
        record.forked()  # as the hook does for the record of the session
        os.kill(os.getpid(), signal.SIGKILL)
    os.wait()
    record.close()


def _starts(record):
    record.open()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    record.close()


def _frees(record):
    record.open()
    sys.monitoring.free_tool_id(5)
    made("one.py")()
    record.close()


@pytest.mark.parametrize("body", [_killed, _forks, _starts, _frees])
def test_what_is_lost_makes_a_record_incomplete(body):
    """A record is incomplete if a process died in a run, was forked by the run, or started a program, or watching was ended."""
    assert not recorded(body)[1]


def test_forks_of_the_audit_are_no_loss():
    """Processes that the audit forks itself, between runs, leave the record complete, and add to it."""
    one = made("one.py")

    def run(record):
        if not os.fork():
            record.forked()
            record.close()
            record.open()
            one()
            record.close()
            os.kill(os.getpid(), signal.SIGKILL)
        os.wait()

    record, complete = recorded(run)
    assert complete
    assert has(record, one)


def test_another_tool_makes_a_record_incomplete():
    """If another tool has the number, nothing is seen, and the record is incomplete."""
    sys.monitoring.use_tool_id(5, "other")
    try:
        assert not recorded(lambda record: record.close())[1]
    finally:
        sys.monitoring.free_tool_id(5)


def test_no_record_was_wanted():
    """Without a record that has begun nothing is watched, and there is no complete one."""
    record = EnteredCode()
    record.watch()
    assert sys.monitoring.get_tool(5) is None
    assert not record.end()


def test_what_imports_enter():
    """Before the first test, what the session enters is noted, with the files that were imported meanwhile."""
    one = made("one.py")
    record = EnteredAtImport()
    record.start()
    one()
    record.stop()
    assert key_of("one.py", "f", 1) in record.keys
    assert not record.files
    assert sys.monitoring.get_tool(5) is None
