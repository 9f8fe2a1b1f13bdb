"""What a session did not audit: the first thing that a page says, so that nobody takes what is clean for more than it is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_maskcheck.reasons import count
from pytest_maskcheck.reports.provisos import provisos
from pytest_maskcheck.reports.unaudited import Gap, first_reason, gap
from pytest_maskcheck.reports.ways import sentence
from pytest_maskcheck.results.lines import lines_of, spans, united

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_maskcheck.reports.unaudited import Extent
    from pytest_maskcheck.results import Audit


@dataclass(frozen=True, slots=True)
class Limit:
    """Something that was not audited.

    Parameters:
        what: how many of what, such as ``3 tests``.
        reason: why.
        names: the tests, points or files, if they are known.
    """

    what: str
    reason: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """Everything that was not audited.

    Parameters:
        sentence: the tests without an audit and the points without a verdict, or that there are none.
        missing: there are some.
        rows: these, and everything that was left out on purpose.
    """

    sentence: str
    missing: bool
    rows: tuple[Limit, ...]


def limits_of(audits: Sequence[Audit], shard: str, came: Extent, changed: Sequence[str]) -> Limits:
    """Return what a session, or a shard of it, did not audit.

    Parameters:
        audits: those of the session.
        shard: such as ``1/3``, or ``""``.
        came: how far it came.
        changed: the files that are no longer as they were audited.
    """
    tests = sum(audit.is_lacking and not audit.is_not_for_audit for audit in audits)
    points = sum(audit.undecided for audit in audits)
    parts = [f"{count(tests, 'test')} of {len(audits)}"] * bool(tests) + [
        f"{points} of {count(sum(len(audit.points) for audit in audits), 'point')}"
    ] * bool(points)
    if came.is_early or came.is_nothing:
        text = f"{sentence(came.text)} Nothing is known about what an interrupt does there."
    elif parts:
        text = f"Not audited: {' and '.join(parts)}. Nothing is known about what an interrupt does there."
    else:
        text = "Every test that passed, and every point that was chosen, has a verdict."
    numbers = _numbers(audits)
    missing, turns = numbers[Gap.MISSING], numbers[Gap.SAMPLED]
    left = [f"{count(missing, 'hit')} of places"] * bool(missing) + [f"{count(turns, 'further turn')} of loops"] * bool(
        turns
    )
    if left:
        was = "was" if missing + turns == 1 else "were"
        text += f" {' and '.join(left)} {was} left out: the lines say why."
    if firsts := sum(bool(audit.no_first_use or audit.reached_first) for audit in audits):
        text += f" Code that runs only once in a process was not, or not wholly, audited in {count(firsts, 'test')}."
    narrow = [each for each in provisos(audits) if each.code == "only-tests"]
    text += "".join(f" {each.sentence}" for each in narrow)
    if without := sum(audit.is_not_for_audit for audit in audits):
        were = "was" if without == 1 else "were"
        text += f" {count(without, 'test')} {were} skipped, or failed as expected, and so not audited."
    if shard:
        text += f" This is shard {shard} of a session: the others have the rest."
    if changed:
        text += f" {count(changed, 'file')} changed since the audit: nothing is known of the code that is there now."
    rows = (
        *_changed(changed),
        *_broken(audits),
        *_tests(audits),
        *_points(audits),
        *_left_out(audits),
        *_code(audits),
        *_first_use(audits),
    )
    is_missing = (
        bool(parts or shard or changed or missing or firsts or any(each.is_gap for each in narrow))
        or came.is_early
        or came.is_nothing
    )
    return Limits(text, is_missing, rows)


def _numbers(audits: Iterable[Audit]) -> Counter[Gap]:
    """Return how many hits were left out, by how much is missing for it."""
    numbers: Counter[Gap] = Counter()
    for audit in audits:
        if not audit.is_lacking:
            for reason, number in audit.left_out.items():
                numbers[gap(reason)] += number
    return numbers


def _changed(paths: Sequence[str]) -> Iterator[Limit]:
    if paths:
        yield Limit(
            count(paths, "file"), "changed since the audit, so that what is there now was not audited", tuple(paths)
        )


def _broken(audits: Sequence[Audit]) -> Iterator[Limit]:
    for audit in audits:
        if audit.broken:
            yield Limit("1 audit ended early", audit.broken, (audit.test,))


def _tests(audits: Sequence[Audit]) -> Iterator[Limit]:
    reasons: dict[str, list[str]] = {}
    for audit in audits:
        if audit.is_lacking:
            reasons.setdefault(first_reason(audit), []).append(audit.test)
    for reason, tests in reasons.items():
        yield Limit(count(tests, "test"), reason, tuple(tests))


def _points(audits: Sequence[Audit]) -> Iterator[Limit]:
    reasons: dict[str, list[str]] = {}
    for audit in audits:
        for result in audit.results:
            if result.reason:
                reasons.setdefault(result.reason, []).append(f"{result.point} in {audit.test}")
    yield from (Limit(count(names, "point"), reason, tuple(names)) for reason, names in sorted(reasons.items()))


def _left_out(audits: Iterable[Audit]) -> Iterator[Limit]:
    numbers: Counter[str] = Counter()
    for audit in audits:
        if not audit.is_lacking:
            numbers.update(audit.left_out)
    yield from (Limit(f"{count(number, 'hit')} left out", reason) for reason, number in sorted(numbers.items()))


def _code(audits: Iterable[Audit]) -> Iterator[Limit]:
    modules: dict[str, dict[str, None]] = {}
    packages: dict[str, None] = {}
    for audit in audits:
        packages |= dict.fromkeys(audit.unaudited)
        for name, why in audit.unmeasured.items():
            modules.setdefault(why, {})[name] = None
    for why, names in modules.items():
        yield Limit(f"{count(names, 'module')} included to no effect", why, tuple(names))
    if packages:
        yield Limit(f"{count(packages, 'package')} that tests import", "not in scope", tuple(packages))


def _first_use(audits: Iterable[Audit]) -> Iterator[Limit]:
    reached = united({path: lines_of(text) for path, text in audit.reached_first.items()} for audit in audits)
    if reached:
        places = tuple(f"{path}:{spans(numbers)}" for path, numbers in sorted(reached.items()))
        yield Limit(
            count(sum(map(len, reached.values())), "line"), "only the first run of a process reaches them", places
        )
    tests: dict[str, list[str]] = {}
    for audit in audits:
        if audit.no_first_use:
            tests.setdefault(audit.no_first_use, []).append(audit.test)
    for reason, without in sorted(tests.items()):
        yield Limit(f"first use in {count(without, 'test')}", reason, tuple(without))
