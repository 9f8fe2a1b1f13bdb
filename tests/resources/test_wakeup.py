"""The wakeup descriptor."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources.wakeup import WakeupDescriptor

if TYPE_CHECKING:
    from tests.resources.conftest import Watch


@pytest.fixture
def writer() -> Iterator[int]:
    """The end of a pipe that can be written to without waiting."""
    old = signal.set_wakeup_fd(-1)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    yield writer
    signal.set_wakeup_fd(old)
    os.close(reader)
    try:
        os.close(writer)
    except OSError:
        return


def test_a_wakeup_descriptor_that_stays_is_altered_state(watch: Watch, writer: int) -> None:
    """Looking does not take it away; repair does."""
    kind = WakeupDescriptor()
    compare = watch(kind)
    signal.set_wakeup_fd(writer)
    (leftover,) = compare()
    assert (leftover.kind, leftover.key, leftover.altered) == ("wakeup_fd", "set", True)
    assert leftover.detail == f"signals are written to descriptor {writer}"
    assert compare() == [leftover]
    assert kind.repair(leftover) is True
    assert compare() == []
    assert signal.set_wakeup_fd(-1) == -1


def test_a_closed_wakeup_descriptor_is_seen_each_time(watch: Watch, writer: int) -> None:
    """One that cannot be put back after reading is still reported by the next reading."""
    compare = watch(WakeupDescriptor())
    signal.set_wakeup_fd(writer)
    os.close(writer)
    assert [leftover.key for leftover in compare()] == ["set"]
    assert [leftover.key for leftover in compare()] == ["set"]


def test_one_that_was_set_before_stays(watch: Watch, writer: int) -> None:
    """A loop that runs around the test keeps its descriptor."""
    signal.set_wakeup_fd(writer)
    compare = watch(WakeupDescriptor())
    assert compare() == []
    assert signal.set_wakeup_fd(-1) == writer


def test_one_that_was_removed_is_put_back(watch: Watch, writer: int) -> None:
    """The one from before the run is set again."""
    kind = WakeupDescriptor()
    signal.set_wakeup_fd(writer)
    compare = watch(kind)
    signal.set_wakeup_fd(-1)
    (leftover,) = compare()
    assert (leftover.key, leftover.detail) == ("removed", f"signals are no longer written to descriptor {writer}")
    assert kind.repair(leftover) is True
    assert compare() == []
