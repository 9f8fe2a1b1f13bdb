"""Tests that a recording can keep only those hits of a place that points are chosen from."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from pytest_maskcheck.interrupts import Engine, Recording
from pytest_maskcheck.points.choice import choose_points
from pytest_maskcheck.points.ids import Names

SOURCE = """
import json
import signal

def own(plugin, turns=30):
    plugin(3)
    for number in range(turns):
        abs(number)
        branch(number)
        if number % 7 == 0:
            plugin(5)
    deep(12)
    before = signal.signal(signal.SIGINT, handler)
    for number in range(9):
        abs(number)
    signal.signal(signal.SIGINT, before)
    pause(True)
    for number in range(9):
        abs(number)
    pause(False)
    for number in range(9):
        json.dumps(number)
        branch(number)
    list(generate(9))

def handler(*_):
    pass

def branch(number):
    return len(str(number)) if number % 3 else abs(number)

def deep(number):
    if number:
        abs(number)
        deep(number - 1)

def generate(number):
    for each in range(number):
        yield abs(each)
"""

PLUGIN = """
def plugin(number):
    for each in range(number):
        abs(each)

def around(own, turns=30):
    plugin(6)
    own(plugin)
    plugin(4)
    own(plugin, turns)
    plugin(7)
"""


@pytest.fixture
def recorded(engine: Engine) -> Callable[..., Recording]:
    """Return a function that records the sample; the plugin is in scope, but not the test's own code."""
    place = os.path.join(os.getcwd(), "sample.py")
    other = os.path.join(os.getcwd(), "plugin.py")
    own: dict[str, object] = {}
    around: dict[str, object] = {}
    exec(compile(SOURCE, place, "exec"), own)
    exec(compile(PLUGIN, other, "exec"), around)

    def recorded(*, thin: bool, turns: int = 30) -> Recording:
        with engine.record({place, other}.__contains__, "checkpoint", (signal.SIGINT,)) as recording:
            recording.own = frozenset({place}) if thin else None
            own["pause"] = lambda paused: setattr(recording, "paused", paused)
            around["around"](own["own"], turns)  # type: ignore[operator]
        recording.settle()
        return recording

    recorded.body = frozenset({place})  # type: ignore[attr-defined]
    return recorded


@pytest.mark.parametrize("hits", [1, 2, 3])
@pytest.mark.parametrize("body", ["own", "nothing"])
def test_the_plan_is_the_same(recorded, hits: int, body: str) -> None:
    """A thinned recording gives the same points as a full one, and leaves out the same numbers of hits for the same reasons."""
    files = recorded.body if body == "own" else frozenset()

    def reason_against(_: str, line: int, **__: object) -> str:
        return "because" if line == 8 else ""

    plans = [
        choose_points(recorded(thin=thin), Names(os.getcwd()), reason_against, hits=hits, max_points=10_000, body=files)
        for thin in (False, True)
    ]
    whole, thinned = plans
    assert [point.id for point in whole.points] == [point.id for point in thinned.points]
    assert whole.left_out == thinned.left_out
    assert {"because", "within maskcheck.paused()"} < set(whole.left_out)
    assert len(whole.points) > 70


def test_few_hits_are_kept(recorded) -> None:
    """The number of hits kept does not depend on how often code runs, and ``stands_for`` accounts for all hits."""
    few, many = (recorded(thin=True, turns=turns).hits for turns in (30, 3000))
    assert len(few) == len(many)
    whole = recorded(thin=False, turns=3000).hits
    assert len(whole) > 10 * len(many)
    assert sum(hit.stands_for for hit in many) == len(whole)
