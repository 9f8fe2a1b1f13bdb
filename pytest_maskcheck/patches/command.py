"""The command ``cure``: tries edits for the defects of a report, shows those that cure, and writes them if that is wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pytest_maskcheck.patches.cases import file_of
from pytest_maskcheck.patches.proposals import Edited, End, Proposal, Proposals
from pytest_maskcheck.patches.trial import TrialError, copied
from pytest_maskcheck.reasons import count
from pytest_maskcheck.reports import files, jsonfile, reading
from pytest_maskcheck.reports.defects import headline
from pytest_maskcheck.results import over_tests

if TYPE_CHECKING:
    from pytest_maskcheck.reports.reading import Report
    from pytest_maskcheck.results import Audit, Edit

_ENDS = {
    End.CURED: "cured",
    End.GONE: "cured by another edit",
    End.NOT_MET: "not met in a copy of the project",
    End.NOT_PASSING: "no edit tried, as none of its tests passes in a copy of the project",
    End.ELSEWHERE: "no edit, as no code of the project has it",
    End.UNCURED: "no edit found",
}


class CureError(Exception):
    """The command cannot be carried out; the message says why, and what to do."""


def cure(
    report: str, arguments: Sequence[str], show: Callable[[str], object], *, apply: bool, save: bool = False
) -> int:
    """Propose edits for the defects of a report that make tests fail.

    Parameters:
        report: path of a JSON report of the project in the working directory.
        arguments: further arguments for pytest.
        show: called with each line of output.
        apply: write the edits into the project, too.
        save: write the edits into the report, too, from which other reports are made.

    Returns:
        The exit status: 0 if there is an edit for each defect, and all are written that were to be, else 1.

    Raises:
        CureError: see there.
    """
    root = Path.cwd()
    if save and Path(report).exists() and not Path(report).is_file():  # a pipe cannot be read again
        message = f"{report} is no file that edits can be saved in: leave out --save, or name a file"
        raise CureError(message)
    try:
        known = reading.read(report)
        content = files.read(report) if save else b""
    except (reading.ReportError, OSError) as error:
        raise CureError(str(error)) from None
    audits = known.audits
    shared = over_tests(audits)
    defects = [each for each in shared if each.fails]
    if not defects:
        accepted = sum(each.known for each in shared)
        more = (
            f"; write the report without the baseline to cure its {count(accepted, 'known defect')}" if accepted else ""
        )
        show(f"no defect makes a test fail: there is nothing to cure{more}")
        return 0
    _require_tests(root, report, audits)
    made: list[Proposal] = []
    ends: list[End] = []
    with copied(root, arguments) as copy:
        proposals = Proposals(copy, audits)
        try:
            for each in proposals.make(defects):
                show(
                    f"{_ENDS[each.end]}: {headline(each.defect.defect)}{f': {each.title}' if each.title else ''}{_tests(each)}"
                )
                ends.append(each.end)
                if each.end in {End.CURED, End.GONE}:
                    made.append(each)
            changed = [*proposals.edited()]
            tests = [*dict.fromkeys(test for proposal in made for test in proposal.tests)]
            after = copy.audit(tests) if made else {}
        except TrialError as error:
            raise CureError(str(error)) from None
    if {*ends} <= {End.NOT_MET, End.NOT_PASSING}:
        show(f"the project has changed since {report} was written: audit it again")
    for file in changed:
        show("")
        show(file.diff.removesuffix("\n"))
    if after:
        show("")
        before = sum(not {*each.tests}.isdisjoint(tests) for each in defects)
        found = {id(each.cheapest.audit): each.cheapest.audit for outcome in after.values() for each in outcome.defects}
        show(
            f"{count(tests, 'test')} audited again: {count(before, 'defect')} before, "
            f"{sum(each.fails for each in over_tests([*found.values()]))} after, "
            f"at {count(sum(each.points for each in after.values()), 'point')}"
        )
    written = not apply or _write(root, changed, show)
    written &= not save or _save(known, content, made, show)
    return 0 if written and len(made) == len(defects) else 1


def _save(report: Report, content: bytes, made: Sequence[Proposal], show: Callable[[str], object]) -> bool:
    """Write the edits into the report in place of earlier ones, if it is still as it was read; return whether it is.

    Parameters:
        report: the report.
        content: the content of its file.
        made: what was found.
    """
    edits: dict[str, dict[str, Edit]] = {}
    found = [each for each in made if each.edit is not None]
    for proposal in found:
        for meeting in proposal.defect.meetings:
            for name in meeting.defect.fingerprints:
                edits.setdefault(meeting.audit.test, {})[name.digest] = cast("Edit", proposal.edit)
    audits = [replace(audit, edits=edits.get(audit.test, {})) for audit in report.audits]
    try:
        if files.read(report.path) != content:
            show(f"not saved: {report.path} has changed since it was read; run the command again")
            return False
        files.write(report.path, jsonfile.encode(audits, report.shard))
    except OSError as error:
        message = f"{report.path} cannot be written: {error}"
        raise CureError(message) from None
    show(f"saved: edits for {count(found, 'defect')} in {report.path}")
    return True


def _require_tests(root: Path, report: str, audits: Sequence[Audit]) -> None:
    """Raise an error unless a test file of a report is in the directory.

    A report of another checkout of the project can be used, so it does not matter where it was written.
    """
    if any((root / file_of(audit.test)).is_file() for audit in audits):
        return
    frames = (point for audit in audits for point in audit.points)
    known = (each.file.removesuffix(each.path) for each in frames if each.file.endswith(f"/{each.path}"))
    place = next(known, "").rstrip("/") or "the project's root directory"
    message = f"none of the test files of {report} is in {root}: run the command in {place}"
    raise CureError(message)


def _tests(proposal: Proposal) -> str:
    """Return how many tests an edit was tried in that meet the defect, if there are several."""
    meeting, tried = proposal.defect.tests, proposal.tests
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
