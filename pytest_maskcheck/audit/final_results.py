"""The final result of each point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_maskcheck.audit.naming import named_result

if TYPE_CHECKING:
    from pytest_maskcheck.resources.known_patterns import Patterns
    from pytest_maskcheck.results import PointResult


@dataclass(frozen=True, slots=True, repr=False)
class FinalResults:
    """Keeps and reports the final result of each point.

    Parameters:
        report: called with each result.
        patterns: names that differ from run to run.
        by_point: id of a point -> its result.
    """

    report: Callable[[PointResult], object]
    patterns: Patterns
    by_point: dict[str, PointResult] = field(default_factory=dict)

    def take(self, result: PointResult) -> None:
        """Keep a result in place of an earlier one for the same point, and report it."""
        self.by_point[result.point] = result = named_result(result, self.patterns)
        self.report(result)

    def rename(self) -> None:
        """Report again each result with a finding that a later pattern has renamed."""
        for result in [*self.by_point.values()]:
            if named_result(result, self.patterns) != result:
                self.take(result)
