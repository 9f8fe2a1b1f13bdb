"""The summary of a session: what was only listed, what was not audited and why, and totals."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from pytest_maskcheck.reasons import Strategy, count, reason_of
from pytest_maskcheck.reports.appearance import PLAIN, Tone
from pytest_maskcheck.reports.defects import headline, together
from pytest_maskcheck.reports.leading import leading
from pytest_maskcheck.reports.provisos import provisos
from pytest_maskcheck.reports.unaudited import NOWHERE, ends_session, extent
from pytest_maskcheck.reports.unused import unused
from pytest_maskcheck.results import over_tests
from pytest_maskcheck.results.figures import is_support, project_files
from pytest_maskcheck.results.lines import lines_of, spans, united
from pytest_maskcheck.system.unpatched import pathlib

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from pytest_maskcheck.reports.appearance import Appearance
    from pytest_maskcheck.results import Audit
    from pytest_maskcheck.results.briefs import Brief

_NAMED = 3
"""Number of tests, points or packages that a line names; the others are counted."""

_LINES = 2
"""Number of lines of one sort that are shown; of a sort that has more, only the number, unless all are wanted."""

_TO_DO = 10
"""The same for lines that ask for an edit."""

_SNAPSHOTS = {Strategy.SNAPSHOT, Strategy.SNAPSHOT_AND_RERUN, Strategy.SNAPSHOT_ENDED}
"""Strategies that the summary names; it does not name `rerun`, the usual one."""


def summary(
    audits: Iterable[Audit],
    briefs: Sequence[Brief] = (),
    missed: int = 0,
    *,
    shortfall: str = "",
    point: str = "",
    verbose: bool = True,
    look: Appearance = PLAIN,
) -> Iterator[str]:
    """Yield the lines of the session's summary; the last one contains the totals.

    Parameters:
        audits: those of this session, and those of earlier ones that found something.
        briefs: those of earlier sessions that found nothing.
        missed: the number of points that no test was audited at, as those that were chosen for them could not be.
        shortfall: why the session came no further as a whole, or ``""``.
        point: the id of the only point to audit, or ``""``.
        verbose: show all lines; else sorts with many lines are counted, together on one line.
        look: how parts of the lines stand out.
    """
    audits = [*audits, *(each.audit for each in briefs)]
    done = [audit for audit in audits if not audit.refused]
    defects = [each for each in over_tests(done) if each.fails]
    leads = len(defects) > 1 or any(
        len(each.tests) > 1 for each in defects
    )  # else the one test that fails tells it all
    if leads:
        yield from leading(defects, look, verbose=verbose)
    counted: list[str] = []

    def few(lines: Iterable[str], what: Callable[[int], str], most: int = _LINES) -> Iterator[str]:
        kept = [*lines]
        if verbose or len(kept) <= most:
            yield from kept
        else:
            counted.append(what(len(kept)))

    yield from _untouched(audits)
    yield from _elsewhere(audits)
    yield from few(
        _unaudited_tests(
            # pytest itself reports what was skipped, or failed as expected.
            (audit for audit in audits if not audit.is_untouched and (verbose or not audit.is_not_for_audit)),
            point,
            verbose=verbose,
        ),
        lambda number: f"{count(_unaudited_in(audits), 'test')} not audited, for {number} reasons",
    )
    yield from few(_strategies(done), lambda number: f"how {number} tests were audited by snapshots")
    yield from few(_listed(done), lambda number: f"{number} findings that fail no test")
    yield from _nothing_new(done)
    again = sum(bool(audit.found) for audit in done)
    # Those tests are counted with each defect, if defects are listed.
    yield from few(
        _repeats(done), lambda _: f"{count(again, 'test')} that would meet the defect of another", _LINES * (not leads)
    )
    yield from few(
        _unaudited_points(done, missed),
        lambda number: f"{_unaudited_number(done, missed)} not audited, for {number} reasons",
    )
    yield from few(_unmeasured(audits), lambda number: f"code included to no effect, for {number} reasons")
    run_again = [audit for audit in audits if audit.is_untouched or not audit.refused]
    yield from few(_first_use(run_again), lambda number: f"{number} lines on first use that was not audited")
    yield from few(_left_behind(done), lambda number: f"{number} things that tests leave behind uninterrupted")
    yield from few(_unused(done), lambda number: f"{number} comments and entries that were not needed", _TO_DO)
    varying = [f"{audit.test} at {each.point}" for audit in done for each in audit.results if each.varies]
    if varying:
        what = f"what the interrupt led to was different each time at {count(varying, 'point')}: {_few(varying)}"
        yield f"{look.toned('UNDECIDED', Tone.WARNING)}: {what}"
    yield from _provisos(audits, look)
    yield from _unchanged(audits, briefs)
    if counted:
        yield look.toned(f"with -v also: {'; '.join(counted)}", Tone.FAINT)
    if audits:
        yield closing(audits, briefs, missed, look=look) + _lacks(audits, shortfall, look)
    elif shortfall and ends_session(shortfall):
        yield extent(audits, shortfall).text


def _lacks(audits: Sequence[Audit], shortfall: str, look: Appearance) -> str:
    """Return the end of the last line if the session ended early, or tests did not pass, so that nobody takes it for a whole one."""
    came = extent(audits, shortfall)
    if not (came.is_early or any(audit.is_unbegun and not audit.is_not_for_audit for audit in audits)):
        return ""
    return f"; {look.toned(came.text, Tone.WARNING)}"


def _strategies(audits: Iterable[Audit]) -> Iterator[str]:
    for audit in audits:
        if audit.strategy and reason_of(audit.strategy).code in _SNAPSHOTS:
            yield f"strategy: {audit.test}: {audit.strategy}"


def _listed(audits: Iterable[Audit]) -> Iterator[str]:
    for audit in audits:
        for group in together(audit.defects):
            if not (group[0].fails or group[0].known):
                yield f"listed: {audit.test}: {headline(*group)}"


def _left_behind(audits: Iterable[Audit]) -> Iterator[str]:
    left = Counter(leftover for audit in audits for leftover in audit.left_anyway)
    for leftover, number in sorted(left.items()):
        yield f"left behind by {count(number, 'test')} uninterrupted, and so no finding: {leftover}"


def _unused(audits: Sequence[Audit]) -> Iterator[str]:
    for place in unused(audit.ignores for audit in audits):
        yield f"unused: {place}: `# maskcheck: ignore` ignored no point in this run"
    for allow in unused(audit.allows for audit in audits):
        yield f"unused: {allow}: nothing like it was left behind in this run"


def _unaudited_number(audits: Iterable[Audit], missed: int) -> str:
    return count(sum(sum(audit.not_audited.values()) for audit in audits) + missed, "point")


def _unaudited_points(audits: Iterable[Audit], missed: int) -> Iterator[str]:
    """Yield the points that were not audited: one line for each reason."""
    reasons: Counter[str] = Counter()
    for audit in audits:
        reasons.update(audit.not_audited)
    for reason, number in sorted(reasons.items()):
        yield f"not audited: {count(number, 'point')}: {reason}"
    if missed:
        yield f"not audited: {count(missed, 'point')}: the tests chosen for them failed, or could not be audited"


def undecided(audits: Iterable[Audit], briefs: Sequence[Brief] = (), missed: int = 0) -> str:
    """Return how many points have no verdict and how many tests that were to be audited were not, in one sentence, or ``""``."""
    audits = list(audits)
    points = sum(audit.undecided for audit in audits) + sum(each.undecided for each in briefs) + missed
    tests = sum(audit.is_lacking and not audit.is_unwanted for audit in audits)
    counted = [count(points, "point") + " undecided"] * (points > 0) + [count(tests, "test") + " not audited"] * (
        tests > 0
    )
    if not counted:
        return ""
    return f"{' and '.join(counted)}: the lines that begin with `not audited` have the reasons (-v shows all), and a JSON report has each of them"


def _nothing_new(audits: Sequence[Audit]) -> Iterator[str]:
    """Yield how many tests had nothing left to audit."""
    if nothing_new := [audit.test for audit in audits if audit.is_repeated]:
        yield f"nothing new in {count(nothing_new, 'test')}: each of their points was audited in another test"


def _repeats(audits: Sequence[Audit]) -> Iterator[str]:
    """Yield the tests that reach the defect of another one."""
    reached: dict[str, Counter[str]] = {}
    for audit in audits:
        for test in audit.found.values():
            reached.setdefault(test, Counter())[audit.test] += 1
    for test, others in reached.items():
        tests, points = count(others, "other test"), count(others.total(), "point")
        yield f"reached again: {tests} would meet what fails {test}, at {points}: {_few([*others])}"


def unfinished(audits: Iterable[Audit]) -> Iterator[str]:
    """Yield what is known of audits that the user has ended: these tests have no report, and so no failure."""
    for audit in audits:
        yield f"interrupted: {audit.test}: {audit.audited} of {count(audit.points, 'point')} audited"
        for group in together(audit.defects):
            if group[0].fails:
                yield f"interrupted: {audit.test}: {headline(*group)}"


def _unchanged(audits: Sequence[Audit], briefs: Sequence[Brief]) -> Iterator[str]:
    """Yield the line on tests that were not audited again."""
    earlier = [audit for audit in audits if audit.earlier]
    if earlier:
        points = sum(each.points for each in briefs) + sum(audit.audited for audit in earlier)
        failing = sum(1 for audit in earlier if audit.failures)
        how = f", {failing} of them failing as then" if failing else ""
        yield (
            f"unchanged: {count(earlier, 'test')} audited in an earlier session at {count(points, 'point')}, "
            f"not audited again{how}"
        )


def _unaudited_in(audits: Iterable[Audit]) -> int:
    """Return how many of these tests were to be audited, and were audited at no point."""
    return sum(audit.is_lacking and not (audit.is_untouched or audit.is_not_for_audit) for audit in audits)


def _unaudited_tests(audits: Iterable[Audit], point: str, *, verbose: bool) -> Iterator[str]:
    """Yield the tests that were audited at no point: one line for each reason; if not ``verbose``, several tests are only counted."""
    reasons: dict[str, list[str]] = {}
    for audit in audits:
        if audit.is_lacking:
            reasons.setdefault(audit.refused or _against_all(audit, point), []).append(audit.test)
    for reason, tests in reasons.items():
        shown = tests[0] if len(tests) == 1 else count(tests, "test") + (f" ({_few(tests)})" if verbose else "")
        yield f"not audited: {shown}: {reason}"


def _elsewhere(audits: Iterable[Audit]) -> Iterator[str]:
    """Yield how many tests other shards audit as a whole."""
    dealt = [audit for audit in audits if audit.refused and audit.is_elsewhere]
    if dealt:
        dealing = reason_of(dealt[0].refused).values["dealing"]
        yield f"{count(dealt, 'test')} in other shards (dealing {dealing})"


def _untouched(audits: Iterable[Audit]) -> Iterator[str]:
    """Yield how many tests reach nothing that changed: a line for each commit, as merged reports may have several."""
    commits = Counter(reason_of(audit.refused).values["commit"] for audit in audits if audit.is_untouched)
    for commit, number in sorted(commits.items()):
        yield f"{count(number, 'test')} {'reaches' if number == 1 else 'reach'} no line changed since {commit}"


def _against_all(audit: Audit, point: str) -> str:
    """Return why no point of a test was audited."""
    reasons = sorted(audit.not_audited, key=audit.not_audited.__getitem__, reverse=True)
    if not reasons:
        return f"it does not come to the point {point}" if point else NOWHERE
    return reasons[0] + (" and other reasons" if len(reasons) > 1 else "")


def _few(texts: Sequence[str]) -> str:
    """Return the first few of several texts, and the number of the others."""
    more = len(texts) - _NAMED
    return ", ".join(texts[:_NAMED]) + (f" and {more} more" if more > 0 else "")


_LABELS = {"only-tests": "SCOPE", "changed": "CHANGED"}


def _provisos(audits: Sequence[Audit], look: Appearance) -> Iterator[str]:
    for each in provisos(audits):
        yield f"{look.toned(_LABELS[each.code], Tone.WARNING)}: {each.text}: {each.advice}"


def closing(audits: Sequence[Audit], briefs: Sequence[Brief] = (), missed: int = 0, *, look: Appearance = PLAIN) -> str:
    """Return the totals of a session on one line; lines, defects and undecided points include those of earlier sessions."""
    new = [audit for audit in audits if not audit.earlier]
    tests = sum(1 for audit in new if audit.audited)
    points = sum(audit.audited for audit in new)
    undecided = sum(audit.undecided for audit in audits) + sum(each.undecided for each in briefs) + missed
    shared = over_tests(audits)
    defects, known = (sum(each.fails for each in shared), sum(each.known for each in shared))
    reached = united(audit.lines_reached for audit in audits)
    interrupted = united([*(audit.lines_interrupted for audit in audits), *(each.lines_interrupted for each in briefs)])
    code = _project(reached, {path for audit in audits for path in audit.own})
    lines = sum(len(reached[path]) for path in code.files)
    met = sum(len(interrupted.get(path, ())) for path in code.files)
    tone = Tone.BAD if defects else Tone.GOOD if points else Tone.WARNING
    return (
        f"{count(tests, 'test')} audited at {count(points, 'point')}: "
        f"{look.toned(count(defects, 'defect'), tone)}{f' and {known} known' if known else ''}; "
        f"{met} of {count(lines, 'reached line')} of {code.name} interrupted, {count(undecided, 'point')} undecided"
    )


class _Code(NamedTuple):
    """Code in scope: its name for the closing line, and its files."""

    name: str
    files: list[str]


def _project(reached: Mapping[str, set[int]], own: Collection[str]) -> _Code:
    """Return the code that the tests test: the files that were reached, without those of the tests if there are any others."""
    files = project_files(reached, own)
    if all(path in own or is_support(path) for path in files):
        return _Code("the tests", files)
    packages: Counter[str] = Counter()
    for path in files:
        packages[_package(path)] += len(reached[path])
    return _Code(_few([name for name, _ in packages.most_common()]), files)


def _package(path: str) -> str:
    """Return the name of the package or module that a file belongs to, from its path as reports show it."""
    parts = pathlib.PurePath(path).parts
    inner = parts[parts.index("src") + 1 :] if "src" in parts[:-1] else parts
    return inner[0].removesuffix(".py")


def _unmeasured(audits: Iterable[Audit]) -> Iterator[str]:
    """Yield the modules that were included without effect: one line for each reason."""
    named: dict[str, dict[str, None]] = {}
    for audit in audits:
        for name, why in audit.unmeasured.items():
            named.setdefault(why, {})[name] = None
    for why, names in named.items():
        yield f"not audited, although included: {', '.join(names)}: {why}"


def _first_use(audits: Sequence[Audit]) -> Iterator[str]:
    """Yield the lines that only first runs reach and that were not audited."""
    lines: dict[str, set[int]] = united(
        {path: lines_of(text) for path, text in audit.reached_first.items()} for audit in audits
    )
    if lines:
        shown = [f"{path}:{spans(numbers)}" for path, numbers in sorted(lines.items())]
        number = sum(map(len, lines.values()))
        yield f"reached only by the first run, not audited: {count(number, 'line')}: {_few(shown)}"
    reasons = Counter(audit.no_first_use for audit in audits if audit.no_first_use)
    for reason, number in sorted(reasons.items()):
        yield f"first use not audited in {count(number, 'test')}: {reason}"
