"""Check whether the goals for speed are met: each figure is a ratio to its baseline, measured in the same run.

Run ``python benchmarks/run.py``; ``README.md`` beside this file explains each figure. Further scripts: ``masks.py`` (what masks cost)
and ``kinds.py`` (what the kinds of leftovers cost in a run).
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from machine import add_options, check, load_text, progress, shown, table, title, write
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
        kind = "wall" if self.measure.wall else "processor"
        if not self.figures:
            return (*names, "", "", goal, self.verdict, "", self.note)
        spread = f"{min(self.figures):.3g} to {max(self.figures):.3g}"
        ours, baseline = (
            statistics.median(getattr(pair, side) for pair in self.pairs) for side in ("ours", "baseline")
        )
        times = f"{shown(ours)} / {shown(baseline)} ({kind})"
        return (*names, f"{self.figure:.3g} {unit}", spread, goal, self.verdict, times, self.note)


HEAD = ("name", "measure", "baseline", "median", "spread", "goal", "verdict", "times", "sizes")


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


def results(where: Place, rows: list[Row], rounds: int, load: float, seconds: float) -> str:
    """Return the text of a results file."""
    where_and_when = (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} by `python benchmarks/run.py` in {where.words}: {rounds} interleaved rounds "
        f"in {seconds / 60:.0f} minutes, medians and spreads over rounds. {load_text(load)} Times are medians of ours and of the "
        "baseline: processor time, or from start to end (wall). What each figure means: `benchmarks/README.md`."
    )
    return "\n".join([f"# {title()}", "", where_and_when, "", *table(HEAD, *(row.cells() for row in rows)), ""])


def main() -> None:
    """Measure, print the results, and write them if ``--write`` is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, rounds=5)
    parser.add_argument("--only", action="append", metavar="NAME", choices=[measure.name for measure in MEASURES])
    parser.add_argument("--quick", action="store_true", help="one round with small sizes: to see that all works")
    parser.add_argument("--here", action="store_true", help="use the environment of this interpreter, make none")
    given = parser.parse_args()
    load = check(parser, given)
    rounds = 1 if given.quick else given.rounds
    chosen = [measure for measure in MEASURES if not given.only or measure.name in given.only]
    begin = time.perf_counter()
    print(load_text(load))
    with place(here=given.here, quick=given.quick) as where:
        rows = measured(where, chosen, rounds)
    progress("")
    text = results(where, rows, rounds, load, time.perf_counter() - begin)
    print(text)
    if given.quick:
        print("These sizes are too small for any figure to mean something.")
    if given.write:
        write(text)


if __name__ == "__main__":
    main()
