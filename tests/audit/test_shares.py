"""Exposure from samples: the share of a place, and its interval."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_maskcheck.audit.shares import Shares, interval
from pytest_maskcheck.interrupts import Hit, PlaceKind, Trigger
from pytest_maskcheck.interrupts.timing import Landing

CODE = (lambda: None).__code__


def hit(offset: int, kind: PlaceKind = "call", stands_for: int = 1) -> Hit:
    """Return a hit of an instruction."""
    return Hit(CODE, offset, kind, 1, (), Trigger("CALL", CODE, offset, 1), stands_for=stands_for)


def samples(**numbers: int) -> Any:
    """Return samples: how many there are at an offset (``at_4``), beyond one (``beyond_4``), and elsewhere (``elsewhere``)."""
    landings: Counter[Landing | None] = Counter()
    for name, number in numbers.items():
        place, _, offset = name.partition("_")
        landings[Landing(CODE, int(offset), (), beyond=place == "beyond") if offset else None] = number
    return SimpleNamespace(landings=landings, waiting=Counter())


def test_the_share_of_samples_is_that_of_the_time() -> None:
    """A place with half of the samples is open for half of the run."""
    found = Shares([hit(4)]).exposure(hit(4), samples(at_4=500, elsewhere=500), 2.0)
    assert 0.9e6 < found.least < 1e6 < found.greatest < 1.1e6


def test_hits_of_one_place_share_its_samples() -> None:
    """Each by how many hits it stands for: here, one and ninety-nine."""
    first, last = hit(4), hit(4, stands_for=99)
    taken = samples(at_4=1000)
    exposures = [Shares([first, last]).exposure(each, taken, 1.0) for each in (first, last)]
    assert exposures[0].total == pytest.approx(1e4, rel=0.01)
    assert exposures[1].total == pytest.approx(99e4, rel=0.01)


def test_a_stretch_out_of_scope_has_two_ends() -> None:
    """Its samples may belong to either, so both intervals begin at 0; another place is none of them."""
    into, back, call = hit(4, "into"), hit(4, "back"), hit(4)
    shares, taken = Shares([into, back, call]), samples(beyond_4=1000)
    for end in (into, back):
        found = shares.exposure(end, taken, 1.0)
        assert found.least == 0
        assert found.greatest == pytest.approx(1e6, rel=0.01)
    assert shares.exposure(call, taken, 1.0).greatest < 1e4


@pytest.mark.parametrize(
    ("number", "total", "low", "high"), [(10, 100, 0.05523, 0.17437), (0, 100, 0.0, 0.03699), (100, 100, 0.963, 1.0)]
)
def test_the_interval_is_that_of_wilson(number: int, total: int, low: float, high: float) -> None:
    """As in tables."""
    assert interval(number, total) == pytest.approx((low, high), abs=1e-4)
