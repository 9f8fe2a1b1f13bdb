"""The defects that the project accepts for now: the session's baseline, read at its start and written at its end."""

from __future__ import annotations

import linecache
import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.reports import baseline
from pytest_maskcheck.results import Frame
from pytest_maskcheck.settings import can_be_written
from pytest_maskcheck.system.unpatched import os, unpatched

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_maskcheck.reports.baseline import After
    from pytest_maskcheck.results import Audit
    from pytest_maskcheck.settings import SessionSettings

UPDATE = "--maskcheck-baseline-update"


class Accepted:
    """The baseline of a session.

    Parameters:
        config: pytest's configuration.
        chosen: settings of the session.

    Raises:
        pytest.UsageError: the file cannot be used.
    """

    def __init__(self, config: pytest.Config, chosen: SessionSettings) -> None:
        self._config = config
        self.path = chosen.baseline
        self.updates: bool = config.getoption(UPDATE)
        self._baseline: baseline.Baseline | None = None
        if self.path is None:
            if self.updates:
                message = f"{UPDATE} writes the file that --maskcheck-baseline names: add it"
                raise pytest.UsageError(message)
            return
        entries = self._read(self.path)
        file_of = partial(baseline.file_of, str(config.rootpath), tuple(sys.path))
        self._baseline = baseline.Baseline(entries, file_of, accepts_all=self.updates)

    def _read(self, path: str) -> tuple[baseline.Entry, ...]:
        if self.updates and not can_be_written(path):
            message = (
                f"--maskcheck-baseline is {path}; it must name a file in a folder that exists and can be written to"
            )
            raise pytest.UsageError(message)
        if self.updates and not os.path.exists(path):
            return ()
        try:
            return baseline.read(path)
        except baseline.BaselineError as error:
            message = f"--maskcheck-baseline: {path} {error}"
            raise pytest.UsageError(message) from None

    def mark(self, audit: Audit) -> Audit:
        """Return an audit with the lines that its findings are about, and with the defects marked that are known."""
        audit = replace(audit, sources=_sources(audit))
        return replace(audit, known=self._baseline.known(audit)) if self._baseline else audit

    def after(self, audits: Sequence[Audit], *, whole: bool) -> After | None:
        """Return what the session has shown about the baseline; ``None`` if there is none.

        Parameters:
            audits: those of the session.
            whole: no test was left out.
        """
        return self._baseline.after(audits, whole=whole) if self._baseline else None

    def write(self, after: After) -> bool:
        """Write the next baseline, if that is wanted; return whether it was.

        Raises:
            OSError: the file cannot be written.
        """
        if not self.updates or self.path is None:
            return False
        with unpatched():
            baseline.write(self.path, after.entries)
        return True


def _sources(audit: Audit) -> dict[str, str]:
    """Return ``path:line`` -> the text of each line that a finding of the audit is about."""
    if audit.sources:  # of an earlier session
        return audit.sources
    texts: dict[str, str] = {}
    with unpatched():
        for frame in _frames(audit):
            place = f"{frame.path}:{frame.line}"
            if place not in texts:
                texts[place] = _text(frame)
    return texts


def _text(frame: Frame) -> str:
    """Return the text of a line, with its number among equal lines of its function."""
    lines = [line.strip() for line in linecache.getlines(frame.file)]
    if not 0 < frame.line <= len(lines):
        return ""
    text = lines[frame.line - 1]
    number = lines[baseline.first_line(frame.file, frame.function) : frame.line].count(text)
    return f"{text} ({number})" if number > 1 else text


def _frames(audit: Audit) -> Iterator[Frame]:
    points = {point.id: point for point in audit.points}
    for result in audit.results:
        if result.findings:
            point = points[result.point]
            yield Frame(point.path, point.line, point.function, point.file)
        for finding in result.findings:
            if finding.origin is not None:
                yield finding.origin.place
