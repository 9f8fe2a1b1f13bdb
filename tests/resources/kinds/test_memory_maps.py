"""Memory maps."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources.kinds.memory_maps import Mappings

if TYPE_CHECKING:
    from tests.resources.conftest import Watch

pytestmark = pytest.mark.usefixtures("frozen_heap")


class Derived(mmap.mmap):
    """A user's subclass."""


@pytest.mark.parametrize("make", [mmap.mmap, Derived])
def test_an_open_map_is_a_leftover(watch: Watch, make: type[mmap.mmap]) -> None:
    """An open map is a leftover; repair closes it."""
    kind = Mappings()
    compare = watch(kind)
    mapped = make(-1, 12)
    (leftover,) = compare()
    assert (leftover.key, leftover.detail) == (make.__name__, "a map of 12 bytes was not closed")
    assert kind.repair(leftover)
    assert mapped.closed
    assert compare() == []


def test_a_map_with_a_view_cannot_be_closed(watch: Watch) -> None:
    """Repair returns false for a map that a memoryview keeps open."""
    kind = Mappings()
    compare = watch(kind)
    with mmap.mmap(-1, 1) as mapped, memoryview(mapped):
        (leftover,) = compare()
        assert not kind.repair(leftover)


def test_a_map_that_was_closed_is_no_leftover(watch: Watch) -> None:
    """A closed map is no leftover, although the object still exists."""
    compare = watch(Mappings())
    with mmap.mmap(-1, 1) as mapped:
        pass
    assert compare() == []
    assert mapped.closed
