"""The standard library, in scope by ``include``: defects of modules out of scope are not found.

Expected on every version unless said otherwise:

- ``Condition``: its lock still held at the entry of ``__exit__`` (Python code), a waiter that stays queued, and a
  ``RuntimeError`` in place of the interrupt where ``wait`` has released the lock only in part;
- ``queue.Queue``: nothing as long as only ``queue`` is in scope, leaks of its mutex once ``threading`` is too;
- ``TemporaryDirectory``: the directory left behind by an interrupt between ``mkdir`` and the block;
- ``ExitStack``: what it holds is not released if the interrupt arrives at the entry of its ``__exit__``;
- ``subprocess.run``: pipes lost at the end of the calls that make them, and the child at the end of ``fork_exec``;
- ``sqlite3``: nothing, as the connection is a C-level context manager.
"""

import contextlib
import queue
import sqlite3
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

LOCK = threading.Lock()
CONDITION = threading.Condition(threading.Lock())


@pytest.mark.interrupt_safe(include=["threading"])
def test_condition():
    with CONDITION:
        CONDITION.wait(timeout=0.01)
    with CONDITION:
        CONDITION.notify()


@pytest.mark.interrupt_safe(include=["queue"])
def test_queue_alone():
    items = queue.Queue()
    items.put(1)
    assert items.get() == 1


@pytest.mark.interrupt_safe(include=["queue", "threading"])
def test_queue_with_threading():
    items = queue.Queue()
    items.put(1)
    assert items.get() == 1


@pytest.mark.interrupt_safe(include=["tempfile"])
def test_temporary_directory():
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "file").write_text("x")


@pytest.mark.interrupt_safe(include=["contextlib"])
def test_exit_stack(tmp_path):
    with contextlib.ExitStack() as stack:
        stack.enter_context(LOCK)
        file = stack.enter_context(open(tmp_path / "file", "w"))
        file.write("x")


@pytest.mark.interrupt_safe(include=["subprocess"])
def test_subprocess_run():
    subprocess.run(["true"], check=True, capture_output=True)


@pytest.mark.interrupt_safe
def test_sqlite_transaction():
    connection = sqlite3.connect(":memory:")
    connection.execute("create table t (n)")
    with connection:
        connection.execute("insert into t values (1)")
    connection.close()
