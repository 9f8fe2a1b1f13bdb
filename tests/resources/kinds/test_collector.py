"""Settings of the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources.kinds.collector import GarbageCollector

if TYPE_CHECKING:
    from tests.resources.conftest import Watch


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    enabled, threshold, callbacks = gc.isenabled(), gc.get_threshold(), gc.callbacks[:]
    yield
    (gc.enable if enabled else gc.disable)()
    gc.set_threshold(*threshold)
    gc.set_debug(0)
    gc.callbacks[:] = callbacks


def callback(_phase: str, _details: object) -> None:
    """Do nothing."""


def test_what_differs_is_altered_state(watch: Watch) -> None:
    """Each changed setting of the collector is reported under its own key; repair restores the former values."""
    kind = GarbageCollector()
    gc.enable()
    compare = watch(kind)
    gc.disable()
    gc.set_threshold(123, *gc.get_threshold()[1:])
    gc.set_debug(gc.DEBUG_UNCOLLECTABLE)
    gc.callbacks.append(callback)
    found = compare()
    assert [leftover.key for leftover in found] == ["enabled", "threshold", "debug", "callback"]
    assert found[0].detail == "the collector is off"
    assert found[-1].detail == f"{__name__}.callback was added to gc.callbacks"
    assert compare() == found
    assert [kind.repair(leftover) for leftover in found] == [True] * 4
    assert compare() == []


def test_a_collector_put_back_is_no_difference(watch: Watch) -> None:
    """A restored setting is not reported, nor is a frozen heap, since the audit itself freezes the heap."""
    compare = watch(GarbageCollector())
    gc.disable()
    gc.enable()
    gc.freeze()
    assert compare() == []
    gc.unfreeze()
