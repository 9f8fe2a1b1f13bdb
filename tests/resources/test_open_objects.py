"""The base of the kinds for Python objects."""

from __future__ import annotations

import gc
import types
import weakref
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.resources.heap import Family, at_once
from pytest_maskcheck.resources.open_objects import OpenObjects

if TYPE_CHECKING:
    from tests.resources.conftest import Watch


class Door:
    """An object to be closed."""

    def __init__(self) -> None:
        self.open = True

    def close(self) -> None:
        self.open = False


class Stuck(Door):
    """An object that cannot be closed."""

    def close(self) -> None:
        raise OSError


class Doors(OpenObjects):
    """A kind for doors."""

    name = "door"
    family = Family(f"{__name__}:Door")

    def is_open(self, thing: Any) -> bool:
        return bool(thing.open)

    def key_and_detail(self, thing: Any) -> tuple[str, str]:
        return "door", "a door is open"

    def close(self, thing: Any) -> None:
        thing.close()

    def canary(self) -> AbstractContextManager[None]:
        return nullcontext()


@pytest.mark.usefixtures("frozen_heap")
def test_open_objects_made_since_are_leftovers(watch: Watch) -> None:
    """Open objects made since the snapshot are leftovers; closed ones and earlier ones are not."""
    before = Door()
    compare = watch(Doors())
    closed, new = Door(), Door()
    closed.close()
    assert [leftover.token for leftover in compare()] == [id(new)]
    del new
    assert compare() == []
    assert before.open


@pytest.mark.usefixtures("frozen_heap")
def test_an_object_at_the_address_of_a_known_one_is_told_apart() -> None:
    """A recorded object is recognised by identity, not by its id alone."""
    kind = Doors()
    old = Door()
    before: Any = kind.snapshot()
    new = Door()
    before[id(new)] = before.pop(id(old))
    assert {leftover.token for leftover in kind.compare(before)} == {id(old), id(new)}


@pytest.mark.usefixtures("frozen_heap")
def test_a_leftover_is_closed_by_repair(watch: Watch) -> None:
    """``repair`` closes a leftover and returns whether that succeeded; one that is gone needs no repair."""
    kind = Doors()
    compare = watch(kind)
    doors = [Door(), Stuck()]
    found = compare()
    assert {leftover.token: kind.repair(leftover) for leftover in found} == {id(doors[0]): True, id(doors[1]): False}
    assert [leftover.token for leftover in compare()] == [id(doors[1])]
    doors.clear()
    assert all(kind.repair(leftover) for leftover in found)


@pytest.mark.usefixtures("frozen_heap")
def test_derived_types_are_found(watch: Watch) -> None:
    """A subclass made in a function is found, and the family does not keep it alive."""
    compare = watch(Doors())

    class Gate(Stuck):
        """A class of a function."""

    gate = Gate()
    assert [leftover.token for leftover in compare()] == [id(gate)]
    kept = weakref.ref(Gate)
    del gate, Gate
    compare()
    gc.collect()
    assert kept() is None
    assert all(kind.__name__ != "Gate" for kind in Doors.family())  # type: ignore[misc]


def test_a_module_that_comes_later_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The types of a family are looked up when objects of new types appear."""
    family = Family("maskcheck_late:Late")
    assert family() == frozenset()
    module = types.ModuleType("maskcheck_late")
    exec("class Late: pass\nclass Later(Late): pass", vars(module))
    monkeypatch.setitem(__import__("sys").modules, module.__name__, module)
    late = [module.Late(), module.Later()]
    assert family() == {type(thing) for thing in late}
    assert set(map(id, family.made())) == set(map(id, late))


@pytest.mark.usefixtures("frozen_heap")
def test_the_heap_is_looked_through_once() -> None:
    """Within ``at_once`` the heap is walked only once, so a door made after that is not seen."""
    with at_once:
        assert list(Doors.family.made()) == []  # type: ignore[union-attr]
        door = Door()
        assert list(Doors.family.made()) == []  # type: ignore[union-attr]
    assert list(Doors.family.made()) == [door]  # type: ignore[union-attr]


class Slamming(Doors):
    """A kind whose objects are closed while they are described, as if by another thread."""

    def key_and_detail(self, thing: Any) -> tuple[str, str]:
        thing.close()
        return super().key_and_detail(thing)


@pytest.mark.usefixtures("frozen_heap")
@pytest.mark.parametrize(("kind", "number"), [(Slamming, 0), (Doors, 1)])
def test_what_is_closed_as_it_is_described_is_not_open(watch: Watch, kind: type[Doors], number: int) -> None:
    """An object that is closed while it is described is not reported, because it is checked once more."""
    compare = watch(kind())
    door = Door()
    assert len(compare()) == number
    door.close()
