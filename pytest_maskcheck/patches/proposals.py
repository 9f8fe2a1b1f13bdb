"""Proposes edits for the defects of a report: only those after which the tests concerned are audited without the defect.

Starting pytest takes longer than most audits. So edits of several defects are tried in one session, if none of them can change what the test
of another one does: no test of the round reaches a file that is edited for another. Within a file, defects are tried from its end to its
beginning. A mask may help at some points of a defect only, and any edit in some of the tests that meet it: then it is kept, and what is tried
next is found anew from the audit with it. If the defect is not gone from all of these tests at last, all of its edits are undone.

An edit must also leave every test of the suite passing that passed before. The audits cannot show that: they see the tests that meet the
defect, but a test that is not audited may take another way through the edited code.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import Enum
from itertools import chain
from typing import TYPE_CHECKING

from pytest_maskcheck.patches.cases import Case, chosen, file_of, helping, place, ways
from pytest_maskcheck.patches.editing import Source
from pytest_maskcheck.patches.trial import Copy, Outcome, TrialError
from pytest_maskcheck.results import Edit, Verdict

if TYPE_CHECKING:
    from pytest_maskcheck.patches.editing import Candidate
    from pytest_maskcheck.results import Audit, SharedDefect


_STEPS = 6
"""The number of edits that together cure a defect."""

_CANDIDATES = 16
"""The number of edits that are tried for a defect, before one helps and after it."""


class End(Enum):
    """How the search for an edit ended."""

    CURED = "an edit cures it"
    GONE = "an edit of another defect cured it"
    NOT_MET = "the test does not meet it in the copy"
    NOT_PASSING = "none of its tests passes in the copy"
    ELSEWHERE = "no code of the project has it"
    UNCURED = "no edit that was tried cures it"


@dataclass(frozen=True, slots=True)
class Proposal:
    """What was found for a defect.

    Parameters:
        defect: the defect.
        end: how the search ended.
        title: what is done; ``""`` if there is no edit.
        tests: the tests that it was tried in.
        edit: the edit that cures it, if there is one; also that of another defect, if it can only have been that one.
    """

    defect: SharedDefect
    end: End
    title: str = ""
    tests: tuple[str, ...] = ()
    edit: Edit | None = None


@dataclass(frozen=True, slots=True)
class Edited:
    """A file that edits change.

    Parameters:
        path: its path below the root.
        before, after: its content as it was copied, and with the edits.
        diff: the unified diff.
    """

    path: str
    before: bytes
    after: bytes
    diff: str


@dataclass(slots=True, repr=False)
class _File:
    """A file that is being edited.

    Parameters:
        original: its text.
        text: its text with the edits so far.
    """

    original: str
    text: str


@dataclass(frozen=True, slots=True)
class _Trial:
    """An edit that is being tried.

    Parameters:
        case: the defect.
        test: a test that still meets it.
        path: the file that is edited.
        candidate: the edit.
    """

    case: Case
    test: str
    path: str
    candidate: Candidate


class Proposals:
    """Tries edits for defects.

    Parameters:
        copy: a copy of the project.
        audits: those of the report.
    """

    def __init__(self, copy: Copy, audits: Iterable[Audit]) -> None:
        self._copy = copy
        self._files: dict[str, _File] = {}
        self._found: dict[str, Outcome] = {}  # test -> what its audit finds as the files are now
        self._names: dict[str, str] = {}  # path, perhaps of a symbolic link -> path
        self._reached = {
            audit.test: {*map(self._name, (*audit.reached, *audit.own, file_of(audit.test)))} for audit in audits
        }
        self._passing: frozenset[str] = frozenset()  # the tests that pass without edits
        self._edited: set[str] = set()
        self._cures: list[tuple[frozenset[str], Edit]] = []  # the files that each edit may be in, and the edit

    def make(self, defects: Sequence[SharedDefect]) -> Iterator[Proposal]:
        """Yield a proposal for each defect, also if no edit cures it."""
        todo = [self._case(each) for each in sorted(defects, key=place, reverse=True)]
        if any(case.paths for case in todo):
            self._passing = self._copy.passing()
        for case in todo:
            case.tests = tuple(test for test in case.tests if test in self._passing)
        while todo:
            chosen: list[Case] = []
            for number, case in enumerate(todo):
                in_turn = not any(case.paths & before.paths for before in todo[:number])
                if in_turn and all(case.is_apart(other) for other in chosen):
                    chosen.append(case)
            for made in self._round(chosen):
                todo = [case for case in todo if case.defect is not made.defect]
                yield made

    def edited(self) -> Iterator[Edited]:
        """Yield the files that edits change."""
        for path, file in sorted(self._files.items()):
            if file.text != file.original:
                yield self._change(path, file.original, file.text)

    def _change(self, path: str, old: str, new: str) -> Edited:
        before, after = (self._copy.encoded(path, text) for text in (old, new))
        try:  # with a byte order mark, which is in the first line of the diff, too
            diff = _diff(path, before.decode(), after.decode())
        except UnicodeDecodeError:
            diff = _diff(path, old, new)
        return Edited(path, before, after, diff)

    def _case(self, shared: SharedDefect) -> Case:
        tests = chosen(shared)
        reached = {path for test in tests for path in self._reached.get(test, {self._name(file_of(test))})}
        meetings = [each for each in shared.meetings if each.audit.test in tests]
        lines = (line for each in meetings for line in ways(each, helping(each)))
        paths = {path for path in dict.fromkeys(self._name(path) for path, _ in lines) if self._source(path)}
        # A mask in the test around a call of what is tested would only hide the defect.
        own = {self._name(path) for each in meetings for path in each.audit.own}
        return Case(shared, tests, frozenset(paths - own or paths), frozenset(reached))

    def _round(self, cases: Sequence[Case]) -> Iterator[Proposal]:
        """Try the next edit for each of these defects; yield those whose search is over."""
        self._look([test for case in cases if case.paths for test in case.tests])
        trying: list[_Trial] = []
        for case in cases:
            if not case.paths:
                yield Proposal(case.defect, End.ELSEWHERE)
            elif not case.tests:  # it was deleted, say
                yield Proposal(case.defect, End.NOT_PASSING)
            elif (now := self._now(case)) is None:
                if case.reached & self._edited and self._comes_again(case):
                    yield Proposal(case.defect, End.GONE, tests=case.tests, edit=self._edit_of_another(case))
                else:
                    yield Proposal(case.defect, End.NOT_MET, tests=case.tests)
            elif len(case.steps) == _STEPS or (found := self._next(case, now)) is None:
                if case.restore is not None:
                    case.restore()
                yield Proposal(case.defect, End.UNCURED)
            else:
                trying.append(_Trial(case, now.cheapest.audit.test, *found))
        for trial, outcomes in self._kept(trying):
            case = trial.case
            if case.restore is None:
                case.restore = self._restoring(case)
            self._files[trial.path].text = trial.candidate.whole
            case.steps.append(trial.candidate.title)
            case.candidates = None  # the others are found anew, where the lines are now
            self._forget({trial.path})
            self._found |= {test: outcomes[test] for test in case.tests}
            if self._now(case) is None:
                self._edited |= case.paths
                edit = self._edit(case)
                self._cures.append((case.paths, edit))
                yield Proposal(case.defect, End.CURED, edit.title, case.tests, edit)

    def _edit(self, case: Case) -> Edit:
        """Return the edit that cures a defect, by itself."""
        texts = ((path, before, self._files[path].text) for path, before in sorted(case.before.items()))
        diffs = (self._change(path, before, after).diff for path, before, after in texts if before != after)
        return Edit("; ".join(dict.fromkeys(case.steps)), "".join(diffs), case.tests)

    def _edit_of_another(self, case: Case) -> Edit | None:
        """Return the edit of another defect that cured this one, if there is only one that its tests reach."""
        edits = [edit for paths, edit in self._cures if case.reached & paths]
        return replace(edits[0], tests=case.tests) if len(edits) == 1 else None

    def _kept(self, trying: Sequence[_Trial]) -> Iterator[tuple[_Trial, dict[str, Outcome]]]:
        """Write edits, and undo those that do not help or break something; yield the others, with what their tests find then."""
        for each in trying:
            self._copy.write(each.path, each.candidate.whole)
        outcomes = self._audited([each.test for each in trying], strict=False)
        kept = self._without(trying, lambda each: not self._helps(each, outcomes.get(each.test)))
        others = [test for each in kept for test in each.case.tests if test != each.test]
        outcomes |= self._audited(others, strict=False)
        kept = self._without(kept, lambda each: not self._harms_none(each, outcomes))
        for each in self._without(kept, self._breaking(kept).__contains__):
            yield each, outcomes

    def _breaking(self, trying: Sequence[_Trial]) -> list[_Trial]:
        """Return those of the edits, which are written, that break a test of the suite."""
        if not trying or not self._copy.breaks(self._passing):
            return []
        if len(trying) == 1:
            return [*trying]
        for each in trying:
            self._undo(each)
        breaking: list[_Trial] = []
        for each in trying:  # one after the other shows which of them it is
            self._copy.write(each.path, each.candidate.whole)
            if self._copy.breaks(self._passing):
                breaking.append(each)
                self._undo(each)
        return breaking

    def _without(self, trying: Sequence[_Trial], is_bad: Callable[[_Trial], bool]) -> list[_Trial]:
        """Return the edits that are not bad; undo the others."""
        good = [each for each in trying if not is_bad(each)]
        for each in trying:
            if each not in good:
                self._undo(each)
        return good

    def _undo(self, trial: _Trial) -> None:
        self._copy.write(trial.path, self._files[trial.path].text)

    def _helps(self, trial: _Trial, after: Outcome | None) -> bool:
        """Return whether an edit cures the defect in the test that it is tried in, or, if it is a mask, at some of its points."""
        if after is None:
            return False
        before, defect = self._found[trial.test], trial.case.defect
        return after.is_cured(before, defect) or (trial.candidate.is_mask and after.is_progress(before, defect))

    def _harms_none(self, trial: _Trial, outcomes: Mapping[str, Outcome]) -> bool:
        """Return whether the other tests that meet the defect find nothing that they did not find before."""
        return all(
            (after := outcomes.get(test)) is not None and after.is_no_worse(self._found[test])
            for test in trial.case.tests
            if test != trial.test
        )

    def _now(self, case: Case) -> SharedDefect | None:
        """Return a defect as the first test that still meets it does so now."""
        known = (self._found[test].find(case.defect) for test in case.tests if test in self._found)
        return next((found for found in known if found is not None), None)

    def _comes_again(self, case: Case) -> bool:
        """Return whether one of its tests comes to the functions again in which interrupts led to a defect."""
        return any(
            found.comes_to(each.defect.points)
            for each in case.defect.meetings
            if (found := self._found.get(each.audit.test)) is not None
        )

    def _forget(self, paths: AbstractSet[str]) -> None:
        """Forget what the tests find that reach files which have changed."""
        self._found = {
            test: found for test, found in self._found.items() if paths.isdisjoint(self._reached.get(test, {*paths}))
        }

    def _restoring(self, case: Case) -> Callable[[], object]:
        """Return a function that undoes all edits for a defect from here on."""
        before = {test: self._found[test] for test in case.tests if test in self._found}
        texts = case.before = {path: self._files[path].text for path in case.paths}

        def restore() -> None:
            for path, text in texts.items():
                self._files[path].text = text
                self._copy.write(path, text)
            self._forget(texts.keys())
            self._found |= before

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

    def _next(self, case: Case, now: SharedDefect) -> tuple[str, Candidate] | None:
        """Return path and text of the next edit to be tried for a defect, which is ``now`` as the files are now."""
        if case.candidates is None:
            case.candidates = self._candidates(case, now)
        return next(case.candidates, None)

    def _candidates(self, case: Case, now: SharedDefect) -> Iterator[tuple[str, Candidate]]:
        """Yield path and candidate, each once: edits of what acquires, from the inside out, then masks over the windows and around calls."""
        defect = now.defect
        windows = helping(now.cheapest)
        around = dict.fromkeys((self._name(path), line) for path, line in ways(now.cheapest, windows))
        lines = [(path, line) for path, line in around if path in case.paths]
        if defect.verdict is Verdict.SWALLOWED and defect.kind != "finalizer" and defect.origin is not None:
            # A mask would help, too: it would hide that the code catches what it should not.
            path = self._name(defect.origin.place.path)
            if source := self._source(path):
                yield from ((path, each) for each in source.narrowed(defect.origin.place.line))
            return
        named = ((self._name(window.path), window) for window in windows)
        spans = dict.fromkeys((path, window.since, window.until) for path, window in named if path in case.paths)
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

    def _name(self, path: str) -> str:
        """Return the path of the file itself, if a path names a link to one of the project's."""
        if path not in self._names:
            try:
                self._names[path] = self._copy.name(path)
            except TrialError:
                self._names[path] = path
        return self._names[path]

    def _source(self, path: str) -> Source | None:
        """Return the text of a file with the edits so far; ``None`` if it is none of the project's."""
        if path not in self._files:
            try:
                text = self._copy.read(self._copy.name(path))
            except TrialError:
                return None
            self._files[path] = _File(text, text)
        try:
            return Source(self._files[path].text)
        except ValueError:
            return None


def _diff(path: str, before: str, after: str) -> str:
    """Return a unified diff that ``git apply`` accepts."""
    old, new = ([f"{line}\n" for line in text.split("\n")] for text in (before, after))
    for lines in (old, new):  # the last one is what follows the last end of a line
        lines[-1:] = [] if lines[-1] == "\n" else [f"{lines[-1]}\\ No newline at end of file\n"]
    end = "\t" if " " in path else ""
    return "".join(difflib.unified_diff(old, new, f"a/{path}{end}", f"b/{path}{end}"))
