"""The defects of a session as entries of an export: each once however many tests meet it, those that fail first, then the most exposed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_maskcheck.reports.cures import cure
from pytest_maskcheck.reports.defects import category, in_tests, title
from pytest_maskcheck.reports.exposure import exposure, why_none
from pytest_maskcheck.reports.leading import reproduce
from pytest_maskcheck.reports.repository import path_in_repository
from pytest_maskcheck.reports.ways import Way, sentence, way
from pytest_maskcheck.results import over_tests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_maskcheck.results import Audit, Defect, SharedDefect


class Level(StrEnum):
    """How much a defect counts, the worst first."""

    FAILS = "fails"
    """A test fails because of it."""

    KNOWN = "known"
    """The baseline has it."""

    LISTED = "listed"
    """It is listed, and fails no test."""


@dataclass(frozen=True)
class Entry:
    """One defect of a session. What an export leaves out is not computed.

    Parameters:
        shared: the defect over tests.
        fingerprint: what identifies it in other sessions, and is unique within this one.
    """

    shared: SharedDefect
    fingerprint: str

    @property
    def defect(self) -> Defect:
        """The defect as the test meets it in which it is reproduced soonest."""
        return self.shared.defect

    @property
    def level(self) -> Level:
        """How much it counts."""
        return _level(self.shared)

    @property
    def rule(self) -> str:
        """Verdict and kind, such as ``leak-lock``: what such defects have in common."""
        return "-".join(dict.fromkeys((self.defect.verdict, self.defect.kind)))

    @cached_property
    def way(self) -> Way:
        """What happens, and the line at which to cure it."""
        return way(self.shared.cheapest.audit, self.defect)

    @property
    def path(self) -> str:
        """The file of that line, relative to the repository."""
        return path_in_repository(self.way.cure_at.path, self.way.cure_at.file)

    @property
    def headline(self) -> str:
        """The defect in a few words, such as ``leak: lock Store._lock, in 3 tests``."""
        tests = in_tests(self.shared.failing, self.shared.tests)
        return f"{self.defect.verdict}: {title(self.defect)}{category(self.defect)}{tests}"

    @property
    def detail(self) -> str:
        """What was found, if the headline does not say that."""
        return "" if self.defect.detail == title(self.defect) else self.defect.detail

    @property
    def exposure(self) -> str:
        """How long a run is open to it; ``""`` if that was not measured."""
        return exposure(self.shared.exposed.audit, self.shared.exposed.defect)

    @property
    def about(self) -> str:
        """The defect in some sentences on one line: what it is, how often an interrupt meets it, and what helps."""
        helps = f"To cure it: {self.cure}"
        return " ".join(
            map(sentence, filter(None, (self.headline, self.detail, self.exposure or why_none(self.defect), helps)))
        )

    @property
    def cure(self) -> str:
        """What helps, in one sentence."""
        return cure(self.defect)

    @property
    def command(self) -> str:
        """The command that shows it again."""
        return reproduce(self.shared)


def entries(audits: Sequence[Audit]) -> list[Entry]:
    """Return the defects of some audits, the worst first."""
    order = list(Level)
    shared = sorted(over_tests(audits), key=lambda each: order.index(_level(each)))  # is sorted by exposure
    digests = [_digest(each) for each in shared]
    # Defects of one line may differ in what its category is, which is no part of a fingerprint. Their order must not depend on times.
    twins: Counter[str] = Counter()
    numbers = {}
    for position in sorted(range(len(shared)), key=lambda each: _order(shared[each])):
        twins[digests[position]] += 1
        numbers[position] = twins[digests[position]]
    return [Entry(each, f"{digests[position]}:{numbers[position]}") for position, each in enumerate(shared)]


def _digest(shared: SharedDefect) -> str:
    """Return the digest of a defect; of several fingerprints, the same one whichever test met it first."""
    return min(found.digest for each in shared.meetings for found in each.defect.fingerprints)


def _order(shared: SharedDefect) -> tuple[str, int]:
    origin = shared.defect.origin
    return shared.defect.category, origin.place.line if origin is not None else 0


def _level(shared: SharedDefect) -> Level:
    return Level.FAILS if shared.fails else Level.KNOWN if shared.known else Level.LISTED
