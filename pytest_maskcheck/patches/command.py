"""The command ``cure``: tries edits for the defects of a report, shows those that cure, and writes them if that is wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_maskcheck.patches.cases import chosen
from pytest_maskcheck.patches.proposals import Edited, End, Proposal, Proposals
from pytest_maskcheck.patches.trial import TrialError, copied
from pytest_maskcheck.reasons import count
from pytest_maskcheck.reports import files, reading
from pytest_maskcheck.reports.defects import headline
from pytest_maskcheck.results import over_tests

_ENDS = {
    End.CURED: "cured",
    End.GONE: "cured by another edit",
    End.NOT_MET: "not met in a copy of the project",
    End.ELSEWHERE: "no edit, as no code of the project has it",
    End.UNCURED: "no edit found",
}


class CureError(Exception):
    """The command cannot be carried out; the message says why, and what to do."""


def cure(report: str, arguments: Sequence[str], show: Callable[[str], object], *, apply: bool) -> int:
    """Propose edits for the defects of a report that make tests fail.

    Parameters:
        report: path of a JSON report of the project in the working directory.
        arguments: further arguments for pytest.
        show: called with each line of output.
        apply: write the edits into the project, too.

    Returns:
        The exit status: 0 if there is an edit for each defect, and all are written that were to be, else 1.

    Raises:
        CureError: see there.
    """
    root = Path.cwd()
    try:
        audits = reading.read(report).audits
    except reading.ReportError as error:
        raise CureError(str(error)) from None
    defects = [each for each in over_tests(audits) if each.fails]
    if not defects:
        show("no defect makes a test fail: there is nothing to cure")
        return 0
    made: list[Proposal] = []
    left = 0
    with copied(root, arguments) as copy:
        proposals = Proposals(copy, audits)
        try:
            for each in proposals.make(defects):
                show(
                    f"{_ENDS[each.end]}: {headline(each.defect.defect)}{f': {each.title}' if each.title else ''}{_tests(each)}"
                )
                if each.end in {End.CURED, End.GONE}:
                    made.append(each)
                else:
                    left += 1
            changed = [*proposals.edited()]
            tests = [*dict.fromkeys(test for proposal in made for test in chosen(proposal.defect))]
            after = copy.audit(tests) if made else {}
        except TrialError as error:
            raise CureError(str(error)) from None
    for file in changed:
        show("")
        show(file.diff.removesuffix("\n"))
    if after:
        show("")
        before = sum(not {*chosen(each)}.isdisjoint(tests) for each in defects)
        found = {id(each.cheapest.audit): each.cheapest.audit for outcome in after.values() for each in outcome.defects}
        show(
            f"{count(tests, 'test')} audited again: {count(before, 'defect')} before, "
            f"{sum(each.fails for each in over_tests([*found.values()]))} after, "
            f"at {count(sum(each.points for each in after.values()), 'point')}"
        )
    written = not apply or _write(root, changed, show)
    return 1 if left or not written else 0


def _tests(proposal: Proposal) -> str:
    """Return how many tests an edit was tried in that meet the defect, if there are several."""
    meeting, tried = proposal.defect.tests, chosen(proposal.defect)
    if proposal.end is not End.CURED or len(meeting) == 1:
        return ""
    left = len(meeting) - len(tried)
    return f" (in {count(tried, 'test')} that meet it{f'; {left} more not tried' if left else ''})"


def _write(root: Path, changed: Sequence[Edited], show: Callable[[str], object]) -> bool:
    """Write the files that are still as they were copied; return whether all are."""
    complete = True
    for each in changed:
        path = root / each.path
        try:
            if not path.is_file() or path.read_bytes() != each.before:
                show(f"not written: {each.path} has changed since it was copied; run the command again")
                complete = False
                continue
            files.write(str(path), each.after)
        except OSError as error:
            message = f"{each.path} cannot be written: {error}"
            raise CureError(message) from None
        show(f"written: {each.path}")
    return complete
