"""The summary of a session: what was only listed, what was not audited and why, and totals."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pytest_maskcheck.reasons import Strategy, count, reason_of
from pytest_maskcheck.reports.defects import headline, together
from pytest_maskcheck.reports.unused import unused
from pytest_maskcheck.results.lines import lines_of, spans, united
from pytest_maskcheck.system.unpatched import pathlib

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_maskcheck.results import Audit

_NAMED = 3
"""Number of tests, points or packages that a line names; the others are counted."""

_SNAPSHOTS = {Strategy.SNAPSHOT, Strategy.SNAPSHOT_AND_RERUN, Strategy.SNAPSHOT_ENDED}
"""Strategies that the summary names; it does not name `rerun`, the usual one."""


def summary(audits: Iterable[Audit]) -> Iterator[str]:
    """Yield the lines of the session's summary; the last one contains the totals."""
    audits = list(audits)
    done = [audit for audit in audits if not audit.refused]
    yield from _untouched(audits)
    yield from _unaudited_tests(audit for audit in audits if not audit.is_untouched)
    for audit in done:
        if audit.strategy and reason_of(audit.strategy).code in _SNAPSHOTS:
            yield f"strategy: {audit.test}: {audit.strategy}"
    for audit in done:
        for group in together(audit.defects):
            if not group[0].fails:
                yield f"listed: {audit.test}: {headline(*group)}"
    reasons: Counter[str] = Counter()
    for audit in done:
        reasons.update(audit.not_audited)
    for reason, number in sorted(reasons.items()):
        yield f"not audited: {count(number, 'point')}: {reason}"
    yield from _unmeasured(audits)
    run_again = [audit for audit in audits if audit.is_untouched or not audit.refused]
    yield from _first_use(run_again)
    left = Counter(leftover for audit in done for leftover in audit.baseline)
    for leftover, number in sorted(left.items()):
        yield f"left behind by {count(number, 'test')} uninterrupted, and so no finding: {leftover}"
    for place in unused(audit.ignores for audit in done):
        yield f"unused: {place}: `# maskcheck: ignore` ignored no point in this run"
    for allow in unused(audit.allows for audit in done):
        yield f"unused: {allow}: nothing like it was left behind in this run"
    varying = [f"{audit.test} at {each.point}" for audit in done for each in audit.results if each.varies]
    if varying:
        yield f"UNDECIDED: what the interrupt led to was different each time at {count(varying, 'point')}: {_few(varying)}"
    yield from _narrow(run_again)
    if audits:
        yield closing(audits)


def _unaudited_tests(audits: Iterable[Audit]) -> Iterator[str]:
    """Yield the tests that were audited at no point: one line for each reason."""
    reasons: dict[str, list[str]] = {}
    for audit in audits:
        if not audit.audited and not audit.is_elsewhere:
            reasons.setdefault(audit.refused or _against_all(audit), []).append(audit.test)
    for reason, tests in reasons.items():
        shown = tests[0] if len(tests) == 1 else f"{count(tests, 'test')} ({_few(tests)})"
        yield f"not audited: {shown}: {reason}"


def _untouched(audits: Iterable[Audit]) -> Iterator[str]:
    """Yield how many tests reach nothing that changed: a line for each commit, as merged reports may have several."""
    commits = Counter(reason_of(audit.refused).values["commit"] for audit in audits if audit.is_untouched)
    for commit, number in sorted(commits.items()):
        yield f"{count(number, 'test')} {'reaches' if number == 1 else 'reach'} no line changed since {commit}"


def _against_all(audit: Audit) -> str:
    """Return why no point of a test was audited."""
    reasons = sorted(audit.not_audited, key=audit.not_audited.__getitem__, reverse=True)
    if not reasons:
        return "it reached no point in scope"
    return reasons[0] + (" and other reasons" if len(reasons) > 1 else "")


def _few(texts: Sequence[str]) -> str:
    """Return the first few of several texts, and the number of the others."""
    more = len(texts) - _NAMED
    return ", ".join(texts[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _narrow(audits: Sequence[Audit]) -> Iterator[str]:
    """Yield a warning if only the tests' own code was audited, not the code that they test."""
    own = {path for audit in audits for path in audit.own}
    reached = {path for audit in audits for path in audit.reached}
    if any(audit.is_untouched for audit in audits):  # what such a test reaches is not known
        return
    if not reached or any(path not in own and not _is_support(path) for path in reached):
        return
    packages = Counter(name for audit in audits for name in audit.unaudited)
    names = [name for name, _ in packages.most_common(_NAMED)]
    imports = f", and none of what they import ({', '.join(names)})" if names else ""
    yield (
        f"SCOPE: only the tests' own code was audited{imports}: name the package that they test with "
        f"--maskcheck-include={names[0] if names else 'PACKAGE'}, or with maskcheck_include in the configuration file"
    )


def _is_support(path: str) -> bool:
    """Return whether a file belongs to tests, by its name."""
    *folders, name = pathlib.PurePath(path).parts
    return name == "conftest.py" or not {"test", "tests"}.isdisjoint(folders)


def closing(audits: Sequence[Audit]) -> str:
    """Return the totals of a session on one line."""
    tests = sum(1 for audit in audits if audit.audited)
    points = sum(audit.audited for audit in audits)
    undecided = sum(audit.undecided for audit in audits)
    defects = sum(len(audit.failures) for audit in audits)
    reached = sum(map(len, united(audit.lines_reached for audit in audits).values()))
    interrupted = sum(map(len, united(audit.lines_interrupted for audit in audits).values()))
    return (
        f"{count(tests, 'test')} audited at {count(points, 'point')}, {undecided} undecided: {count(defects, 'defect')}; "
        f"{count(reached, 'line')} reached, {interrupted} interrupted"
    )


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
