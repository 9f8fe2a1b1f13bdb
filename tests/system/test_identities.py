"""Many objects are compared by identity alone, in C and, where that is impossible, one by one."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from pytest_maskcheck.system import identities
from pytest_maskcheck.system.identities import Identities


class Equal:
    """Equals everything, and may not be asked."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError

    __hash__ = None  # type: ignore[assignment]


@pytest.fixture(params=["at once", "singly"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compare with the function of C, and without it."""
    if request.param == "singly":
        monkeypatch.setattr(identities, "_memcmp", lambda: None)
    elif identities._memcmp() is None:
        pytest.skip("tuples cannot be read here")
    return


def test_linux_has_the_fast_way() -> None:
    """On Linux, with the usual CPython, objects are compared at once."""
    if sys.platform != "linux":
        pytest.skip("for Linux")
    assert identities._memcmp() is not None


@pytest.mark.parametrize("number", [0, 1, 2, 5_000])
@pytest.mark.usefixtures("way")
def test_the_same_objects_are_recognized(number: int) -> None:
    """A tuple of the same objects in the same order is recognized, whatever its length."""
    things = tuple([at] for at in range(number))
    assert Identities(things).are_those_of((*things,))


@pytest.mark.usefixtures("way")
def test_equal_objects_are_others() -> None:
    """An equal object in place of another one is noticed, at either end; so are one more, one less, and another order."""
    things = (1.5, Equal(), [1], None, int, "text", True, [2])
    known = Identities(things)
    assert known.are_those_of((*things,))
    for at in range(len(things)):
        assert not known.are_those_of((*things[:at], Equal(), *things[at + 1 :]))
        assert not known.are_those_of((*things[:at], *things[at + 1 :]))
    assert not known.are_those_of((*things, None))
    assert not known.are_those_of(things[::-1])
    assert not Identities((1, "a")).are_those_of((True, "a"))
    assert not known.are_those_of(())


@pytest.mark.usefixtures("way")
def test_no_object_is_kept_alive() -> None:
    """What was compared is not referred to."""
    thing: list[int] = []
    before = sys.getrefcount(thing)
    known = Identities((thing, thing))
    assert known.are_those_of((thing, thing))
    assert sys.getrefcount(thing) == before
