"""Compare the exposure that the audit states for places with how often real signals land there.

Run it alone: ``python tests/experiments/exposure/experiment.py [--signals 20000]``

1. *stated*: the engine records the workload; then runs are timed, as in an audit, and give each place an interval.
2. *observed*: the same workload, not watched, gets one signal in each run, at a uniformly random moment; the handler notes where CPython
   ran it. The two alternate in blocks, so that both meet the same state of the machine.
3. A place *holds* if the interval of its share of a run, as stated, meets the interval of 95 % (Clopper and Pearson) of the share of the
   signals that landed there.

Scope is the workload alone: signals that land in code it calls count for the instruction that called that. Places with few landings hold
easily, so those with many are also counted by themselves.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import math
import random
import signal
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from statistics import median
from time import perf_counter
from types import CodeType, FrameType, ModuleType
from typing import Any

if importlib.util.find_spec("pytest_maskcheck") is None:  # run alone, from a checkout
    sys.path.append(str(Path(__file__).resolve().parents[3]))

from pytest_maskcheck.audit.gaps import Gaps
from pytest_maskcheck.interrupts import Engine, Hit, choose
from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.interrupts.cpython.positions import line_of
from pytest_maskcheck.interrupts.signals.clock import calls, entries, jumps
from pytest_maskcheck.interrupts.timing import Lap

Place = tuple[CodeType, int, bool]
"""Code, offset, and whether a signal landed in code that was called there."""

GOAL = 0.95
"""The share of places that must hold."""

OFTEN = 20
"""A place with so many landings has many."""

_BLOCKS = 10
_LAPS = 4
_BEYOND = 1.2
"""The moments of signals are drawn from a time so many times as long as a run, as runs differ."""


@cache
def workload() -> ModuleType:
    """Return the workload, regardless of ``sys.path``."""
    spec = importlib.util.spec_from_file_location(
        "maskcheck_exposure_workload", Path(__file__).with_name("workload.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def in_scope(filename: str) -> bool:
    """Return whether a file is that of the workload."""
    return filename == workload().__file__


@dataclass
class Comparison:
    """What was stated and what was observed.

    Attributes:
        stated: the least and the greatest share of a run, by place.
        landings: how many signals landed at each place.
        overhead: of an event, in nanoseconds: the least and the greatest of all laps.
        seconds: the duration of a run.
    """

    stated: dict[Place, tuple[float, float]]
    landings: Counter[Place]
    overhead: tuple[float, float]
    seconds: float

    @property
    def signals(self) -> int:
        """How many signals landed in the workload."""
        return self.landings.total()

    def observed(self, place: Place) -> tuple[float, float]:
        """Return the interval of the share of signals that land at a place."""
        return clopper_pearson(self.landings[place], self.signals)

    def holds(self, place: Place) -> bool:
        """Return whether the two intervals of a place meet."""
        least, greatest = self.stated.get(place, (0.0, 0.0))
        low, high = self.observed(place)
        return least <= high and low <= greatest

    def share(self, landings: int = 0) -> float:
        """Return the share of places that hold, among those with so many landings."""
        places = self.places(landings)
        return sum(map(self.holds, places)) / len(places)

    def places(self, landings: int = 0) -> list[Place]:
        """Return the places with so many landings, those with the most first."""
        every = [*dict.fromkeys([*self.landings, *self.stated])]
        return sorted(
            (each for each in every if self.landings[each] >= landings), key=lambda each: -self.landings[each]
        )


def compare(signals: int, seed: int = 1) -> Comparison:
    """Time the workload and send signals into it, in turn."""
    work = workload().work
    for _ in range(20):
        work()
    gc.collect()
    gc.freeze()
    engine = choose()[0].engine
    with engine.record(in_scope, "checkpoint", outside=True) as recording:
        work()
    # As in an audit, where few points are timed at once: the fewer events there are, the less a run is slowed down.
    functions: defaultdict[CodeType, list[Hit]] = defaultdict(list)
    for hit in recording.hits:
        # A stretch out of scope is one place here: all of it counts, not only what is known of its end.
        functions[hit.code].append(replace(hit, kind="call") if hit.kind == "back" else hit)
    timed = [Timed(Gaps(hits), hits) for hits in functions.values()]
    landings, durations = Counter[Place](), list[float]()
    storm = Storm(random.Random(seed), landings)
    beyond = {id(hit.trigger) for hit in recording.hits if hit.kind in {"into", "back"}}
    for block in range(_BLOCKS):
        for each in timed:
            each.time(engine)
        durations += map(_plain_run, range(_LAPS))
        storm.blow(signals * (block + 1) // _BLOCKS, median(durations))
    seconds = median(durations)
    stated: defaultdict[Place, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    for each in timed:
        for hit, found in zip(each.hits, each.gaps.exposures(each.laps, each.resting, seconds), strict=True):
            place = (hit.code, hit.offset, id(hit.trigger) in beyond)
            least, greatest = stated[place]
            stated[place] = least + found.least * 1e-6 / seconds, greatest + found.greatest * 1e-6 / seconds
    overheads = [overhead for each in timed for lap in each.laps for overhead in lap.overhead]
    return Comparison(dict(stated), landings, (min(overheads), max(overheads)), seconds)


@dataclass
class Timed:
    """The hits of one function, and runs in which they were timed."""

    gaps: Gaps
    hits: list[Hit]
    laps: list[Lap] = field(default_factory=list)

    def time(self, engine: Engine[Any]) -> None:
        """Time some more runs."""
        with engine.time(self.gaps.triggers, in_scope, "checkpoint") as clock:
            for lap in range(1 + _LAPS + 1):
                with clock.lap(waits=lap > _LAPS):
                    workload().work()
        *laps, self.resting = clock.laps[1:]
        self.laps += laps


def _other_code() -> None:
    """Do what is done before a timed run, so that caches are as they are then."""
    items = [0] * 60
    for _ in range(6):
        calls(items)
        entries(items, lambda: None)
        jumps(items)


def _plain_run(_: int) -> float:
    """Return the duration of a run, in seconds."""
    _other_code()
    begin = perf_counter()
    workload().work()
    return perf_counter() - begin


class Storm:
    """Sends one signal in each run, and notes where it lands."""

    def __init__(self, chance: random.Random, landings: Counter[Place]) -> None:
        self._chance = chance
        self._landings = landings
        self._total = 0

    def blow(self, total: int, seconds: float) -> None:
        """Run the workload until so many signals have landed, if a run takes so many seconds."""
        before = signal.signal(signal.SIGALRM, self._handle)
        try:
            while self._total < total:
                _other_code()
                signal.setitimer(signal.ITIMER_REAL, max(1e-6, self._chance.random() * seconds * _BEYOND))
                workload().work()
                signal.setitimer(signal.ITIMER_REAL, 0)
        finally:
            signal.signal(signal.SIGALRM, before)

    def _handle(self, _: int, frame: FrameType | None) -> None:
        self._total += 1
        running = frame
        while running is not None and not in_scope(running.f_code.co_filename):
            running = running.f_back
        if running is None:
            return  # between two runs
        beyond = running is not frame
        offset = (facts.calling if beyond else facts.landing)(running.f_code, running.f_lasti)
        self._landings[running.f_code, offset, beyond] += 1


def clopper_pearson(number: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a proportion, given ``number`` successes in ``total`` trials."""
    tail = (1 - level) / 2
    low = 0.0 if number == 0 else _share(tail, number, total - number + 1)
    high = 1.0 if number == total else _share(1 - tail, number + 1, total - number)
    return low, high


def _share(level: float, first: float, second: float) -> float:
    """Return the quantile of a beta distribution."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _beta(middle, first, second) < level else (low, middle)
    return (low + high) / 2


def _beta(share: float, first: float, second: float) -> float:
    """Return the regularised incomplete beta function (by Lentz's method for its continued fraction)."""
    if share in {0.0, 1.0}:
        return share
    if share > (first + 1) / (first + second + 2):  # where the fraction converges slowly
        return 1 - _beta(1 - share, second, first)
    logs = math.lgamma(first + second) - math.lgamma(first) - math.lgamma(second)
    front = math.exp(logs + first * math.log(share) + second * math.log1p(-share)) / first
    value, c, d = 1.0, 1.0, 0.0
    for step in range(2000):
        half, odd = divmod(step, 2)
        if step == 0:
            term = 1.0
        elif odd:
            term = -(first + half) * (first + second + half) * share / ((first + step - 1) * (first + step))
        else:
            term = half * (second - half) * share / ((first + step - 1) * (first + step))
        d = 1 / (1 + term * d or 1e-30)
        c = 1 + term / c or 1e-30
        value *= c * d
        if abs(1 - c * d) < 1e-12:
            break
    return front * (value - 1)


def describe(place: Place) -> str:
    """Return a place in words."""
    code, offset, beyond = place
    return f"{code.co_qualname}:{line_of(code, offset)}+{offset}{' and called from there' if beyond else ''}"


def main() -> int:
    """Run the experiment; return 0 if the goal was reached, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--signals", type=int, default=20_000)
    parser.add_argument("--all", action="store_true", help="show all places, not only those that do not hold")
    options = parser.parse_args()
    comparison = compare(options.signals)
    print(
        f"CPython {sys.version.split()[0]}, {choose()[0].engine.name}, {comparison.seconds * 1e6:.0f} microseconds a run"
    )
    print(f"overhead of an event {comparison.overhead[0]:.0f} to {comparison.overhead[1]:.0f} nanoseconds")
    print(f"signals that landed in the workload: {comparison.signals}")
    for least in (0, OFTEN):
        places = comparison.places(least)
        print(f"places with {least} landings or more: {len(places)}, of which {comparison.share(least):.1%} hold")
    for place in comparison.places():
        if options.all or not comparison.holds(place):
            stated, observed = comparison.stated.get(place, (0.0, 0.0)), comparison.observed(place)
            print(
                f"  {'holds' if comparison.holds(place) else 'fails'} {comparison.landings[place]:6} landings, "
                f"stated {stated[0]:.5f}-{stated[1]:.5f}, observed {observed[0]:.5f}-{observed[1]:.5f} {describe(place)}"
            )
    return 0 if comparison.share() >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
