"""A short version of the soundness experiment: real signals land where the engine predicts, and interrupts surface there.

The experiment itself (``experiment.py``) uses many more signals; with few of them, these tests allow for chance.
"""

from __future__ import annotations

import signal
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no setitimer")

SIGNALS = 5000
DEVIATIONS = 3


@pytest.fixture(autouse=True)
def _interrupted_coroutines() -> Iterator[None]:
    """Ignore warnings about coroutines that an interrupt before their ``await`` left unawaited: they are no defect of the suite."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
        yield


@pytest.fixture(scope="module")
def tasks(experiment: ModuleType) -> Any:
    """The fast part of the workload; under coverage, without the tasks that use threads.

    On 3.11 a traced thread that holds the GIL when a signal arrives retries its next function entry until the main
    thread handles the signal. That never happens if the main thread is waiting for this thread.
    """
    workload = experiment.sibling("workload")
    return workload.DETERMINISTIC if sys.gettrace() else (*workload.DETERMINISTIC, *workload.BROAD)


@pytest.fixture(scope="module")
def comparison(experiment: ModuleType, tasks: Any) -> Any:
    """The comparison of the prediction with the landings of real signals."""
    prediction = experiment.predict(tasks, rounds=2)
    return experiment.storm(tasks, prediction, SIGNALS, seconds=20)


def test_real_signals_land_at_predicted_places(experiment: ModuleType, comparison: Any) -> None:
    """The engine predicts the places of as many signals that land in scope as the goal demands, less an allowance for chance."""
    assert comparison.in_scope > SIGNALS / 2
    report = [(experiment.describe(place), count) for place, count in comparison.missed.most_common(10)]
    assert comparison.reaches(deviations=DEVIATIONS), report


@pytest.mark.parametrize("kind", ["entry", "call", "jump"])
def test_a_sabotaged_prediction_is_found_out(experiment: ModuleType, comparison: Any, kind: str) -> None:
    """The comparison is able to fail: it does so for a prediction without the hits of one kind."""
    whole = comparison.prediction
    kinds = {place: each for place, each in whole.kinds.items() if each != kind}
    assert len(kinds) < len(whole.kinds)
    sabotaged = experiment.Comparison(experiment.Prediction(kinds), comparison.landings, comparison.signals)
    assert not sabotaged.reaches(deviations=DEVIATIONS)


def test_no_instruction_is_invented(comparison: Any) -> None:
    """Of every predicted instruction that ran often, at least one place saw a signal."""
    assert comparison.invented == []


def test_an_invented_instruction_is_found_out(experiment: ModuleType, comparison: Any) -> None:
    """A predicted instruction that runs often without any landing is reported as invented."""
    workload = experiment.sibling("workload")
    code = experiment.names(workload.plain.__code__)
    last = max(experiment.dis.get_instructions(code), key=lambda each: each.offset)
    whole = comparison.prediction
    sabotaged = experiment.Prediction(
        whole.kinds | {(code, last.offset): "call"},
        whole.executed + Counter({(code, last.offset): 10**6}),
        whole.rounds,
    )
    found = experiment.Comparison(sabotaged, comparison.landings, comparison.signals, comparison.rounds)
    assert found.invented == [f"call {last.opname}"]


@pytest.mark.parametrize(
    "source",
    [
        "lock.acquire(blocking=True); lock.release()",
        "base.items(*args)",
        "super(Derived, derived).method(1)",
        "with lock: pass",
        "with guard: pass",
        "f'{base}'",
        "'%s' % base",
        "for _ in numbers(2): pass",
    ],
)
def test_a_construct_is_hit_where_predicted_and_nowhere_else(experiment: ModuleType, source: str) -> None:
    """In a tight loop and in cold code, signals land at every predicted place of a construct and at no other."""
    found = experiment.construct(source, 0.15)
    assert not found.missed
    if found.invented:  # little time passes before some places, so that a signal rarely lands there: try longer
        found = experiment.construct(source, 1.5)
    assert (found.missed, found.invented) == ({}, set())


def test_interrupts_surface_exactly_where_they_are_predicted(experiment: ModuleType) -> None:
    """Each strike raises KeyboardInterrupt at exactly the instruction of the hit that it targets."""
    workload = experiment.sibling("workload")
    injections = [experiment.inject(task, step=2) for task in workload.DETERMINISTIC]
    assert [other for each in injections for other in each.others] == []
    assert sum(each.exact for each in injections) > 200


def test_the_experiment_leaves_nothing_behind(experiment: ModuleType) -> None:
    """After the experiment no timer runs, and the signal handler and the code of the functions are restored."""
    workload = experiment.sibling("workload")
    before = (signal.getsignal(signal.SIGALRM), id(workload.loops.__code__))
    prediction = experiment.predict((workload.loops,), rounds=2)
    experiment.storm((workload.loops,), prediction, 20, seconds=1)
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    assert (signal.getsignal(signal.SIGALRM), id(workload.loops.__code__)) == before
