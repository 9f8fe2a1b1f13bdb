"""Line numbers in short form, and the union of the lines of several audits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def spans(lines: Iterable[int]) -> str:
    """Return line numbers in short form, such as ``3-7,9``."""
    runs: list[list[int]] = []
    for line in sorted(set(lines)):
        if runs and runs[-1][-1] == line - 1:
            runs[-1][1:] = [line]
        else:
            runs.append([line])
    return ",".join("-".join(map(str, run)) for run in runs)


def lines_of(text: str) -> list[int]:
    """Return the numbers that :func:`spans` wrote, in order."""
    runs = (run.partition("-") for run in text.split(",") if run)
    return [line for first, _, last in runs for line in range(int(first), int(last or first) + 1)]


def united(reached: Iterable[Mapping[str, Iterable[int]]]) -> dict[str, set[int]]:
    """Return, for each file, the lines that at least one of several audits has."""
    union: dict[str, set[int]] = {}
    for each in reached:
        for path, lines in each.items():
            union.setdefault(path, set()).update(lines)
    return union
