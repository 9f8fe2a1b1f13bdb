"""A short version of the experiment: what is stated as exposure is of the size of what real signals show.

The experiment itself (``experiment.py``) uses many more signals, on a quiet machine; this test allows for a busy one.
"""

from __future__ import annotations

import importlib.util
import signal
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

SIGNALS = 1500
FACTOR = 8
"""On a busy machine, code takes several times as long in one run as in another."""

pytestmark = [
    pytest.mark.oldest_and_newest,
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no setitimer"),
    pytest.mark.skipif(sys.gettrace() is not None, reason="coverage would be timed"),
]


@pytest.fixture(scope="module")
def experiment() -> ModuleType:
    """Return the module of the experiment."""
    name = "maskcheck_exposure_experiment"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("experiment.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_signals_land_where_the_exposure_is(experiment: ModuleType) -> None:
    """Places with many landings are those that are stated to be open for long, and those with none are not."""
    comparison = experiment.compare(SIGNALS)
    assert comparison.signals > SIGNALS / 2
    often = comparison.places(experiment.OFTEN)
    assert often
    for place in often:
        least, greatest = comparison.stated[place]
        low, high = comparison.observed(place)
        assert least / FACTOR <= high, experiment.describe(place)
        assert greatest * FACTOR >= low, experiment.describe(place)


def test_a_wrong_statement_is_found_out(experiment: ModuleType) -> None:
    """The comparison is able to fail: a place that is stated to be open for ten times as long, or a tenth, does not hold."""
    place = (test_a_wrong_statement_is_found_out.__code__, 0, False)
    other = (test_a_wrong_statement_is_found_out.__code__, 2, False)
    for share, holds in ((0.5, True), (0.05, False), (0.9, False)):
        stated = {place: (share, share), other: (0.5, 0.5)}
        comparison = experiment.Comparison(stated, Counter({place: 1000, other: 1000}), (0, 0), 1.0)
        assert comparison.holds(place) is holds
        assert comparison.share() == (1.0 if holds else 0.5)


@pytest.mark.parametrize(
    ("number", "total", "low", "high"),
    [
        (0, 20_000, 0.0, 0.00018443),
        (10, 100, 0.0490047, 0.1762226),
        (12_000, 20_000, 0.593171, 0.606800),
        (5, 5, 0.4781762, 1.0),
    ],
)
def test_the_interval_of_a_proportion_is_exact(experiment: ModuleType, number, total, low, high) -> None:
    """The interval is that of tables: for 10 of 100, from 4.9 % to 17.6 %."""
    assert experiment.clopper_pearson(number, total) == pytest.approx((low, high), abs=2e-6)
