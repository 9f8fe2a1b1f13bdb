"""Resource limits and scheduling."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources.kinds.resource_limits import HAS_LIMITS, ResourceLimits
from pytest_maskcheck.resources.kinds.scheduling import HAS_SCHEDULING, Scheduled

if TYPE_CHECKING:
    from tests.resources.conftest import Watch

resource = pytest.importorskip("resource")

limits = pytest.mark.skipif(not HAS_LIMITS, reason="no such limits")
scheduling = pytest.mark.skipif(not HAS_SCHEDULING, reason="scheduling cannot be set")


@pytest.fixture
def files() -> Iterator[tuple[int, int]]:
    """Yield the limit of open files, and restore it at the end."""
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield old
    resource.setrlimit(resource.RLIMIT_NOFILE, old)


@limits
def test_another_limit_is_altered_state(watch: Watch, files: tuple[int, int]) -> None:
    """A changed limit is altered state if the uninterrupted test sets limits; repair restores the former one."""
    kind = ResourceLimits()
    with kind.learning():
        resource.setrlimit(resource.RLIMIT_NOFILE, files)
    compare = watch(kind)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files[0] - 1, files[1]))
    (leftover,) = compare()
    assert (leftover.kind, leftover.key, leftover.altered) == ("rlimit", "RLIMIT_NOFILE", True)
    assert leftover.detail.startswith(f"RLIMIT_NOFILE is {files[0] - 1} and ")
    assert compare() == [leftover]
    assert kind.repair(leftover) is True
    assert compare() == []


@limits
def test_limits_are_not_read_if_the_test_sets_none(watch: Watch) -> None:
    """Limits are not read if the test sets none, since reading all of them takes long."""
    kind = ResourceLimits()
    with kind.learning():
        resource.getrlimit(resource.RLIMIT_NOFILE)
    assert kind.snapshot() == ()
    assert watch(kind)() == []


@scheduling
def test_other_processors_are_altered_state(watch: Watch) -> None:
    """A changed set of processors is altered state; repair restores the former one."""
    old = os.sched_getaffinity(0)
    if len(old) == 1:
        pytest.skip("there is one processor")
    kind = Scheduled()
    compare = watch(kind)
    try:
        os.sched_setaffinity(0, {min(old)})
        (leftover,) = compare()
        assert (leftover.kind, leftover.key) == ("scheduling", "affinity")
        assert kind.repair(leftover) is True
        assert compare() == []
    finally:
        os.sched_setaffinity(0, old)


@scheduling
def test_scheduling_put_back_is_no_difference(watch: Watch) -> None:
    """Scheduling restored before the end of the run is not reported."""
    compare = watch(Scheduled())
    old = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(old)})
    os.sched_setaffinity(0, old)
    assert compare() == []
    assert Scheduled.default is False
