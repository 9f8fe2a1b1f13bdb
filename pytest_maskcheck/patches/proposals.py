"""Proposes edits for the defects of a report: only those after which the tests concerned are audited without the defect.

Starting pytest takes longer than most audits. So edits of several defects are tried in one session, if none of them can change what the test
of another one does: no test of the round reaches a file that is edited for another. Within a file, defects are tried from its end to its
beginning. A mask may help at some points of a defect only: then it is kept, and what is tried next is found anew from the audit with it. If
the defect is not gone at last, all of its edits are undone.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import chain
from typing import TYPE_CHECKING

from pytest_maskcheck.patches.editing import Source
from pytest_maskcheck.patches.trial import Copy, Outcome, TrialError
from pytest_maskcheck.results import Verdict
from pytest_maskcheck.results.windows import windows

if TYPE_CHECKING:
    from pytest_maskcheck.patches.editing import Candidate
    from pytest_maskcheck.results import SharedDefect
    from pytest_maskcheck.results.windows import Window


_WINDOWS = 3
"""The number of windows of a defect that edits are tried for."""

_STEPS = 6
"""The number of edits that together cure a defect."""

_CANDIDATES = 16
"""The number of edits that are tried for a defect, before one helps and after it."""


class End(Enum):
    """How the search for an edit ended."""

    CURED = "an edit cures it"
    GONE = "an edit of another defect cured it"
    NOT_MET = "the test does not meet it in the copy"
    ELSEWHERE = "no code of the project has it"
    UNCURED = "no edit that was tried cures it"


@dataclass(frozen=True, slots=True)
class Proposal:
    """What was found for a defect.

    Parameters:
        defect: the defect.
        end: how the search ended.
        title: what is done; ``""`` if there is no edit.
    """

    defect: SharedDefect
    end: End
    title: str = ""


@dataclass(slots=True)
class _File:
    """A file that is being edited.

    Parameters:
        original: its text.
        text: its text with the edits so far.
    """

    original: str
    text: str


@dataclass(slots=True, repr=False)
class _Case:
    """A defect that edits are tried for.

    Parameters:
        defect: the defect, as the report has it.
        paths: the files that its edits are in.
        reached: the files that its test reaches.
        candidates: the edits that are still to be tried.
        steps: what the edits do that helped at some of its points.
        restore: what undoes them.
    """

    defect: SharedDefect
    paths: frozenset[str]
    reached: frozenset[str]
    candidates: Iterator[tuple[str, Candidate]] | None = None
    steps: list[str] = field(default_factory=list)
    restore: Callable[[], object] | None = None

    @property
    def test(self) -> str:
        """The test in which the defect is met."""
        return self.defect.cheapest.audit.test

    def is_apart(self, other: _Case) -> bool:
        """Return whether edits for both can be tried in one session."""
        return self.test != other.test and not (self.paths & other.reached) and not (other.paths & self.reached)


class Proposals:
    """Tries edits for defects.

    Parameters:
        copy: a copy of the project.
    """

    def __init__(self, copy: Copy) -> None:
        self._copy = copy
        self._files: dict[str, _File] = {}
        self._found: dict[str, Outcome] = {}  # test -> what its audit finds as the files are now
        self._reached: dict[str, set[str]] = {}  # test -> files
        self._edited: set[str] = set()

    def make(self, defects: Sequence[SharedDefect]) -> Iterator[Proposal]:
        """Yield a proposal for each defect, also if no edit cures it."""
        todo = [self._case(each) for each in sorted(defects, key=_place, reverse=True)]
        while todo:
            chosen: list[_Case] = []
            for number, case in enumerate(todo):
                in_turn = not any(case.paths & before.paths for before in todo[:number])
                if in_turn and all(case.is_apart(other) for other in chosen):
                    chosen.append(case)
            for made in self._round(chosen):
                todo = [case for case in todo if case.defect is not made.defect]
                yield made

    def diffs(self) -> Iterator[tuple[str, str, str]]:
        """Yield path, new text and unified diff of each edited file."""
        for path, file in sorted(self._files.items()):
            if file.text != file.original:
                old, new = (text.splitlines(keepends=True) for text in (file.original, file.text))
                yield path, file.text, "".join(difflib.unified_diff(old, new, f"a/{path}", f"b/{path}"))

    def _case(self, shared: SharedDefect) -> _Case:
        audit = shared.cheapest.audit
        reached = {*audit.reached, *audit.own, audit.test.partition("::")[0]}
        self._reached.setdefault(audit.test, set()).update(reached)
        paths = {path for path, _ in _ways(shared, _helping(shared)) if self._source(path)}
        # A mask in the test around a call of what is tested would only hide the defect.
        return _Case(shared, frozenset(paths - {*audit.own} or paths), frozenset(reached))

    def _round(self, cases: Sequence[_Case]) -> Iterator[Proposal]:
        """Try the next edit for each of these defects; yield those whose search is over."""
        self._look([case.test for case in cases if case.paths])
        trying: list[tuple[_Case, str, Candidate]] = []
        for case in cases:
            if not case.paths:
                yield Proposal(case.defect, End.ELSEWHERE)
            elif (now := self._now(case)) is None:
                yield Proposal(case.defect, End.GONE if case.reached & self._edited else End.NOT_MET)
            elif (found := self._next(case, now)) is None:
                if case.restore is not None:
                    case.restore()
                yield Proposal(case.defect, End.UNCURED)
            else:
                trying.append((case, *found))
        for _, path, candidate in trying:
            self._copy.write(path, candidate.whole)
        outcomes = self._audited([case.test for case, _, _ in trying], strict=False)
        for case, path, candidate in trying:
            file, before, after = self._files[path], self._found[case.test], outcomes.get(case.test)
            helps = after is not None and (
                after.is_progress(before, case.defect) if candidate.is_mask else after.is_cured(before, case.defect)
            )
            if after is None or not helps or len(case.steps) == _STEPS:
                self._copy.write(path, file.text)
                continue
            if case.restore is None:
                case.restore = self._restoring(case)
            file.text = candidate.whole
            case.steps.append(candidate.title)
            case.candidates = None  # the others are found anew, where the lines are now
            self._found[case.test] = after
            if after.is_cured(before, case.defect):
                self._edited |= case.paths
                known = self._found.items()
                apart = {test: found for test, found in known if not (case.paths & self._reached[test])}
                self._found = {**apart, case.test: after}
                yield Proposal(case.defect, End.CURED, "; ".join(dict.fromkeys(case.steps)))

    def _now(self, case: _Case) -> SharedDefect | None:
        """Return a defect as the test meets it now."""
        found = self._found.get(case.test)
        return found.find(case.defect) if found is not None else None

    def _restoring(self, case: _Case) -> Callable[[], object]:
        """Return a function that undoes all edits for a defect from here on."""
        before = self._found[case.test]
        texts = {path: self._files[path].text for path in case.paths}

        def restore() -> None:
            self._found[case.test] = before
            for path, text in texts.items():
                self._files[path].text = text
                self._copy.write(path, text)

        return restore

    def _look(self, tests: Sequence[str]) -> None:
        """Audit those of the tests of which it is not known what they meet as the files are now."""
        self._found |= self._audited([test for test in tests if test not in self._found], strict=True)

    def _audited(self, tests: Sequence[str], *, strict: bool) -> dict[str, Outcome]:
        """Audit these tests; one by one if they cannot be audited together. A test that an edit broke is left out.

        Raises:
            TrialError: a test cannot be audited, and nothing was edited that can be the reason.
        """
        if not tests:
            return {}
        try:
            return self._copy.audit(tests)
        except TrialError:
            if len(tests) == 1:
                if strict:
                    raise
                return {}
        return {name: found for test in tests for name, found in self._audited([test], strict=strict).items()}

    def _next(self, case: _Case, now: SharedDefect) -> tuple[str, Candidate] | None:
        """Return path and text of the next edit to be tried for a defect, which is ``now`` as the files are now."""
        if case.candidates is None:
            case.candidates = self._candidates(case, now)
        return next(case.candidates, None)

    def _candidates(self, case: _Case, now: SharedDefect) -> Iterator[tuple[str, Candidate]]:
        """Yield path and candidate, each once: edits of what acquires, from the inside out, then masks over the windows and around calls."""
        defect = now.defect
        windows = _helping(now)
        lines = [(path, line) for path, line in dict.fromkeys(_ways(now, windows)) if path in case.paths]
        if defect.verdict is Verdict.SWALLOWED and defect.kind != "finalizer" and defect.origin is not None:
            # A mask would help, too: it would hide that the code catches what it should not.
            place = defect.origin.place
            if source := self._source(place.path):
                yield from ((place.path, each) for each in source.narrowed(place.line))
            return
        spans = dict.fromkeys(
            (window.path, window.since, window.until) for window in windows if window.path in case.paths
        )
        spans |= dict.fromkeys((path, line, line) for path, line in lines)
        tried: set[tuple[str, str]] = set()
        for path, candidate in chain(self._of_shapes(lines), self._of_masks(spans)):
            if (path, candidate.text) not in tried:
                tried.add((path, candidate.text))
                yield path, candidate
            if len(tried) == _CANDIDATES:
                return

    def _of_shapes(self, lines: Iterable[tuple[str, int]]) -> Iterator[tuple[str, Candidate]]:
        for path, line in lines:
            if source := self._source(path):
                yield from ((path, each) for each in source.candidates(line))

    def _of_masks(self, spans: Iterable[tuple[str, int, int | None]]) -> Iterator[tuple[str, Candidate]]:
        for path, first, last in spans:
            if source := self._source(path):
                yield from ((path, each) for each in source.masked(first, last))

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


def _ways(shared: SharedDefect, windows: Sequence[Window]) -> Iterator[tuple[str, int]]:
    """Yield the lines that led to the defect, the innermost first: of the origin, of the windows, and of their callers."""
    meeting = shared.cheapest
    origin = meeting.defect.origin
    if origin is not None:
        yield origin.place.path, origin.place.line
    for window in windows:
        yield window.path, window.since
    stacks = [origin.stack] if origin is not None else []
    stacks += [point.traceback for point in (meeting.defect.points[0], *(window.begins for window in windows))]
    for stack in stacks:
        for frame in reversed(stack):
            yield frame.path, frame.line


def _helping(shared: SharedDefect) -> list[Window]:
    """Return the windows of a defect, as far as they are looked at, without those that do not help."""
    meeting = shared.cheapest
    return [each for each in windows(meeting.audit, meeting.defect) if each.proven is not False][:_WINDOWS]


def _place(shared: SharedDefect) -> tuple[str, int]:
    origin = shared.defect.origin
    frames = chain([origin.place] if origin is not None else (), shared.defect.traceback[-1:])
    return next(((frame.path, frame.line) for frame in frames), ("", 0))
