"""The defects that the project accepts for now: the session's baseline, read at its start and written at its end."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.reports import baseline
from pytest_maskcheck.reports.definitions import file_of, text_of
from pytest_maskcheck.reports.evidence import Evidence
from pytest_maskcheck.reports.source_content import digest_of, was_written_since
from pytest_maskcheck.results import Frame
from pytest_maskcheck.settings import can_be_written
from pytest_maskcheck.system.unpatched import os, time, unpatched

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_maskcheck.reports.baseline import After
    from pytest_maskcheck.results import Audit
    from pytest_maskcheck.results.briefs import Brief
    from pytest_maskcheck.session.left_out import Collected
    from pytest_maskcheck.settings import SessionSettings

UPDATE = "--maskcheck-baseline-update"


class Accepted:
    """The baseline of a session.

    Parameters:
        config: pytest's configuration.
        chosen: settings of the session.

    Attributes:
        shown: the path of its file, as shown in reports.

    Raises:
        pytest.UsageError: the file cannot be used.
    """

    def __init__(self, config: pytest.Config, chosen: SessionSettings) -> None:
        self._config = config
        self.path = chosen.baseline
        self.shown = _shown(config, chosen.baseline or "")
        self.updates: bool = config.getoption(UPDATE)
        self._baseline: baseline.Baseline | None = None
        self._file_of = partial(file_of, str(config.rootpath), tuple(sys.path))
        self._digests: dict[str, str] = {}
        self._began = time.time()
        if self.path is None:
            if self.updates:
                message = f"{UPDATE} writes the file that --maskcheck-baseline names: add it"
                raise pytest.UsageError(message)
            return
        entries = self._read(self.path)
        self._baseline = baseline.Baseline(entries, self._file_of, accepts_all=self.updates)

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
        """Return an audit with the lines and the files that it is about, and with the defects marked that are known."""
        audit = replace(audit, sources=_sources(audit), digests=self._digests_of(audit))
        return replace(audit, known=self._baseline.known(audit)) if self._baseline else audit

    def _digests_of(self, audit: Audit) -> dict[str, str]:
        """Return the digest of each file of an audit; each file is read once in a session.

        A file that was written since the session began has ``""``, as what was loaded, and so was audited, may be older.
        This also holds for an audit of an earlier session: it is used only if its lines are where they were, in the files as they are now.
        """
        known = {point.path: point.file for point in audit.points}
        with unpatched():
            for path in (*audit.reached, *audit.reached_first, *known):
                if path not in self._digests:
                    file = known.get(path) or self._file_of(path)
                    self._digests[path] = "" if was_written_since(file, self._began) else digest_of(file)
        return {path: self._digests[path] for path in dict.fromkeys((*audit.reached, *audit.reached_first, *known))}

    def after(
        self, audits: Sequence[Audit], briefs: Sequence[Brief], collected: Collected, wanted: int, *, some: bool
    ) -> After | None:
        """Return what the session has shown about the baseline; ``None`` if there is none.

        Parameters:
            audits: those of the session.
            briefs: those of earlier sessions that still hold.
            collected: what was left out before tests ran.
            wanted: how many tests were to be audited.
            some: only some tests or points were to be audited, or the session has not come to its end.
        """
        if self._baseline is None:
            return None
        left_out = collected.left_out
        left_out = replace(left_out, tests=some or left_out.tests)
        return self._baseline.after(audits, Evidence(audits, briefs, left_out, wanted, self._file_of))

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


def _shown(config: pytest.Config, path: str) -> str:
    """Return the path relative to the root directory, if it lies below it."""
    root = os.path.join(str(config.rootpath), "")
    return path.removeprefix(root)


def _sources(audit: Audit) -> dict[str, str]:
    """Return ``path:line`` -> the text of each line that a finding of the audit is about."""
    if audit.sources:  # of an earlier session
        return audit.sources
    texts: dict[str, str] = {}
    with unpatched():
        for frame in _frames(audit):
            place = f"{frame.path}:{frame.line}"
            if place not in texts:
                texts[place] = text_of(frame.file, frame.function, frame.line)
    return texts


def _frames(audit: Audit) -> Iterator[Frame]:
    points = {point.id: point for point in audit.points}
    for result in audit.results:
        if result.findings:
            point = points[result.point]
            yield Frame(point.path, point.line, point.function, point.file)
        for finding in result.findings:
            if finding.origin is not None:
                yield finding.origin.place
