"""Defects over all tests of a session: one entry for a defect, however many tests meet it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_maskcheck.results.defects import by_exposure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_maskcheck.results.audit import Audit
    from pytest_maskcheck.results.values import Defect, Edit, Fingerprint, Point

_Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Meeting:
    """One test that meets a defect.

    Parameters:
        audit: that of the test.
        defect: the defect as the test meets it.
    """

    audit: Audit
    defect: Defect

    @property
    def cost(self) -> tuple[bool, float]:
        """What it costs to reproduce the defect in this test: what only a first run reaches, or two interrupts, come last."""
        hard = all(point.first_use or point.first is not None for point in self.defect.points)
        return hard, self.audit.seconds / (len(self.audit.points) or 1)


@dataclass(frozen=True, slots=True)
class SharedDefect:
    """One defect over all tests that meet it.

    Parameters:
        meetings: the tests that meet it, in the order of the session; at least one.
        again: tests that reach it, and were not audited there for that reason.
    """

    meetings: tuple[Meeting, ...]
    again: tuple[str, ...] = ()

    @property
    def cheapest(self) -> Meeting:
        """The test in which the defect is reproduced soonest."""
        return min(self.meetings, key=lambda each: each.cost)

    @property
    def defect(self) -> Defect:
        """The defect as that test meets it."""
        return self.cheapest.defect

    @property
    def exposed(self) -> Meeting:
        """The test whose exposure is stated: the one in which the defect is reproduced, or another one if that has none."""
        return min((self.cheapest, *self.meetings), key=lambda each: each.defect.exposure is None)

    @property
    def fails(self) -> bool:
        """Whether a test fails because of it."""
        return any(each.defect.fails for each in self.meetings)

    @property
    def known(self) -> bool:
        """Whether it does not fail, as the baseline has it."""
        return not self.fails and any(each.defect.known for each in self.meetings)

    @property
    def tests(self) -> tuple[str, ...]:
        """All tests that reach it."""
        return tuple(dict.fromkeys((*(each.audit.test for each in self.meetings), *self.again)))

    @property
    def failing(self) -> tuple[str, ...]:
        """The tests that fail because of it. Others reach it and pass: they were not audited where these were, or the baseline has it."""
        return tuple(dict.fromkeys(each.audit.test for each in self.meetings if each.defect.fails))

    @property
    def edit(self) -> Edit | None:
        """The edit that cures it, if the command ``cure`` has saved one."""
        known = (each.audit.edits.get(name.digest) for each in self.meetings for name in each.defect.fingerprints)
        return next((edit for edit in known if edit is not None), None)

    @property
    def points(self) -> tuple[Point, ...]:
        """Its points in all tests, each once."""
        return tuple({point.id: point for each in self.meetings for point in each.defect.points}.values())


def over_tests(audits: Sequence[Audit]) -> list[SharedDefect]:
    """Return the defects of several audits: the most exposed first, and those that hardly differ in that in the order they were met."""
    groups: list[list[Meeting]] = []
    place: dict[_Key, int] = {}
    for audit in audits:
        for defect in audit.defects:
            keys = [_key(defect, each) for each in defect.fingerprints]
            # Without an origin, a defect has a fingerprint for each function; two that share one are the same.
            known = sorted({place[key] for key in keys if key in place})
            target = known[0] if known else len(groups)
            if not known:
                groups.append([])
            for other in known[1:]:
                groups[target] += groups[other]
                groups[other] = []
            moved = dict.fromkeys(known, target)
            place = {key: moved.get(at, at) for key, at in place.items()} if len(known) > 1 else place
            place.update(dict.fromkeys(keys, target))
            groups[target].append(Meeting(audit, defect))
    _join_untraced(groups)
    again = _reached_again(audits)
    shared = [SharedDefect(tuple(group), _again(group, again)) for group in groups if group]
    return sorted(shared, key=lambda each: by_exposure(each.exposed.defect))


def _join_untraced(groups: list[list[Meeting]]) -> None:
    """Add a defect whose origin was not found to the one with the same findings in the same functions, if there is only one."""
    homes: dict[_Key, set[int]] = {}
    for number, group in enumerate(groups):
        if group and group[0].defect.origin is not None:
            for home in _homes(group):
                homes.setdefault(home, set()).add(number)
    for group in groups:
        if group and group[0].defect.origin is None:
            found = [homes.get(home, set()) for home in _homes(group)]
            if len(set[int]().union(*found)) == 1 and all(found):
                groups[min(found[0])] += group
                group.clear()


def _homes(group: Iterable[Meeting]) -> set[_Key]:
    """Return findings and functions of a defect: what two of them have in common that may be the same."""
    return {
        (each.defect.verdict, each.defect.kind, each.defect.key, each.defect.category, point.path, point.function)
        for each in group
        for point in each.defect.points
    }


def _key(defect: Defect, fingerprint: Fingerprint) -> _Key:
    return (fingerprint, defect.category, defect.origin and defect.origin.place.line)


def _reached_again(audits: Iterable[Audit]) -> dict[tuple[str, str], list[str]]:
    """Return test with a defect, and a line of it -> the tests that left points there out for that reason."""
    tests: dict[tuple[str, str], list[str]] = {}
    for audit in audits:
        for point, test in audit.found.items():
            tests.setdefault((test, _line(point)), []).append(audit.test)
    return tests


def _again(group: Iterable[Meeting], reached: Mapping[tuple[str, str], Sequence[str]]) -> tuple[str, ...]:
    lines = dict.fromkeys((each.audit.test, _line(point.id)) for each in group for point in each.defect.points)
    return tuple(dict.fromkeys(test for line in lines for test in reached.get(line, ())))


def _line(point: str) -> str:
    """Return path and line of the id of a point: the hit may be another one in each test."""
    return point.rpartition(":")[0]
