"""The machine that measures: its cores, its load, and the names of the files with its results."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

ROUNDS = 5
"""Results that are kept need at least so many rounds."""

_IDLE = 0.5
"""A machine with a higher load than this for each core is not idle."""


def add_options(parser: argparse.ArgumentParser, rounds: int) -> None:
    """Add the options that all measurements have."""
    parser.add_argument("--rounds", type=int, default=rounds, metavar="N", help=f"rounds (default {rounds})")
    parser.add_argument("--loaded", action="store_true", help="measure although the machine is loaded")
    parser.add_argument("--write", action="store_true", help="write a results file into benchmarks/results")


def check(parser: argparse.ArgumentParser, given: argparse.Namespace) -> float:
    """Refuse options and a machine that give no useful figures; return the load of the machine."""
    quick = getattr(given, "quick", False)
    if given.rounds < 1:
        parser.error("--rounds must be 1 or more")
    if quick and given.write:
        parser.error("--quick measures nothing that is worth writing: leave out --quick or --write")
    if given.write and given.rounds < ROUNDS:
        parser.error(f"--write keeps results of {ROUNDS} rounds and more: leave out --write, or give --rounds={ROUNDS}")
    now = load()
    if now > _IDLE * cores() and not (given.loaded or quick):
        parser.error(
            f"the load is {now:.1f} on {cores()} cores, where {_IDLE * cores():.1f} is the most for figures that mean something: "
            "wait until the machine is idle, or measure with --loaded"
        )
    return now


def load() -> float:
    """Return the load of the last minute: 0 is an idle machine."""
    return os.getloadavg()[0]


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def title() -> str:
    """Return the name of interpreter and machine, as the title of results."""
    return f"{platform.python_implementation()} {platform.python_version()}, {platform.system()}, {cores()} cores"


def load_text(before: float) -> str:
    """Return a sentence on the load."""
    return f"The load was {before:.1f} before they began, where 0 is an idle machine."


def write(text: str, suffix: str = "") -> None:
    """Write a results file."""
    version = ".".join(platform.python_version_tuple()[:2])
    name = f"{platform.python_implementation()}-{version}-{sys.platform}-{cores()}-cores{suffix}.md"
    file = Path(__file__).with_name("results") / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    print(f"written to {file}")


def table(*lines: tuple[str, ...]) -> list[str]:
    """Return a table in Markdown, padded so that it is also readable as plain text; the first line is its head."""
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    padded = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    return [padded[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *padded[1:]]


def shown(seconds: float) -> str:
    """Return a time in a unit that suits it."""
    for factor, unit in ((1, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def progress(text: str) -> None:
    """Show on a terminal what is being measured."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
