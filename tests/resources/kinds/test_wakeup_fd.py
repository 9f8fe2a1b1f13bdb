"""The descriptor set by ``signal.set_wakeup_fd``."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources.kinds.wakeup_fd import WakeupDescriptor
from pytest_maskcheck.system.wakeup_descriptor import wakeup_descriptor

if TYPE_CHECKING:
    from tests.resources.conftest import Watch


@pytest.fixture
def writer() -> Iterator[int]:
    """Yield the non-blocking write end of a pipe."""
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
    """A wakeup descriptor that stays set is altered state; reading does not remove it, but repair does."""
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
    """A closed wakeup descriptor is found by every comparison, although reading it cannot set it again."""
    compare = watch(WakeupDescriptor())
    signal.set_wakeup_fd(writer)
    os.close(writer)
    assert [leftover.key for leftover in compare()] == ["set"]
    assert [leftover.key for leftover in compare()] == ["set"]


def test_one_that_was_set_before_stays(watch: Watch, writer: int) -> None:
    """A descriptor set before, as by an event loop that runs around the test, stays set and is not reported."""
    signal.set_wakeup_fd(writer)
    compare = watch(WakeupDescriptor())
    assert compare() == []
    assert signal.set_wakeup_fd(-1) == writer


def test_one_that_was_removed_is_put_back(watch: Watch, writer: int) -> None:
    """A removed wakeup descriptor is altered state; repair sets it again."""
    kind = WakeupDescriptor()
    signal.set_wakeup_fd(writer)
    compare = watch(kind)
    signal.set_wakeup_fd(-1)
    (leftover,) = compare()
    assert (leftover.key, leftover.detail) == ("removed", f"signals are no longer written to descriptor {writer}")
    assert kind.repair(leftover) is True
    assert compare() == []


def test_a_blocking_wakeup_descriptor_is_read_and_stays(watch: Watch, writer: int) -> None:
    """Reading keeps a blocking descriptor set, although CPython refuses to set one, even one that it has just returned."""
    compare = watch(WakeupDescriptor())
    signal.set_wakeup_fd(writer)
    os.set_blocking(writer, True)
    assert [leftover.key for leftover in compare()] == ["set"]
    assert os.get_blocking(writer)
    assert signal.set_wakeup_fd(-1) == writer


def test_a_closed_descriptor_is_read_without_touching_others(writer: int) -> None:
    """Reading a closed wakeup descriptor neither occupies its number nor touches other descriptors."""
    low = [os.dup(writer) for _ in range(3)]
    signal.set_wakeup_fd(writer)
    os.close(writer)
    for free in (low, []):
        for each in free:
            os.close(each)
        assert wakeup_descriptor() == writer
        assert wakeup_descriptor() == writer
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(writer)
    assert signal.set_wakeup_fd(-1) == writer


def test_reading_does_not_switch_warnings_on(writer: int, capfd: pytest.CaptureFixture[str]) -> None:
    """Reading does not re-enable the warning about a full buffer, which trio disables."""
    with suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    assert wakeup_descriptor() == writer
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert capfd.readouterr().err == ""


def test_other_threads_have_none(writer: int) -> None:
    """Reading in a thread other than the main one returns -1 and changes nothing."""
    signal.set_wakeup_fd(writer)
    with ThreadPoolExecutor() as executor:
        assert executor.submit(wakeup_descriptor).result() == -1
    assert wakeup_descriptor() == writer
