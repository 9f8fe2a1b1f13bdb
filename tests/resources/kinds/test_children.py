"""Child processes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources import Surroundings
from pytest_maskcheck.resources.kinds.children import HAS_WAITID, Children

if TYPE_CHECKING:
    from tests.resources.conftest import Watch

pytestmark = pytest.mark.skipif(not HAS_WAITID, reason="no waitid")


class Unlisted(Children):
    """The kind as on a system that does not list children."""

    tasks = "/nowhere"


@pytest.fixture
def spawned() -> Iterator[list[int]]:
    """Yield a list for process IDs; kill and reap those that the test left."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except OSError:
            continue


def _sleep() -> int:
    return os.posix_spawnp("sleep", ["sleep", "60"], os.environ)


def _zombie() -> int:
    pid = os.posix_spawnp("true", ["true"], os.environ)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


def test_a_running_child_is_a_leftover(surroundings: Surroundings, watch: Watch, spawned: list[int]) -> None:
    """A running child is found by every comparison, with its command line."""
    compare = watch(Children(surroundings))
    spawned.append(_sleep())
    (leftover,) = compare()
    assert (leftover.kind, leftover.key, leftover.token) == ("child", "sleep", spawned[0])
    assert leftover.detail == f"child {spawned[0]} (sleep 60) is still running"
    assert compare() == [leftover]


def test_a_child_that_was_not_waited_for_is_a_leftover(
    surroundings: Surroundings, watch: Watch, spawned: list[int]
) -> None:
    """A zombie is a leftover, and comparing does not reap it."""
    compare = watch(Children(surroundings))
    spawned.append(_zombie())
    assert [leftover.key for leftover in compare()] == ["true"]
    assert compare()[0].detail == f"child {spawned[0]} (true) ended and was not waited for"
    assert os.waitpid(spawned[0], os.WNOHANG)[0] == spawned[0]
    assert compare() == []


def test_older_children_do_not_count(surroundings: Surroundings, watch: Watch, spawned: list[int]) -> None:
    """A child from before the snapshot is no leftover, whether it still runs, ended since, or was a zombie already."""
    spawned += [_sleep(), _sleep(), _zombie()]
    compare = watch(Children(surroundings))
    os.kill(spawned[1], signal.SIGKILL)
    os.waitid(os.P_PID, spawned[1], os.WEXITED | os.WNOWAIT)
    os.waitpid(_sleep_briefly(), 0)
    assert compare() == []


def _sleep_briefly() -> int:
    return os.posix_spawnp("true", ["true"], os.environ)


def test_a_dropped_popen_is_waited_for_as_its_next_use_would(surroundings: Surroundings, watch: Watch) -> None:
    """An ended child of a dropped ``Popen`` is no leftover, since subprocess itself waits for it at its next use."""
    compare = watch(Children(surroundings))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        process = subprocess.Popen(["sleep", "0.05"])
        pid = process.pid
        del process
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert compare() == []


def test_children_are_counted_where_they_are_not_listed(
    surroundings: Surroundings, watch: Watch, spawned: list[int]
) -> None:
    """Without /proc a running child has no process ID and cannot be repaired; a zombie has one and is reaped."""
    if Children(surroundings).snapshot():
        pytest.skip("this process was started with a child, and uncounted children are as good as one")
    kind = Unlisted(surroundings)
    compare = watch(kind)
    spawned.append(_sleep())
    (leftover,) = compare()
    assert (leftover.key, leftover.detail) == ("running", "a child process is still running")
    assert kind.repair(leftover) is False
    os.kill(spawned[0], signal.SIGKILL)
    os.waitid(os.P_PID, spawned[0], os.WEXITED | os.WNOWAIT)
    (leftover,) = compare()
    assert leftover.key == "sleep"
    assert kind.repair(leftover) is True
    assert compare() == []


@pytest.mark.parametrize("start", [_sleep, _zombie])
def test_repair_ends_and_waits(surroundings: Surroundings, watch: Watch, spawned: list[int], start: object) -> None:
    """Repair kills a running child and reaps it, without waiting for its regular end."""
    kind = Children(surroundings)
    compare = watch(kind)
    spawned.append(start())  # type: ignore[operator]
    (leftover,) = compare()
    began = time.monotonic()
    assert kind.repair(leftover) is True
    assert time.monotonic() - began < 10
    assert compare() == []
    assert kind.repair(leftover) is True


def _copy(spawned: list[int], body: Callable[[], object]) -> None:
    """Fork, call ``body`` in the child, and kill the child when it returns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            body()
        finally:
            # SIGKILL: neither exit functions nor the rest of the test session may run in the child.
            os.kill(os.getpid(), signal.SIGKILL)
    spawned.append(pid)


def test_a_child_that_was_forked_has_the_name_of_the_program_that_it_executes(
    surroundings: Surroundings, watch: Watch, spawned: list[int]
) -> None:
    """A forked child is named after the program that it executes, even if it was found before ``exec``, as a copy of this process."""

    def execute() -> None:
        sum(range(500_000))
        os.execvp("sleep", ["sleep", "60"])

    kind = Children(surroundings)
    compare = watch(kind)
    _copy(spawned, execute)
    (early,) = compare()
    named = kind.describe(early)
    assert (named.key, named.token) == ("sleep", early.token)
    assert kind.is_named(named)
    assert [kind.describe(leftover).key for leftover in compare()] == ["sleep"]


def test_a_child_that_stays_a_copy_keeps_its_name(surroundings: Surroundings, watch: Watch, spawned: list[int]) -> None:
    """A forked child that executes no program keeps the name of this process."""
    kind = Children(surroundings)
    compare = watch(kind)
    _copy(spawned, signal.pause)
    (leftover,) = compare()
    assert kind.describe(leftover) == leftover
    assert not kind.is_named(leftover)
