"""Measure one run with coverage.py, and read a source file as coverage does.

Both use ``Coverage`` instances of our own. These take only the scope and the exclusions from the user's configuration: an instance
started with ``patch``, ``concurrency``, plugins or contexts would act on the process.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import coverage

from pytest_maskcheck.points.coverage_config import usable_for_coverage
from pytest_maskcheck.system.plain import described
from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class NoSourceError(Exception):
    """A source file does not exist, or is not Python."""


@contextmanager
def measured(lines: dict[str, set[int]], root: str, include: list[str], omit: list[str] | None) -> Iterator[None]:
    """Measure the run in the body of the ``with`` statement.

    Parameters:
        lines: filled in when the run has ended: file -> the lines that the run reached.
        root: a directory that exists.
        include: patterns of the files to measure.
        omit: patterns of files to leave out; they win over ``include``.
    """
    # Without data file, configuration file and plugins, the measurement leaves nothing behind.
    measurement = coverage.Coverage(
        data_file=None, config_file=False, cover_pylib=True, include=include, omit=omit, check_preimported=False
    )
    measurement.set_option("run:disable_warnings", ["no-data-collected", "module-not-measured", "already-imported"])
    with usable_for_coverage(root), _without_caller():
        measurement.start()
    try:
        yield
    finally:
        measurement.stop()
        with usable_for_coverage(root), _closing_data(measurement):
            data = measurement.get_data()
            lines.update({path: set(data.lines(path) or ()) for path in data.measured_files()})


@contextmanager
def _without_caller() -> Iterator[None]:
    """Keep coverage from recording the calls that started it.

    It records them with ``inspect``, which reads the file of every module in ``sys.modules``. Code under test may have put any object
    there.
    """
    names = vars(sys.modules.get("coverage.collector", sys))
    former = names.get("short_stack")
    if former is None:
        yield
        return
    names["short_stack"] = lambda *_, **__: ""
    try:
        yield
    finally:
        names["short_stack"] = former


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
