"""Cases: a defect that edits are tried for, the tests in which they must cure it, and the lines where they may be made."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from pytest_maskcheck.results.windows import windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_maskcheck.patches.editing import Candidate
    from pytest_maskcheck.results import SharedDefect
    from pytest_maskcheck.results.over_tests import Meeting
    from pytest_maskcheck.results.windows import Window

_TESTS = 10
"""The greatest number of tests in which an edit must cure a defect; the others that meet it are counted."""

_WINDOWS = 3
"""The number of windows of a defect that edits are tried for."""


@dataclass(slots=True, repr=False)
class Case:
    """A defect that edits are tried for.

    Parameters:
        defect: the defect, as the report has it.
        tests: those in which edits must cure it, the cheapest first.
        paths: the files that its edits are in.
        reached: the files that its tests reach.
        candidates: the edits that are still to be tried.
        steps: what the edits do that helped at some of its points.
        before: path -> its text before the first of them.
        restore: what undoes them.
    """

    defect: SharedDefect
    tests: tuple[str, ...]
    paths: frozenset[str]
    reached: frozenset[str]
    candidates: Iterator[tuple[str, Candidate]] | None = None
    steps: list[str] = field(default_factory=list)
    before: dict[str, str] = field(default_factory=dict)
    restore: Callable[[], object] | None = None

    def is_apart(self, other: Case) -> bool:
        """Return whether edits for both can be tried in one session."""
        apart = set(self.tests).isdisjoint(other.tests)
        return apart and not (self.paths & other.reached) and not (other.paths & self.reached)


def chosen(shared: SharedDefect) -> tuple[str, ...]:
    """Return the tests in which edits must cure a defect, the cheapest first."""
    first = (each.audit.test for each in sorted(shared.meetings, key=lambda each: each.cost))
    return tuple(dict.fromkeys((*first, *shared.again)))[:_TESTS]


def ways(meeting: Meeting, around: Sequence[Window]) -> Iterator[tuple[str, int]]:
    """Yield the lines that led to the defect in a test, the innermost first: of the origin, of the windows, and of their callers."""
    origin = meeting.defect.origin
    if origin is not None:
        yield origin.place.path, origin.place.line
    for window in around:
        yield window.path, window.since
    stacks = [origin.stack] if origin is not None else []
    stacks += [point.traceback for point in (meeting.defect.points[0], *(window.begins for window in around))]
    for stack in stacks:
        for frame in reversed(stack):
            yield frame.path, frame.line


def helping(meeting: Meeting) -> list[Window]:
    """Return the windows of a defect in a test, as far as they are looked at, without those that do not help."""
    return [each for each in windows(meeting.audit, meeting.defect) if each.proven is not False][:_WINDOWS]


def file_of(test: str) -> str:
    """Return the path of the file that a test is in."""
    return test.partition("::")[0]


def place(shared: SharedDefect) -> tuple[str, int]:
    """Return file and line of a defect."""
    origin = shared.defect.origin
    frames = chain([origin.place] if origin is not None else (), shared.defect.traceback[-1:])
    return next(((frame.path, frame.line) for frame in frames), ("", 0))
