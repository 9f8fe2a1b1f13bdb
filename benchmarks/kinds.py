"""Measure what the default kinds of leftovers cost in a run that leaves nothing behind.

Run ``python benchmarks/kinds.py``. The kinds are called as the runner calls them: one snapshot of each, then a second one or a
``compare``, then ``finish`` if the kind has one, on a frozen heap with a hundred new objects. Each line of the output is a kind, with the
sum of its calls; *walk* is the cost of walking the new objects, once for all kinds; *all* is a run with all kinds minus a run without
any, which includes the loops over the kinds. Figures are medians of the rounds; ``+`` is the distance to the upper quartile. The
baseline is a call of ``os.stat("/")``, measured in turns with the others, so that ratios to it hold on other machines too.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import decimal
import gc
import importlib
import logging
import multiprocessing.synchronize
import os
import sqlite3
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.interrupts import Strike, choose
from pytest_maskcheck.points.ids import Names
from pytest_maskcheck.resources import Kind, Surroundings, all_kinds, heap
from pytest_maskcheck.runs.requests import RunResult
from pytest_maskcheck.runs.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = int(os.environ.get("ROUNDS", "2000"))
NEW = 100
OPEN = 12
USED = (asyncio, concurrent.futures, decimal, logging, multiprocessing.synchronize, sqlite3, ssl, subprocess)
LOGGERS = ("asyncio", "concurrent.futures", "one", "one.two", "one.two.three", "four")


class Thing:
    """The type of half of the new objects."""


class Target:
    """A test that does nothing, in an empty directory."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def __call__(self, around: Callable[[Callable[[], object]], None]) -> str:
        """Run the body."""
        around(body)
        return ""

    def places(self) -> dict[str, str]:
        """Return the directory."""
        return {"tmp": self.directory}

    def forget(self) -> None:
        """Do nothing: there is nothing to drop."""


def body() -> None:
    pass


def stat() -> None:
    os.stat("/")


def seconds(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def snapshot(kind: Any) -> Callable[[], object]:
    """Return the function that the runner would call for a snapshot of this kind."""
    return dict if kind.absent is not None and kind.absent(heap.look()) else kind.snapshot


def drive(kinds: tuple[Any, ...], times: dict[str, list[float]]) -> None:
    """Do what the runner does, and record how long each kind takes."""
    clock = time.perf_counter
    took: dict[str, float] = defaultdict(float)

    def timed(name: str, function: Callable[..., Any], *arguments: object) -> Any:
        begin = clock()
        found = function(*arguments)
        took[name] += clock() - begin
        return found

    with heap.at_once:
        timed("walk", heap.look)
        befores = [timed(kind.name, snapshot(kind)) for kind in kinds]
    body()
    with heap.at_once:
        timed("walk", heap.look)
        for kind, before in zip(kinds, befores, strict=True):
            if kind.repeatable:
                left = timed(kind.name, snapshot(kind)) != before
            else:
                left = timed(kind.name, kind.compare, before)
            if left:
                message = f"{kind.name} sees something where nothing was left"
                raise AssertionError(message)
    for kind, before in zip(kinds, befores, strict=True):
        if type(kind).finish is not Kind.finish:
            timed(kind.name, kind.finish, before)
    for name, one in took.items():
        times[name].append(one)


def overhead(times: dict[str, list[float]]) -> None:
    """Record how long reading the clock takes."""
    clock = time.perf_counter
    begin = clock()
    clock()
    clock()
    times["clock"].append(clock() - begin)


def measure(directory: str) -> dict[str, list[float]]:
    """Return the times of each kind, of all kinds together, of the baseline and of the clock."""
    target = Target(directory)
    surroundings = Surroundings(target.places(), lambda file: file == __file__)
    kinds = tuple(kind for kind in all_kinds(surroundings) if kind.default)
    runners = [
        Runner(target, some, surroundings, Names(os.getcwd()), lambda _: False, choose()[0], here=False)
        for some in (kinds, ())
    ]
    for kind in kinds:
        kind.prepare()
    for runner in runners:
        runner.kind_set()
    gc.collect()
    gc.freeze()
    new = [Thing() if at % 2 else [at] for at in range(NEW)]
    times: dict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        drive(kinds, times)
        full, empty = [
            seconds(partial(runner._body, RunResult(Strike()), body, nullcontext(Strike()), None, []))  # noqa: SLF001
            for runner in runners
        ]
        times["all"].append(full - empty)
        times["stat"].append(seconds(stat))
        overhead(times)
    gc.unfreeze()
    del new
    return times


def main() -> None:
    """Measure, and print the table."""
    for name in LOGGERS:
        logging.getLogger(name)
    for name in USED:
        importlib.import_module(name.__name__)
    decimal.getcontext()
    used = len(os.listdir("/proc/self/fd")) - 1 if os.path.isdir("/proc/self/fd") else 3
    files = [os.open(__file__, os.O_RDONLY) for _ in range(max(0, OPEN - used))]
    with tempfile.TemporaryDirectory() as directory:
        times = measure(directory)
    for file in files:
        os.close(file)
    baseline = statistics.median(times.pop("stat"))
    clock = statistics.median(times.pop("clock"))
    rows = {}
    for name, found in times.items():
        own = 0 if name == "all" else clock
        middle, above = statistics.quantiles(found, n=4)[1:]
        rows[name] = (middle - own, above - middle)
    everything = rows.pop("all")
    print(f"CPython {sys.version.split()[0]}, {ROUNDS} rounds, baseline os.stat {baseline * 1e6:.2f} us")
    for name, row in (*sorted(rows.items(), key=lambda item: -item[1][0]), ("all", everything)):
        print(f"{name:20} {row[0] * 1e6:7.2f} us  +{row[1] * 1e6:5.2f}  {row[0] / baseline:7.2f} x stat")


if __name__ == "__main__":
    main()
