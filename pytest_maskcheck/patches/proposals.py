"""Proposes edits for the defects of a report: only those after which the tests concerned are audited without the defect."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from pytest_maskcheck.patches.editing import Source, with_imports
from pytest_maskcheck.patches.trial import Copy, Outcome, TrialError
from pytest_maskcheck.results.windows import windows

if TYPE_CHECKING:
    from pytest_maskcheck.patches.editing import Candidate
    from pytest_maskcheck.results import SharedDefect


@dataclass(frozen=True, slots=True)
class Proposal:
    """An edit that cured a defect.

    Parameters:
        defect: the defect.
        title: what is done.
        path: the file that is edited.
        before, after: what the audits of the test found.
    """

    defect: SharedDefect
    title: str
    path: str
    before: Outcome
    after: Outcome


@dataclass(slots=True)
class _File:
    """A file that is being edited.

    Parameters:
        original: its text.
        text: its text with the edits so far, without their imports.
        imports: what the edits use.
    """

    original: str
    text: str
    imports: list[str] = field(default_factory=list)

    def whole(self, text: str, imports: Sequence[str]) -> str:
        """Return another text of the file, with all imports."""
        return with_imports(text, [*self.imports, *imports])


class Proposals:
    """Tries edits for defects, from the end of each file to its beginning, so that an edit does not move the lines of the next one.

    Parameters:
        copy: a copy of the project.
    """

    def __init__(self, copy: Copy) -> None:
        self._copy = copy
        self._files: dict[str, _File] = {}
        self._found: dict[str, Outcome] = {}  # test -> what its audit finds as the files are now

    def make(self, defects: Sequence[SharedDefect]) -> Iterator[Proposal | SharedDefect]:
        """Yield a proposal for each defect, or the defect itself if no edit cures it."""
        for each in sorted(defects, key=_place, reverse=True):
            yield self._propose(each) or each

    def diffs(self) -> Iterator[tuple[str, str, str]]:
        """Yield path, new text and unified diff of each edited file."""
        for path, file in sorted(self._files.items()):
            new = file.whole(file.text, ())
            if new != file.original:
                lines = difflib.unified_diff(
                    file.original.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{path}", f"b/{path}"
                )
                yield path, new, "".join(lines)

    def _propose(self, shared: SharedDefect) -> Proposal | None:
        meeting = shared.cheapest
        test = meeting.audit.test
        before = self._found[test] = self._found.get(test) or self._copy.audit([test])
        if _identity(shared) not in before.identities:
            return None
        for path, candidate in self._candidates(shared):
            file = self._files[path]
            self._copy.write(path, file.whole(candidate.text, candidate.imports))
            try:
                after = self._copy.audit([test])
            except TrialError:  # the edit broke the test
                after = None
            if (
                after
                and after.sound
                and len(after.defects) < len(before.defects)
                and after.identities <= before.identities
            ):
                file.text = candidate.text
                file.imports += candidate.imports
                self._found = {test: after}
                return Proposal(shared, candidate.title, path, before, after)
            self._copy.write(path, file.whole(file.text, ()))
        return None

    def _candidates(self, shared: SharedDefect) -> Iterator[tuple[str, Candidate]]:
        """Yield path and candidate: edits of what the line of the origin acquires, then masks over the windows."""
        meeting = shared.cheapest
        origin = meeting.defect.origin
        if origin is not None and (source := self._source(origin.place.path)):
            yield from ((origin.place.path, each) for each in source.candidates(origin.place.line))
        for window in windows(meeting.audit, meeting.defect):
            if window.proven is False:
                continue
            if source := self._source(window.path):
                yield from ((window.path, each) for each in source.masked(window.since, window.until))

    def _source(self, path: str) -> Source | None:
        """Return the text of a file with the edits so far; ``None`` if it is none of the project's."""
        if path not in self._files:
            try:
                text = self._copy.read(path)
            except TrialError:
                return None
            self._files[path] = _File(text, text)
        try:
            return Source(self._files[path].text)
        except ValueError:
            return None


def _identity(shared: SharedDefect) -> tuple[str, str, str]:
    return (shared.defect.verdict, shared.defect.kind, shared.defect.key)


def _place(shared: SharedDefect) -> tuple[str, int]:
    origin = shared.defect.origin
    frames = chain([origin.place] if origin is not None else (), shared.defect.traceback[-1:])
    return next(((frame.path, frame.line) for frame in frames), ("", 0))
