"""The measures of ``run.py``: one function for each figure, and one row for each in :data:`MEASURES`.

A function writes the tests and returns two callables. Each makes one measurement in seconds: one of ours, the other of the baseline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from place import NotAvailableError, Place

Side = Callable[[], float]
RERUN = "--maskcheck-strategy=rerun"
CALLS = """
import time
from {module} import test_it
begin = time.process_time()
for _ in range({number}):
    test_it()
print(time.process_time() - begin)
"""


@dataclass(frozen=True, slots=True)
class Sides:
    """Both sides of a ratio.

    Parameters:
        ours: measures ours once, in seconds.
        baseline: measures the baseline once, in seconds.
        note: sizes, such as ``2000 points``.
    """

    ours: Side
    baseline: Side
    note: str


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure.

    Parameters:
        name: the name, for ``--only``.
        what: what is measured.
        baseline: what it is compared with.
        goal: the limit that the figure must meet.
        sides: writes the tests and returns both sides.
        unit: ``x`` (ours as a multiple of the baseline), ``x faster`` (the other way round), or ``ms more`` (the difference).
        turns: the number of pairs measured in one round; their median is the figure of the round.
        wall: times are from start to end, as processes run side by side; else processor time, which other processes disturb less.
    """

    name: str
    what: str
    baseline: str
    goal: float
    sides: Callable[[Place], Sides]
    unit: str = "x"
    turns: int = 1
    wall: bool = False

    def figure(self, ours: float, baseline: float) -> float:
        """Return the figure for a pair of times."""
        if self.unit == "ms more":
            return (ours - baseline) * 1000
        return baseline / ours if self.unit == "x faster" else ours / baseline

    def met(self, figure: float) -> bool:
        """Return whether a figure meets the goal."""
        return figure >= self.goal if self.unit == "x faster" else figure <= self.goal


# Sources

STAGES = 20
STEPS = 10
EACH = STEPS + 2
"""The number of points of one call of a stage: its entry, its steps, and the call itself."""


def source(calls: int, first: str = "pass", *, parameters: str = "", before: str = "", stage: str = "pass") -> str:
    """Return a test that calls short functions, each with :data:`EACH` points in every calling context.

    Parameters:
        calls: the number of calls.
        first: the first line of the test.
        parameters: the parameters of the test.
        before: the first line of the module.
        stage: the first line of each function.
    """
    steps = "    len('')\n" * STEPS
    stages = "".join(f"\n\ndef stage_{at}():\n    {stage}\n{steps}" for at in range(STAGES))
    lines = "".join(f"    stage_{at % STAGES}()\n" for at in range(calls))
    test = f"@pytest.mark.interrupt_safe\ndef test_it({parameters}):\n    {first}\n{lines}"
    return f"import pytest\n\n{before}\n{stages}\n\n{test}"


def calls_for(points: int) -> int:
    """Return the number of calls of stages that have about ``points`` points."""
    return max(1, points // EACH)


def timed(statement: str, seconds: float) -> str:
    """Return a statement with its ``n`` replaced such that it takes ``seconds`` on this machine."""
    names: dict[str, Callable[[int], float]] = {}
    exec(
        f"import time\ndef took(n):\n    begin = time.perf_counter()\n    {statement}\n    return time.perf_counter() - begin",
        names,
    )
    number, best = 8, 0.0
    while best < seconds:
        number *= 2
        best = min(names["took"](number) for _ in range(5))
    return statement.replace("(n)", f"({max(1, round(number * seconds / best))})")


IN_PYTHON = "for at in range(n): at * at % 7"
IN_C = "sum(range(n))"


# Audits of any length


def without_fixtures(place: Place) -> Sides:
    return against_repeat(place, place.write("test_plain.py", source(calls_for(place.size(5000)))))


def with_tmp_path(place: Place) -> Sides:
    text = source(calls_for(place.size(1000)), "path = tmp_path / 'file'", parameters="tmp_path")
    return against_repeat(place, place.write("test_tmp_path.py", text))


def against_repeat(place: Place, test: str) -> Sides:
    points = place.points(test)
    return Sides(
        lambda: place.audit(test),
        lambda: place.processor(test, f"--count={points}"),
        f"{points} points; whole commands, the start of pytest included on both sides",
    )


def body_of_5_ms(place: Place) -> Sides:
    calls = calls_for(place.size(2000))
    test = place.write("test_body.py", source(calls, stage=timed(IN_PYTHON, 0.005 / calls)))
    points = place.points(test)
    plain = place.write("plain_calls.py", CALLS.format(module="test_body", number=points))
    return Sides(
        lambda: place.audit(test),
        lambda: float(place.run(place.python, plain).output),
        f"{points} points; the whole command against as many full calls alone, where a run ends at its point: half-way on average",
    )


def points_doubled(place: Place) -> Sides:
    calls = calls_for(place.size(2000))
    way = timed(IN_C, 0.002)
    once = place.write("test_once.py", source(calls, way))
    twice = place.write("test_twice.py", source(2 * calls, way))
    return Sides(
        lambda: place.audit(twice),
        lambda: place.audit(once),
        f"{place.points(twice)} points against {place.points(once)}, 2 ms a run",
    )


def heap(place: Place) -> Sides:
    calls = calls_for(place.size(2200))
    full = place.write("test_full.py", source(calls, before="HEAP = [[at] for at in range(1_000_000)]"))
    empty = place.write("test_empty_heap.py", source(calls))
    points = place.points(empty)
    few = points // 10

    def a_run(test: str) -> float:
        """Return the seconds of one run, from the difference between audits of all points and of few."""
        return max(place.audit(test) - place.audit(test, f"--maskcheck-max-points={few}"), 1e-9) / (points - few)

    return Sides(
        lambda: a_run(full),
        lambda: a_run(empty),
        f"one run, as the difference between audits of {points} and {few} points; the heap is there at import",
    )


# Long tests


def snapshots(place: Place) -> Sides:
    place.require("--maskcheck-strategy")
    test = place.write("test_way.py", source(calls_for(place.size(300)), timed(IN_C, 0.3)))
    snapshot = "--maskcheck-strategy=snapshot"
    points = place.points(test, snapshot)
    few, more = max(1, points // 30), max(2, points // 10)

    def rerun() -> float:
        first, second = (place.audit_wall(test, RERUN, f"--maskcheck-max-points={number}") for number in (few, more))
        return second + (second - first) / (more - few) * (points - more)

    return Sides(
        lambda: place.audit_wall(test, snapshot),
        rerun,
        f"{points} points; rerun is extrapolated from audits of {few} and {more} points",
    )


def harness(place: Place) -> Sides:
    parts = place.size(100)
    line = f"    {timed(IN_PYTHON, 0.05 / (parts * STEPS))}\n"
    functions = "".join(f"\n\ndef part_{at}():\n{line * STEPS}" for at in range(parts))
    calls = "".join(f"    part_{at}()\n" for at in range(parts))
    text = f"import pytest{functions}\n\n@pytest.mark.interrupt_safe(hits=1, points='line')\ndef test_it():\n{calls}"
    test = place.write("test_lines.py", text)
    every = 2 if place.quick else 50
    script = str(Path(__file__).with_name("harness.py"))

    def plain() -> float:
        reached, runs, seconds = place.run(place.python, script, test, "test_it", str(every)).output.split()
        return float(seconds) * int(reached) / int(runs)

    return Sides(
        lambda: place.audit(test),
        plain,
        f"{place.points(test)} points; the harness raises at every {every}th line, and counts {every} times",
    )


def spread(place: Place) -> Sides:
    calls = calls_for(place.size(1000))
    test = place.write("test_spread.py", source(calls, stage=timed(IN_C, 0.05 / calls)))
    try:
        place.require("--maskcheck-strategy")
        how = (RERUN,)
    except NotAvailableError:
        how = ()
    points = place.points(test, *how, "-n0")
    return Sides(
        lambda: place.audit_wall(test, *how, "-n2"),
        lambda: place.audit_wall(test, *how, "-n0"),
        f"{points} points, 50 ms a full run, {' '.join(how)}",
    )


# Without --maskcheck

OFF = ("-p", "no:maskcheck")


def require_installed(place: Place) -> None:
    if place.load:
        message = "the package is not installed in this environment"
        raise NotAvailableError(message)


def off(place: Place) -> Sides:
    require_installed(place)
    test = place.write("test_empty.py", "")
    return Sides(
        lambda: place.processor("--co", test),
        lambda: place.processor("--co", test, *OFF),
        "what the plugin itself takes",
    )


def installed(place: Place) -> Sides:
    if not place.bare:
        message = "there is no environment without the package"
        raise NotAvailableError(message)
    test = place.write("test_empty.py", "")
    return Sides(
        lambda: place.processor("--co", test),
        lambda: place.processor("--co", test, python=place.bare),
        "with what pytest takes to look through the list of the package's files",
    )


def each_test(place: Place) -> Sides:
    require_installed(place)
    tests = place.size(2000)
    suite = place.write("test_suite.py", "".join(f"def test_{at}(): pass\n" for at in range(tests)))
    return Sides(
        lambda: place.processor(suite),
        lambda: place.processor(suite, *OFF),
        f"{tests} empty tests",
    )


MEASURES = (
    Measure(
        "plain",
        "audit of a function without fixtures",
        "pytest-repeat, --count of as many",
        0.35,
        without_fixtures,
    ),
    Measure("tmp_path", "audit of a test with tmp_path", "pytest-repeat, --count of as many", 0.7, with_tmp_path),
    Measure("body", "audit of a test of 5 ms in Python, in scope", "as many plain calls", 1.0, body_of_5_ms),
    Measure(
        "snapshot",
        "a way of 300 ms to 300 points, snapshot",
        "the same, rerun",
        40,
        snapshots,
        "x faster",
        wall=True,
    ),
    Measure("doubled", "audit of twice the points", "audit of the points", 2.1, points_doubled),
    Measure("heap", "a run with a million more objects", "a run without them", 1.1, heap),
    Measure(
        "harness",
        "1,000 lines of a test of 50 ms, points=line",
        "a plain sys.settrace harness",
        10,
        harness,
        "x faster",
    ),
    Measure("xdist", "one long test, -n2", "the same, -n0", 1.8, spread, "x faster", wall=True),
    Measure("off", "pytest --co of an empty file, nothing audited", "-p no:maskcheck", 3, off, "ms more", 20),
    Measure("installed", "pytest --co of an empty file, installed", "not installed", 3, installed, "ms more", 20),
    Measure("suite", "2,000 empty tests, nothing audited", "-p no:maskcheck", 1.02, each_test, turns=3),
)
