"""``Popen`` objects."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources import Surroundings
from pytest_maskcheck.resources.kinds.popen import Popens

if TYPE_CHECKING:
    from tests.resources.conftest import Watch

pytestmark = [
    pytest.mark.usefixtures("frozen_heap"),
    pytest.mark.skipif(sys.platform == "win32", reason="no sleep"),
]


class Derived(subprocess.Popen[bytes]):
    """A user's subclass."""


def test_a_process_that_was_not_waited_for_is_a_leftover(surroundings: Surroundings, watch: Watch) -> None:
    """A process that was not waited for is a leftover; repair kills it, waits for it and closes its pipes."""
    kind = Popens(surroundings)
    compare = watch(kind)
    process = Derived(["sleep", "60"], stdout=subprocess.PIPE)
    (leftover,) = compare()
    assert (leftover.key, leftover.detail) == ("sleep", f"process {process.pid} (sleep 60) was not waited for")
    assert kind.repair(leftover)
    assert process.returncode == -9
    assert process.stdout is not None
    assert process.stdout.closed
    assert compare() == []


def test_a_process_that_has_ended_is_still_to_be_waited_for(surroundings: Surroundings, watch: Watch) -> None:
    """An ended process is a leftover until it is waited for, and is named after its program, also in a shell command."""
    compare = watch(Popens(surroundings))
    process = subprocess.Popen("/bin/sh -c true # 12", shell=True)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert [leftover.key for leftover in compare()] == ["sh"]
    process.wait()
    assert compare() == []


def test_a_process_that_somebody_has_waited_for_is_no_leftover(surroundings: Surroundings, watch: Watch) -> None:
    """A process that was waited for, by whatever call, is no leftover, nor is one that could not be started."""
    compare = watch(Popens(surroundings))
    subprocess.run(["true"], check=True)
    process = subprocess.Popen(["true"])
    os.waitpid(process.pid, 0)
    failed = Derived.__new__(Derived)
    with pytest.raises(FileNotFoundError):
        failed.__init__(["/nowhere/at all"])  # type: ignore[misc]
    assert compare() == []
    process.wait()
