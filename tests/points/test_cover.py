"""Which points of a suite are audited first: each line in one test, then places, then contexts, as far as the time goes."""

from __future__ import annotations

from pytest_maskcheck.points.cover import Depth, Suite, Surveyed
from pytest_maskcheck.points.layers import Layers

LONG = float("inf")


def reaches(name: str, *keys: tuple[int, int, int], seconds: float = 0.0, own: tuple[Layers, ...] = ()) -> Surveyed:
    """Return a test that reaches points with these keys."""
    return Surveyed(name, seconds, tuple(Layers(*each) for each in keys), own)


def lines(suite: Suite, *tests: Surveyed) -> set[int]:
    """Return the lines of the points chosen."""
    return {
        layers.line
        for each in tests
        for layers in each.layers
        if each.test in suite.chosen and layers.context in suite.chosen[each.test].contexts
    }


BROAD = reaches("broad", (1, 1, 1), (2, 2, 2), (3, 3, 3))
NARROW = reaches("narrow", (1, 1, 1), (2, 2, 20))
LAST = reaches("last", (4, 4, 4), (4, 5, 5))


def test_each_line_is_chosen_once_in_the_test_that_reaches_most():
    """At the depth of lines, a test all of whose lines others reach is left out, and no line is chosen twice."""
    suite = Suite([NARROW, BROAD, LAST], Depth.LINES, LONG)
    assert set(suite.chosen) == {"broad", "last"}
    assert len(suite.chosen["last"].contexts) == 1
    assert lines(suite, BROAD, LAST) == {1, 2, 3, 4}


def test_places_and_contexts_follow():
    """The depth of places adds the second place of a line, and the full depth the second context of a place."""
    places = Suite([NARROW, BROAD, LAST], Depth.PLACES, LONG)
    assert set(places.chosen["last"].contexts) == {4, 5}
    assert "narrow" not in places.chosen
    every = Suite([NARROW, BROAD, LAST], Depth.ALL, LONG)
    assert every.chosen["narrow"].contexts == {20: Depth.ALL}


def test_a_quick_test_is_preferred():
    """Of two tests that reach the same, the one that takes less time is chosen."""
    slow = reaches("slow", (1, 1, 1), (2, 2, 2), seconds=5.0)
    quick = reaches("quick", (1, 1, 1), (2, 2, 2))
    assert set(Suite([slow, quick], Depth.LINES, LONG).chosen) == {"quick"}


def test_the_time_is_kept():
    """What does not fit into the time is not chosen, and lines come before contexts."""
    tests = [reaches(f"test{number}", *((number * 10 + each, each, each) for each in range(5))) for number in range(20)]
    some = Suite(tests, Depth.ALL, 2.0)
    assert 0 < len(some.chosen) < 20
    assert sum(each.cost for each in some.chosen.values()) < 3.0
    assert all(depth is Depth.LINES for each in some.chosen.values() for depth in each.contexts.values())
    assert len(Suite(tests, Depth.ALL, LONG).chosen) == 20


def test_the_choice_is_made_anew_if_audits_take_longer():
    """If the first audit takes ten times as long as expected, fewer tests are chosen of those to come."""
    tests = [reaches(f"test{number}", (number, number, number)) for number in range(10)]
    suite = Suite(tests, Depth.ALL, 4.0)
    assert len(suite.chosen) == 10
    assert suite.next("test0", 4.0).contexts
    suite.ends("test0", 10 * suite.chosen["test0"].cost, complete=True)
    suite.next("test1", 1.0)
    assert len(suite.chosen) < 5


def test_what_an_audit_did_not_finish_is_chosen_again():
    """A line whose audit ended early is audited in another test; one that was audited is not."""
    first, second = reaches("first", (1, 1, 1)), reaches("second", (1, 1, 1))
    for complete in (True, False):
        suite = Suite([first, second], Depth.ALL, 100.0)
        (name,) = suite.chosen
        other = "second" if name == "first" else "first"
        suite.ends(name, 100 * suite.chosen[name].cost, complete=complete)
        assert bool(suite.next(other, 50.0).contexts) is not complete


def test_the_code_of_tests_comes_last_and_only_at_full_depth():
    """The tests' own lines are chosen at the full depth; if nothing else is in scope, they count as the code under test."""
    own = (Layers(9, 9, 9),)
    tests = [reaches("both", (1, 1, 1), own=own)]
    assert set(Suite(tests, Depth.PLACES, LONG).chosen["both"].contexts) == {1}
    assert set(Suite(tests, Depth.ALL, LONG).chosen["both"].contexts) == {1, 9}
    assert set(Suite([reaches("alone", own=own)], Depth.LINES, LONG).chosen["alone"].contexts) == {9}


def test_a_test_that_was_not_surveyed_has_no_choice():
    """Nothing is said of a test that the survey could not run, so it is audited in full; one without a chosen point has an empty choice."""
    suite = Suite([BROAD, NARROW], Depth.LINES, LONG)
    assert suite.next("unknown", LONG) is None
    assert suite.next("narrow", LONG).contexts == {}


def test_the_time_that_is_left_is_shared_by_what_audits_are_expected_to_take():
    """A test has its part of what all tests to come take; with several workers, of what as many tests as this one runs take."""
    suite = Suite([BROAD, LAST], Depth.ALL, LONG)
    parts = [suite.part(name, 1, 1) for name in ("broad", "last")]
    assert 0.99 < sum(parts) < 1.01
    assert suite.part("broad", 0, 2) == 1.0
    assert 0.4 < suite.part("broad", 1, 2) < 0.6
    assert Suite([BROAD, NARROW], Depth.LINES, LONG).part("narrow", 1, 1) == 0.0
    assert 0.0 < suite.part("unknown", 1, 1) < 1.0


def test_what_no_audit_has_covered_is_missed():
    """A line of a test that was not audited is missed, unless a later test was audited there."""
    suite = Suite([BROAD, NARROW, LAST], Depth.LINES, LONG)
    suite.ends("broad", 0.0, complete=False)
    assert suite.missed == 3
    assert set(suite.next("narrow", LONG).contexts) == {1, 20}
    suite.ends("narrow", 0.1, complete=True)
    suite.ends("last", 0.1, complete=True)
    assert suite.missed == 1
