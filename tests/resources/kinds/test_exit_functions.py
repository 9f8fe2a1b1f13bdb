"""Functions that run at exit, and finalizers."""

from __future__ import annotations

import atexit
import functools
import weakref
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources.kinds.exit_functions import HAS_ATEXIT_COUNT, ExitFunctions, Finalizers

if TYPE_CHECKING:
    from tests.resources.conftest import Watch

counted = pytest.mark.skipif(not HAS_ATEXIT_COUNT, reason="exit functions are not counted")


class Store:
    """A class with a method."""

    def close(self) -> None:
        """Do nothing."""


def at_exit() -> None:
    """Do nothing."""


@counted
def test_a_function_that_stays_registered_is_a_leftover(watch: Watch) -> None:
    """A function that stays registered is a leftover under its name; repair unregisters it."""
    kind, store = ExitFunctions(), Store()
    compare = watch(kind)
    atexit.register(at_exit)
    atexit.register(store.close)
    atexit.register(functools.partial(print))
    found = compare()
    assert {leftover.key for leftover in found} == {
        f"{__name__}.Store.close",
        f"{__name__}.at_exit",
        "functools.partial",
    }
    assert {leftover.altered for leftover in found} == {False}
    assert sorted(compare(), key=str) == sorted(found, key=str)
    assert [kind.repair(leftover) for leftover in found] == [True] * 3
    assert compare() == []


@counted
def test_one_more_of_the_same_is_a_leftover(watch: Watch) -> None:
    """A function registered once more than before is a leftover."""
    atexit.register(at_exit)
    compare = watch(ExitFunctions())
    atexit.register(at_exit)
    assert [leftover.key for leftover in compare()] == [f"{__name__}.at_exit"]
    atexit.unregister(at_exit)


@counted
def test_a_function_that_was_unregistered_is_no_leftover(watch: Watch) -> None:
    """A function that was unregistered, or registered before, is no leftover, even if CPython still counts its slot."""
    store = Store()
    atexit.register(store.close)
    compare = watch(ExitFunctions())
    for _ in range(3):
        atexit.register(at_exit)
        atexit.unregister(at_exit)
    assert compare() == []
    atexit.unregister(store.close)


def test_a_finalizer_that_is_alive_is_a_leftover(watch: Watch) -> None:
    """A live finalizer is a leftover, named after the function that it would call; repair calls it."""
    kind, store = Finalizers(), Store()
    weakref.finalize(store, at_exit)
    compare = watch(kind)
    called: list[int] = []
    finalizer = weakref.finalize(store, called.append, 7)
    (leftover,) = compare()
    assert leftover.key == "list.append"
    assert compare() == [leftover]
    assert kind.repair(leftover) is True
    assert called == [7]
    assert not finalizer.alive
    assert compare() == []


def test_a_finalizer_that_has_run_is_no_leftover(watch: Watch) -> None:
    """A finalizer that has run is no leftover."""
    compare = watch(Finalizers())
    store = Store()
    weakref.finalize(store, at_exit)
    del store
    assert compare() == []
    assert Finalizers.default is False
