"""The umask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources.kinds.umask import Umask

if TYPE_CHECKING:
    from tests.resources.conftest import Watch


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    old = os.umask(0o022)
    yield
    os.umask(old)


def test_another_umask_is_altered_state(watch: Watch) -> None:
    """A changed umask is altered state; reading does not change it, and repair restores the former one."""
    kind = Umask()
    compare = watch(kind)
    os.umask(0o027)
    (leftover,) = compare()
    assert (leftover.kind, leftover.key, leftover.altered) == ("umask", "0o027", True)
    assert leftover.detail == "the umask is 0o027 (before: 0o022)"
    assert compare() == [leftover]
    assert kind.repair(leftover) is True
    assert compare() == []
    assert os.umask(0o022) == 0o022


def test_a_umask_put_back_is_no_difference(watch: Watch) -> None:
    """A umask restored before the end of the run is not reported."""
    compare = watch(Umask())
    os.umask(os.umask(0))
    assert compare() == []
