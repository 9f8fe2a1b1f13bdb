"""What is known of each file over all tests of a session: the lines that were reached, interrupted, and found clean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_maskcheck.results.encoding import legible
from pytest_maskcheck.results.lines import lines_of, spans, united
from pytest_maskcheck.system.unpatched import pathlib

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from pytest_maskcheck.results.audit import Audit

_Lines = dict[str, set[int]]


@dataclass(frozen=True, slots=True)
class FileFigures:
    """The lines of one file; of a statement with several, the first one.

    Parameters:
        path: the file as shown in reports.
        file: its absolute path; ``""`` if no point is in it.
        reached: those that an uninterrupted test reached.
        interrupted: those of them at which an interrupt was delivered.
        defects: those with a point where an interrupt leads to a defect, known or not. The entry of a function is on the line of its
            ``def``, which the test itself need not have reached.
        listed: the same for findings that are only listed.
        undecided: those with a point that has no verdict.
        cleanup: those that ran only because of an interrupt: no uninterrupted test reached them. ``None`` if that was not recorded.
        is_support: the file belongs to the tests, and others that were reached do not.
    """

    path: str
    file: str
    reached: frozenset[int]
    interrupted: frozenset[int]
    defects: frozenset[int]
    listed: frozenset[int]
    undecided: frozenset[int]
    cleanup: frozenset[int] | None
    is_support: bool

    @property
    def clean(self) -> frozenset[int]:
        """Those that were interrupted with nothing found, and nothing undecided."""
        return self.interrupted - self.defects - self.listed - self.undecided

    def to_json(self) -> dict[str, str | bool | None]:
        """Return plain data, with lines such as ``3-7,9``."""
        return {
            "file": legible(self.file),
            "reached": spans(self.reached),
            "interrupted": spans(self.interrupted),
            "clean": spans(self.clean),
            "defects": spans(self.defects),
            "listed": spans(self.listed),
            "undecided": spans(self.undecided),
            "cleanup": None if self.cleanup is None else spans(self.cleanup),
            "support": self.is_support,
        }


def figures(audits: Sequence[Audit]) -> list[FileFigures]:
    """Return the figures of all files that tests have reached, by path."""
    reached = united(audit.lines_reached for audit in audits)
    interrupted = united(audit.lines_interrupted for audit in audits)
    defects: _Lines = {}
    listed: _Lines = {}
    undecided: _Lines = {}
    for audit in audits:
        lines = {point.id: line for point, line in audit.reached_lines_of(audit.points)}
        for defect in audit.defects:
            found = defects if defect.fails or defect.known else listed
            for point in defect.points:
                found.setdefault(point.path, set()).add(lines.get(point.id, point.line))
        without = {result.point for result in audit.results if result.reason}
        for point in audit.points:
            if point.id in without and point.id in lines:
                undecided.setdefault(point.path, set()).add(lines[point.id])
    cleanup = _cleanup(audits, reached)
    files = {point.path: point.file for audit in audits for point in audit.points}
    project = set(project_files(reached, {path for audit in audits for path in audit.own}))
    return [
        FileFigures(
            path=path,
            file=files.get(path, ""),
            reached=frozenset(reached.get(path, ())),
            interrupted=frozenset(interrupted.get(path, ())),
            defects=frozenset(defects.get(path, ())),
            listed=frozenset(listed.get(path, ())),
            undecided=frozenset(undecided.get(path, ())),
            cleanup=None if cleanup is None else frozenset(cleanup.get(path, ())),
            is_support=path not in project,
        )
        for path in sorted({*reached, *defects, *listed, *(cleanup or ())})
    ]


def _cleanup(audits: Iterable[Audit], reached: _Lines) -> _Lines | None:
    """Return, for each file, the lines that ran only because of an interrupt; ``None`` if no audit has recorded them."""
    recorded = [audit.cleanup_lines for audit in audits if audit.cleanup_lines is not None]
    if not recorded:
        return None
    ran = united({path: lines_of(text) for path, text in each.items()} for each in recorded)
    only = {path: lines - reached.get(path, set()) for path, lines in ran.items()}
    return {path: lines for path, lines in only.items() if lines}


def project_files(reached: Iterable[str], own: Collection[str]) -> list[str]:
    """Return the files of the code that the tests test: those that were reached, without those of the tests if there are any others.

    Parameters:
        reached: the files that were reached.
        own: those of the tests themselves.
    """
    paths = [*reached]
    return [path for path in paths if path not in own and not is_support(path)] or paths


def is_support(path: str) -> bool:
    """Return whether a file belongs to tests, by its name."""
    *folders, name = pathlib.PurePath(path).parts
    return name == "conftest.py" or not {"test", "tests"}.isdisjoint(folders)
