"""One name for a thing whose name differs in each run: patterns that fit both watched runs and failing ones."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from pytest_maskcheck.audit.naming import PatternSearch, named
from pytest_maskcheck.interrupts import Strike
from pytest_maskcheck.resources import Leftover
from pytest_maskcheck.resources.known_patterns import Patterns
from pytest_maskcheck.results import Finding, Frame, Origin, Point, Verdict
from pytest_maskcheck.runs.requests import RunResult
from pytest_maskcheck.runs.sightings import Sighting

POINT = Point("a.py:1:call#1", "a.py", "/a.py", 1, "call", 1, "f")


def watched(**keys: int) -> RunResult:
    """Return a watched run that left files in a directory ``d``; ``keys`` has the name of each and the line that made it."""
    frames = {f"d/{key}": Frame("a.py", line, "f", "/a.py") for key, line in keys.items()}
    leftovers = tuple(Leftover("path", key, f"file {key}", None) for key in frames)
    sightings = {("path", key): Sighting(key, (1, 1), Origin((frame,), frame)) for key, frame in frames.items()}
    return RunResult(Strike(), leaked=leftovers, sightings=sightings)


class Watched:
    """An executor that returns the runs it was created with, in order."""

    clean = True

    def __init__(self, *runs: RunResult) -> None:
        self.left = list(runs)

    def runs(self, requests: Sequence[object], last: object) -> Generator[RunResult, None, None]:
        """Make the runs of one process."""
        yield from (self.left.pop(0) for _ in requests)


def names(runs: Sequence[RunResult], earlier: Sequence[str], now: Sequence[str]) -> list[str]:
    """Return the names given to the leftovers of two failing runs after a comparison with watched ones."""
    search = PatternSearch(Watched(*runs), {"path"}, Patterns())
    findings = [[Finding(Verdict.LEAK, "path", key, "") for key in keys] for keys in (earlier, now)]
    search.compare(POINT, *findings, ())
    return [named(each, search.patterns).key for run in findings for each in run]


def test_runs_that_were_watched_may_all_have_happened_to_look_alike() -> None:
    """Leftovers from one line have one name, even if the names in all watched runs differ in shape from those in the failing runs."""
    runs = [watched(**{key: 7}) for key in ("#a.x", "#b#.x", "c#.x")]
    assert len({*names(runs, ["d/#e-old"], ["d/f#.part.y"])}) == 1


def test_of_two_origins_each_has_its_own_name() -> None:
    """With two origins, a name that no pattern matches is not attributed to either of them."""
    runs = [watched(**{f"#{letter}.x": 7, f"{letter}#.z": 9}) for letter in "abc"]
    assert len({*names(runs, ["d/#e-old"], ["d/f#.part.y"])}) == 2


def test_runs_that_leave_more_than_a_watched_one_are_not_from_its_line() -> None:
    """If a failing run leaves more than a watched one, the names are not unified: the second thing may be left only by an interrupt."""
    runs = [watched(**{key: 7}) for key in ("#a.x", "#b#.x", "c#.x")]
    assert len({*names(runs, ["d/#e-old", "d/log"], ["d/f#.part.y", "d/raw"])}) > 1
