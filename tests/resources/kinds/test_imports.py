"""``sys.path``, import hooks and ``sys.modules``."""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.resources import Surroundings
from pytest_maskcheck.resources.kinds.imports import ImportHooks, ModulePath, Modules

if TYPE_CHECKING:
    from tests.resources.conftest import Watch


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(dict.fromkeys(sys.path)))
    monkeypatch.setattr(sys, "meta_path", sys.meta_path[:])
    monkeypatch.setitem(sys.modules, "module_of_a_test", types.ModuleType("module_of_a_test"))


def test_entries_of_the_path_are_altered_state(watch: Watch, surroundings: Surroundings) -> None:
    """Added and removed path entries are reported under keys that are equal in every run; repair restores the whole path."""
    kind, first = ModulePath(surroundings), sys.path[0]
    compare = watch(kind)
    del sys.path[0]
    sys.path.insert(0, surroundings.places["tmp_path"] + "/lib")
    found = compare()
    assert [leftover.key for leftover in found] == ["<tmp_path>/lib", surroundings.key(first)]
    assert found[1].detail == f"{first!r} is no longer in sys.path"
    assert compare() == found
    assert kind.repair(found[0]) is True
    assert compare() == []


def test_the_order_of_the_path_counts(watch: Watch, surroundings: Surroundings) -> None:
    """A changed order of ``sys.path`` is reported, since it decides which modules are found, and so is a duplicated entry."""
    compare = watch(ModulePath(surroundings))
    sys.path.reverse()
    assert [(leftover.key, leftover.detail) for leftover in compare()] == [("order", "the order of sys.path changed")]
    sys.path.reverse()
    sys.path.append(sys.path[0])
    assert [leftover.detail for leftover in compare()] == ["how often an entry is in sys.path changed"]


def test_a_path_put_back_is_no_difference(watch: Watch, surroundings: Surroundings) -> None:
    """A restored path is not reported, even if it is a new list with equal entries."""
    compare = watch(ModulePath(surroundings))
    sys.path.insert(0, "somewhere")
    sys.path = ["".join(list(entry)) for entry in sys.path[1:]]
    assert compare() == []


def test_import_hooks_are_altered_state(watch: Watch) -> None:
    """An added import hook is reported under the name of its finder; repair restores the former hooks."""

    class Finder:
        def find_spec(self, *_: object) -> None:
            return

    kind = ImportHooks()
    compare = watch(kind)
    finder = Finder()
    sys.meta_path.append(finder)
    (leftover,) = compare()
    assert leftover.key.startswith("meta_path ")
    assert leftover.key.endswith("Finder")
    assert compare() == [leftover]
    assert kind.repair(leftover) is True
    assert compare() == []
    sys.meta_path.append(finder)
    sys.meta_path.remove(finder)
    assert compare() == []


def test_modules_replaced_and_removed_are_altered_state(watch: Watch) -> None:
    """Replaced and removed modules are altered state; repair restores them."""
    kind = Modules()
    compare = watch(kind)
    sys.modules["module_of_a_test"] = types.ModuleType("another")
    (replaced,) = compare()
    del sys.modules["module_of_a_test"]
    (removed,) = compare()
    assert replaced.key == removed.key == "module_of_a_test"
    assert replaced.detail == "the module module_of_a_test was replaced in sys.modules"
    assert removed.detail == "the module module_of_a_test was removed from sys.modules"
    assert kind.repair(removed) is True
    assert compare() == []


def test_a_new_module_is_no_difference(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new module is not reported, since code may import at any time."""
    compare = watch(Modules())
    monkeypatch.setitem(sys.modules, "new_module_of_a_test", types.ModuleType("new"))
    assert compare() == []


def test_they_are_looked_at_only_if_asked_for() -> None:
    """Modules are watched only if a setting names the kind, since copying ``sys.modules`` takes long."""
    assert Modules.default is False
