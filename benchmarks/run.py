"""Check whether the goals for speed are met: each figure is a ratio to its baseline, measured in the same run.

Run ``python benchmarks/run.py``; ``README.md`` beside this file explains each figure. Further scripts: ``masks.py`` (what masks cost)
and ``kinds.py`` (what the kinds of leftovers cost in a run).
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from measures import MEASURES, Measure, Sides
from place import NotAvailableError, Place, place


@dataclass(frozen=True, slots=True)
class Pair:
    """Seconds of ours and of the baseline, measured directly after each other."""

    ours: float
    baseline: float


@dataclass(frozen=True, slots=True)
class Row:
    """A measure with its results.

    Parameters:
        measure: the measure.
        note: sizes, or the reason why there is no figure.
        figures: one figure for each round; empty if there is none.
        pairs: all measured pairs.
    """

    measure: Measure
    note: str
    figures: tuple[float, ...] = ()
    pairs: tuple[Pair, ...] = ()

    @property
    def figure(self) -> float:
        """The median of the figures."""
        return statistics.median(self.figures)

    @property
    def verdict(self) -> str:
        """Whether the goal is met."""
        if not self.figures:
            return "not available"
        return "met" if self.measure.met(self.figure) else "missed"

    def cells(self) -> tuple[str, ...]:
        """Return the columns of the table."""
        unit = self.measure.unit
        goal = f"{'at least' if unit == 'x faster' else 'at most'} {self.measure.goal:g} {unit}"
        names = (self.measure.name, self.measure.what, self.measure.baseline)
        if not self.figures:
            return (*names, "", "", goal, self.verdict, "", self.note)
        spread = f"{min(self.figures):.3g} to {max(self.figures):.3g}"
        ours, baseline = (
            statistics.median(getattr(pair, side) for pair in self.pairs) for side in ("ours", "baseline")
        )
        times = f"{shown(ours)} / {shown(baseline)}"
        return (*names, f"{self.figure:.3g} {unit}", spread, goal, self.verdict, times, self.note)


HEAD = ("name", "measure", "baseline", "median", "spread", "goal", "verdict", "times", "sizes")


def shown(seconds: float) -> str:
    """Return a time in a unit that suits it."""
    for factor, unit in ((1, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def one_round(measure: Measure, sides: Sides, number: int) -> list[Pair]:
    """Measure both sides in turns; the side that comes first alternates."""
    pairs = []
    for turn in range(measure.turns):
        if (number + turn) % 2:
            ours = sides.ours()
            pairs.append(Pair(ours, sides.baseline()))
        else:
            baseline = sides.baseline()
            pairs.append(Pair(sides.ours(), baseline))
    return pairs


def measured(where: Place, chosen: list[Measure], rounds: int) -> list[Row]:
    """Return the rows of all measures, measured in interleaved rounds."""
    rows: dict[str, Row] = {}
    sides: dict[str, Sides] = {}
    for measure in chosen:
        progress(f"preparing {measure.name}")
        try:
            sides[measure.name] = measure.sides(where)
            rows[measure.name] = Row(measure, sides[measure.name].note)
        except NotAvailableError as reason:
            rows[measure.name] = Row(measure, str(reason))
    for number in range(rounds):
        for name, both in sides.items():
            row = rows[name]
            progress(f"round {number + 1} of {rounds}: {name}")
            pairs = one_round(row.measure, both, number)
            figure = statistics.median(row.measure.figure(pair.ours, pair.baseline) for pair in pairs)
            rows[name] = Row(row.measure, row.note, (*row.figures, figure), (*row.pairs, *pairs))
    return list(rows.values())


def progress(text: str) -> None:
    """Show on a terminal what is being measured."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def table(rows: list[Row]) -> list[str]:
    """Return the table in Markdown, padded so that it is also readable as plain text."""
    lines = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(HEAD))]
    padded = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    return [padded[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *padded[1:]]


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def results(where: Place, rows: list[Row], rounds: int, load: tuple[float, ...], seconds: float) -> str:
    """Return the text of a results file."""
    where_and_when = (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} by `python benchmarks/run.py` in {where.words}: {rounds} interleaved rounds "
        f"in {seconds / 60:.0f} minutes, medians and spreads over rounds. The load was {load[0]:.1f} before they began, where 0 is "
        "an idle machine. Times are medians of ours and of the baseline. What each figure means: `benchmarks/README.md`."
    )
    title = f"# {platform.python_implementation()} {platform.python_version()}, {platform.system()}, {cores()} cores"
    return "\n".join([title, "", where_and_when, "", *table(rows), ""])


def main() -> None:
    """Measure, print the results, and write them if ``--write`` is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="interleaved rounds (default 5)")
    parser.add_argument("--only", action="append", metavar="NAME", choices=[measure.name for measure in MEASURES])
    parser.add_argument("--quick", action="store_true", help="one round with small sizes: to see that all works")
    parser.add_argument("--here", action="store_true", help="use the environment of this interpreter, make none")
    parser.add_argument("--write", action="store_true", help="write a results file into benchmarks/results")
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error("--rounds must be 1 or more")
    if given.quick and given.write:
        parser.error("--quick measures nothing that is worth writing: leave out --quick or --write")
    rounds = 1 if given.quick else given.rounds
    chosen = [measure for measure in MEASURES if not given.only or measure.name in given.only]
    load, begin = os.getloadavg(), time.perf_counter()
    with place(here=given.here, quick=given.quick) as where:
        rows = measured(where, chosen, rounds)
    progress("")
    text = results(where, rows, rounds, load, time.perf_counter() - begin)
    print(text)
    if given.quick:
        print("These sizes are too small for any figure to mean something.")
    if given.write:
        version = ".".join(platform.python_version_tuple()[:2])
        name = f"{platform.python_implementation()}-{version}-{sys.platform}-{cores()}-cores.md"
        file = Path(__file__).with_name("results") / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
        print(f"written to {file}")


if __name__ == "__main__":
    main()
