"""What counts as a failure, and which findings the user allows."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from pytest_maskcheck.resources.known_patterns import Patterns
from pytest_maskcheck.resources.random_names import Pattern, are_alike
from pytest_maskcheck.results import Category

if TYPE_CHECKING:
    from pytest_maskcheck.audit.naming import Name
    from pytest_maskcheck.results import Finding, Point
    from pytest_maskcheck.settings import Allow


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as a failure.

    Parameters:
        strict: a thing that only reference counting releases fails, and so does an interrupt that a finalizer swallows.
        may_swallow: the interrupt need not come out of the test.
        allow: findings to drop.
    """

    strict: bool = False
    may_swallow: bool = False
    allow: tuple[Allow, ...] = ()

    def allowing(self, kind: str, key: str) -> list[Allow]:
        """Return the entries that allow a finding."""
        return [allow for allow in self.allow if fnmatchcase(f"{kind}:{key}", allow.glob)]


@dataclass(slots=True, repr=False)
class Allowances:
    """Drops allowed findings, and records where they were.

    Parameters:
        rules: the rules with the allowed findings.
        patterns: names that differ from run to run.

    Attributes:
        dropped: kind and key of each finding that was dropped -> ids of its points.
    """

    rules: Rules
    patterns: Patterns
    dropped: dict[Name, set[str]] = field(default_factory=dict)

    def allows(self, point: Point, finding: Finding) -> bool:
        """Return whether a finding is allowed, by the key of this run or by its name in all runs."""
        name = self.patterns.name(finding.kind, finding.key)
        return self._allows(point.id, finding.kind, finding.key, name)

    def allows_cleanup(self, point: str, finding: Finding) -> bool:
        """Return whether a finding that only a mask helps against is allowed by its category: ``cleanup:kind:key``."""
        wanted = finding.category is Category.CLEANUP
        return wanted and self._allows(point, Category.CLEANUP, f"{finding.kind}:{finding.key}")

    def _allows(self, point: str, kind: str, key: str, name: str = "") -> bool:
        allowed = any(self.rules.allowing(kind, each) for each in (key, name or key))
        if allowed:
            self.dropped.setdefault((kind, name or key), set()).add(point)
        return allowed

    def merged(self) -> dict[Name, set[str]]:
        """Return the dropped findings; names that visibly differ from run to run are merged into one."""
        merged: dict[Name, set[str]] = {}
        for kind, key in sorted(self.dropped):
            other = next((name for name in merged if name[0] == kind and are_alike(name[1], key)), None)
            name = (kind, key)
            if other is not None:
                name = (kind, Pattern((other[1], key)).text)
                merged[name] = merged.pop(other)
            merged.setdefault(name, set()).update(self.dropped[kind, key])
        return merged
