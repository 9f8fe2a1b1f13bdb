"""Shared fixtures of the tests of kinds."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pytest_maskcheck.resources import Kind, Leftover, Surroundings
from pytest_maskcheck.system.frozen_heap import FrozenHeap

Watch = Callable[[Kind], Callable[[], list[Leftover]]]


@pytest.fixture
def surroundings(tmp_path: Path) -> Surroundings:
    """Return surroundings that name the temporary directory of the test."""
    return Surroundings({"tmp_path": str(tmp_path)})


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Yield a function that takes a snapshot with a kind and returns a comparison with it; finish all snapshots at the end."""
    with ExitStack() as stack:

        def start(kind: Kind) -> Callable[[], list[Leftover]]:
            kind.prepare()
            before = kind.snapshot()
            stack.callback(kind.finish, before)
            return lambda: kind.compare(before)

        yield start


@pytest.fixture
def frozen_heap() -> Iterator[None]:
    """Freeze the heap as the audit does, and thaw it at the end."""
    gc.collect()
    FrozenHeap.freeze()
    yield
    FrozenHeap.thaw()
