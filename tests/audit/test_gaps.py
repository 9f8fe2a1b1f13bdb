"""The exposure of hits, from timed runs given as data."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_maskcheck.audit.gaps import Gaps, is_shorter, rare
from pytest_maskcheck.interrupts import Hit, Trigger
from pytest_maskcheck.interrupts.timing import Lap, Moment
from pytest_maskcheck.results import Exposure

CODE = (lambda: None).__code__
BEFORE = Trigger("C_RETURN", CODE, 2, 1)
HIT = Hit(CODE, 4, "call", 1, (), Trigger("C_RETURN", CODE, 4, 1), before=BEFORE)


def lap(*times: int | None, events: int = 0, overhead: tuple[float, float] = (0, 0), idle: int = 0) -> Lap:
    """Return a run of 100 microseconds in which triggers come at these times, with so many events and so much idle time between them."""
    moments = [
        None if time is None else Moment(time, number * events, number * idle, number * (idle > 0))
        for number, time in enumerate(times)
    ]
    return Lap(Moment(0, 0), Moment(100_000, 0), tuple(moments), overhead)


def exposure(hit: Hit, *laps: Lap, resting: Lap | None = None, seconds: float = 100e-6) -> Exposure:
    """Return the exposure of a hit."""
    (found,) = Gaps([hit]).exposures(laps, resting or laps[0], seconds)
    return found


def test_the_shortest_and_the_longest_gap_bound_the_interval():
    """Of several runs, the least and the greatest gap count, in microseconds."""
    assert exposure(HIT, lap(1000, 4000), lap(1000, 6000), lap(2000, 6000)) == Exposure(3, 5)


def test_what_is_not_known_of_the_overhead_widens_the_interval():
    """The overhead of an event is subtracted: the greatest from the lower bound, the least from the upper one."""
    assert exposure(HIT, lap(1000, 6000, events=2, overhead=(500, 1000))) == Exposure(3, 4)


def test_a_hit_counts_for_those_it_stands_for():
    """A hit that stands for others counts as many times."""
    assert exposure(replace(HIT, stands_for=4), lap(1000, 3000)) == Exposure(8, 8)


@pytest.mark.parametrize("hit", [replace(HIT, kind="back"), replace(HIT, before=None)], ids=["back", "first"])
def test_a_gap_that_may_be_shorter_begins_at_zero(hit):
    """The end of a stretch out of scope, and the first hit of a run, have intervals that begin at zero."""
    run = lap(1000, 3000) if hit.before else lap(3000)
    assert exposure(hit, run) == Exposure(0, 2 if hit.before else 3)


def test_waiting_is_told_apart():
    """If the thread waited for most of a gap, the part in which it waited is stated; if it waited for little of it, none is."""
    runs = [lap(1000, 11_000), lap(1000, 21_000), lap(1000, 11_000)]
    assert exposure(HIT, *runs, resting=lap(1000, 11_000, idle=8000)) == Exposure(10, 20, 8)
    assert exposure(HIT, *runs, resting=lap(1000, 11_000, idle=2000)) == Exposure(10, 20)


def test_runs_that_take_another_way_do_not_count():
    """A run that lacks one of the two triggers is left out; if all do, the exposure is zero."""
    assert exposure(HIT, lap(1000, 3000), lap(None, 9000), lap(1000, None)) == Exposure(2, 2)
    assert exposure(HIT, lap(None, 9000)) == Exposure(0, 0)


def test_a_trigger_is_timed_once():
    """Hits that follow each other share a trigger."""
    following = Hit(CODE, 6, "call", 1, (), Trigger("C_RETURN", CODE, 6, 1), before=HIT.trigger)
    gaps = Gaps([HIT, following])
    assert gaps.triggers == [BEFORE, HIT.trigger, following.trigger]
    first, second = gaps.exposures([lap(1000, 3000, 8000)], lap(1000, 3000, 8000), 100e-6)
    assert (first, second) == (Exposure(2, 2), Exposure(5, 5))


def test_a_run_that_is_slower_when_watched_has_a_smaller_lower_bound():
    """If runs are twice as slow when they are watched, a gap may be half as long; if they are not slower, it is as long as it was."""
    assert exposure(HIT, lap(1000, 4000), seconds=50e-6) == Exposure(1.5, 3)
    assert exposure(HIT, lap(1000, 4000), seconds=120e-6) == Exposure(3, 3)


def test_what_is_left_out_while_watched_may_belong_to_any_gap():
    """If runs take much longer when they are not watched, the difference is added to each upper bound; a small one is not."""
    assert exposure(HIT, lap(1000, 4000), seconds=300e-6) == Exposure(3, 203)
    assert exposure(HIT, lap(1000, 4000), seconds=110e-6) == Exposure(3, 3)


def test_no_gap_is_longer_than_the_run():
    """A hit that stands for many is open for no longer than the run takes."""
    assert exposure(replace(HIT, stands_for=1000), lap(1000, 4000)) == Exposure(100, 100)


def test_only_hits_that_come_seldom_are_watched():
    """The events of a run are those of the triggers, each site once, with as many as its last trigger awaits; the fewest come first."""
    later = Hit(CODE, 4, "call", 7, (), Trigger("C_RETURN", CODE, 4, 7), before=HIT.trigger)
    same = Hit(CODE, 4, "call", 6, (), Trigger("C_RETURN", CODE, 4, 6), before=HIT.trigger)
    assert HIT.trigger.count == 1
    assert rare([later, same, HIT], 8) == [HIT, same, later]
    assert rare([later, same, HIT], 7) == [HIT, same]
    assert rare([later, same, HIT], 0) == []


def test_a_run_that_leaves_something_out_is_shorter():
    """By a fifth at least: runs differ by less."""
    assert is_shorter([lap(1000, 4000)], 300e-6)
    assert not is_shorter([lap(1000, 4000)], 110e-6)
    assert not is_shorter([], 1.0)
