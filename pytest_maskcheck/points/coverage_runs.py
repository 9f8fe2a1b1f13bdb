"""Measure one run with coverage.py, and read a source file as coverage does.

Both use ``Coverage`` instances of our own. These take only the scope and the exclusions from the user's configuration: an instance
started with ``patch``, ``concurrency``, plugins or contexts would act on the process.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import coverage

from pytest_maskcheck.points.coverage_config import usable_for_coverage
from pytest_maskcheck.system.plain import described
from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class NoSourceError(Exception):
    """A source file does not exist, or is not Python."""


def prepared(root: str, include: list[str], omit: list[str] | None) -> coverage.Coverage | None:
    """Return a measurement that is ready to start, once, here or in a process that is forked later.

    Starting anew, coverage looks for the places of the standard library and of installed packages, which takes ten milliseconds.

    Parameters:
        root, include, omit: as for :func:`measured`.

    Returns:
        The measurement; ``None`` if this version of coverage cannot be made ready beforehand.
    """
    measurement = _new(include, omit)
    try:
        # Private names, see tests/points/test_reach.py; ``start`` calls them, too.
        with usable_for_coverage(root), _without_traces():
            measurement._init()  # noqa: SLF001
            measurement._init_for_start()  # noqa: SLF001
        measurement._inited_for_start = True  # noqa: SLF001
    except AttributeError:
        return None
    return measurement


@contextmanager
def measured(
    lines: dict[str, set[int]],
    root: str,
    include: list[str],
    omit: list[str] | None,
    ready: coverage.Coverage | None = None,
) -> Iterator[None]:
    """Measure the run in the body of the ``with`` statement.

    Parameters:
        lines: filled in when the run has ended: file -> the lines that the run reached.
        root: a directory that exists.
        include: patterns of the files to measure.
        omit: patterns of files to leave out; they win over ``include``.
        ready: the measurement that :func:`prepared` returned for the same patterns.
    """
    measurement = ready or _new(include, omit)
    with usable_for_coverage(root), _without_traces():
        measurement.start()
    try:
        yield
    finally:
        measurement.stop()
        with usable_for_coverage(root), _closing_data(measurement):
            if not _flushed(measurement, lines):
                data = measurement.get_data()
                lines.update({path: set(data.lines(path) or ()) for path in data.measured_files()})


def _new(include: list[str], omit: list[str] | None) -> coverage.Coverage:
    # Without data file, configuration file and plugins, the measurement leaves nothing behind.
    measurement = coverage.Coverage(
        data_file=None, config_file=False, cover_pylib=True, include=include, omit=omit, check_preimported=False
    )
    measurement.set_option("run:disable_warnings", ["no-data-collected", "module-not-measured", "already-imported"])
    return measurement


class _Lines:
    """Takes what a collector of coverage has measured, in place of ``CoverageData``, which would put it into a database."""

    def __init__(self, lines: dict[str, set[int]]) -> None:
        self._lines = lines

    def set_context(self, context: str | None) -> None:
        """Do nothing: we measure without contexts."""

    def add_lines(self, found: Mapping[str, Iterable[int]]) -> None:
        """Take the lines of each file."""
        self._lines.update({path: set(numbers) for path, numbers in found.items()})

    def add_file_tracers(self, tracers: Mapping[str, str]) -> None:
        """Do nothing: we measure without plugins."""


def _flushed(measurement: coverage.Coverage, lines: dict[str, set[int]]) -> bool:
    """Fill in ``lines`` from the collector itself, in a tenth of the time; return whether this version of coverage allows it."""
    collector: Any = getattr(measurement, "_collector", None)
    try:
        collector.use_data(_Lines(lines), None)
        collector.flush_data()
    except AttributeError:
        lines.clear()
        return False
    return True


@contextmanager
def _without_traces() -> Iterator[None]:
    """Keep coverage from recording the calls that started it, and from registering a function that keeps each measurement alive.

    It records the calls with ``inspect``, which reads the file of every module in ``sys.modules``. Code under test may have put any
    object there.
    """
    instead = {
        ("coverage.collector", "short_stack"): lambda *_, **__: "",
        ("coverage.control", "atexit"): SimpleNamespace(register=lambda *_: None),
    }
    former = []
    for (module, name), value in instead.items():
        names = vars(sys.modules.get(module, sys))
        if name in names:
            former.append((names, name, names[name]))
            names[name] = value
    try:
        yield
    finally:
        for names, name, value in former:
            names[name] = value


def lines_of(path: str, exclusions: Iterable[str]) -> tuple[list[int], list[int]]:
    """Return the first lines of the statements of a file, and the lines that the patterns ``exclusions`` exclude.

    Raises:
        NoSourceError: there is no such file, or it is not Python.
    """
    if not os.path.isfile(path):  # opening a FIFO would block until a writer opens it
        raise NoSourceError(path)
    reader = coverage.Coverage(data_file=None, config_file=False)
    reader.clear_exclude()
    for pattern in exclusions:
        reader.exclude(pattern)
    with _closing_data(reader):
        try:
            _, lines, excluded, *_ = reader.analysis2(path)
        except Exception as error:  # noqa: BLE001  (encodings and the tokenizer raise more than coverage translates)
            raise NoSourceError(described(error)) from None
    return lines, excluded


@contextmanager
def _closing_data(measurement: coverage.Coverage) -> Iterator[None]:
    """Close the data of a measurement at the end; data left open warns when it is garbage-collected."""
    try:
        yield
    finally:
        measurement.get_data().close(force=True)
