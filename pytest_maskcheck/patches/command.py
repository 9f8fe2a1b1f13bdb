"""The command ``cure``: tries edits for the defects of a report, shows those that cure, and writes them if that is wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_maskcheck.patches.proposals import Proposal, Proposals
from pytest_maskcheck.patches.trial import TrialError, copied
from pytest_maskcheck.reasons import count
from pytest_maskcheck.reports import files, reading
from pytest_maskcheck.reports.defects import headline
from pytest_maskcheck.results import over_tests


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
        The exit status: 0 if there is an edit for each defect, else 1.

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
        proposals = Proposals(copy)
        try:
            for each in proposals.make(defects):
                if isinstance(each, Proposal):
                    made.append(each)
                    show(f"cured: {headline(each.defect.defect)}: {each.title}")
                else:
                    left += 1
                    show(f"no edit found: {headline(each.defect)}")
            changed = [*proposals.diffs()]
            tests = [*dict.fromkeys(proposal.defect.cheapest.audit.test for proposal in made)]
            after = copy.audit(tests) if made else None
        except TrialError as error:
            raise CureError(str(error)) from None
    for _, _, diff in changed:
        show("")
        show(diff.rstrip("\n"))
    if after is not None:
        show("")
        before = len({id(each) for each in defects if each.cheapest.audit.test in tests})
        show(
            f"{count(tests, 'test')} audited again: {count(before, 'defect')} before, {len(after.defects)} after, "
            f"at {count(after.points, 'point')}"
        )
    if apply:
        _write(root, changed, show)
    return 1 if left else 0


def _write(root: Path, changed: Sequence[tuple[str, str, str]], show: Callable[[str], object]) -> None:
    for path, text, _ in changed:
        try:
            files.write(str(root / path), text.encode())
        except OSError as error:
            message = f"{path} cannot be written: {error}"
            raise CureError(message) from None
        show(f"written: {path}")
