"""Replaced and removed attributes of modules and classes."""

from __future__ import annotations

import functools
import os
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from pytest_maskcheck.resources import Surroundings
from pytest_maskcheck.resources.kinds.attributes import Attributes

if TYPE_CHECKING:
    from tests.resources.conftest import Watch


_SOURCE = """
import functools, json

LIMIT, CACHE, LAZY = 10, {}, None

def work(): return 1

@functools.lru_cache
def cached(number): return number

class Store:
    size = 0
    def read(self): return 1
    @classmethod
    def make(cls): return cls()
    @property
    def name(self): return "store"
"""


@pytest.fixture
def module(tmp_path: Path) -> Iterator[types.ModuleType]:
    """Yield a module that is in scope."""
    module = types.ModuleType("module_in_scope")
    module.__file__ = str(tmp_path / "module_in_scope.py")
    exec(compile(_SOURCE, module.__file__, "exec"), vars(module))
    sys.modules["module_in_scope"] = module
    yield module
    del sys.modules["module_in_scope"]


@pytest.fixture
def kind(tmp_path: Path, module: types.ModuleType) -> Attributes:
    """Return the kind, with that module in scope."""
    return Attributes(Surroundings(in_scope=lambda path: path.startswith(str(tmp_path))))


@pytest.mark.parametrize("name", ["work", "cached", "Store", "json", "Store.read", "Store.make", "Store.name"])
def test_code_in_place_of_other_code_is_altered_state(
    kind: Attributes, watch: Watch, module: types.ModuleType, name: str
) -> None:
    """Replaced functions, classes, modules, methods and properties are altered state; repair restores them."""
    compare = watch(kind)
    patch = mock.patch(f"module_in_scope.{name}")
    patch.start()
    (leftover,) = compare()
    assert leftover.key == f"module_in_scope.{name}"
    assert leftover.detail.startswith(f"module_in_scope.{name} is now unittest.mock.MagicMock (before: ")
    assert compare() == [leftover]
    assert kind.repair(leftover) is True
    assert compare() == []
    assert not isinstance(module.work, mock.Mock)
    mock._patch._active_patches.remove(patch)  # type: ignore[attr-defined]


def test_what_was_removed_is_altered_state(kind: Attributes, watch: Watch, module: types.ModuleType) -> None:
    """A removed name is reported like a replaced one."""
    compare = watch(kind)
    del module.work, module.Store.read
    assert [leftover.key for leftover in compare()] == ["module_in_scope.work", "module_in_scope.Store.read"]


@pytest.mark.parametrize(("owner", "name"), [(time, "sleep"), (os, "getcwd")])
def test_the_standard_library_is_looked_at_where_it_is_patched_most(
    kind: Attributes, watch: Watch, owner: types.ModuleType, name: str
) -> None:
    """The functions of the standard library that are patched most often are watched, whatever the scope is."""
    compare = watch(kind)
    with mock.patch.object(owner, name):
        assert [leftover.key for leftover in compare()] == [f"{owner.__name__}.{name}"]
    assert compare() == []


def test_data_and_what_is_made_when_first_needed_is_no_difference(
    kind: Attributes, watch: Watch, module: types.ModuleType
) -> None:
    """Changed data such as caches, new names, lazily made objects and undone patches are not reported."""
    compare = watch(kind)
    module.LIMIT, module.CACHE, module.LAZY = 11, {1: 2}, functools.partial(print)
    module.Store.size = 7
    module.cached(1)
    module.new = module.work
    with mock.patch("module_in_scope.work"):
        pass
    assert compare() == []


def test_other_modules_are_not_looked_at(watch: Watch, module: types.ModuleType) -> None:
    """Modules out of scope are not watched."""
    compare = watch(Attributes(Surroundings()))
    module.work = print
    assert compare() == []


def test_an_object_that_cannot_be_compared_is_another_one(
    kind: Attributes, watch: Watch, module: types.ModuleType
) -> None:
    """A value whose comparison raises counts as different."""

    class Odd:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError

        __hash__ = None  # type: ignore[assignment]

    compare = watch(kind)
    module.work = Odd()
    assert [leftover.key for leftover in compare()] == ["module_in_scope.work"]
