"""Deal whole tests out to the shards of a session, by the times that their audits took in an earlier one.

A test that is dealt point by point costs every shard its uninterrupted runs, which for a short test take longer than its points. So each
test whose time is known belongs to one shard as a whole, unless the other shards would have to wait for it.

Rules:

1. The longest test comes first, and goes to the shard with the least to do. Equal times, and equal shards, are decided by name and number.
2. All shards must make the same choice, or a test would be audited twice or not at all. So the times come only from a file that the user
   has named: pytest's own cache differs from machine to machine. The choice has a name, which each shard prints, and which ``merge`` compares.
3. Tests whose time is unknown are dealt point by point.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from pytest_maskcheck.reasons import NotAudited, Reason, count
from pytest_maskcheck.session.result_store import UnusableStoreError, seconds_in
from pytest_maskcheck.settings import Shard

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_maskcheck.settings import SessionSettings

_SLACK = 1.25
"""How many times its fair part one shard may have to do; if it had more, its longest test is dealt point by point."""


@dataclass(slots=True, repr=False)
class Dealing:
    """Which shard audits which tests.

    Parameters:
        shard: the shard of this session; ``None``: it audits all.
        times: test -> how many seconds its audit took in an earlier session.
        named: the file with the times, or ``""`` if the user has named none.

    Attributes:
        owners: test that is dealt as a whole -> the number of its shard.
        name: names the choice; ``""`` if no test is dealt as a whole.
    """

    shard: Shard | None
    times: Mapping[str, float] = field(default_factory=dict)
    named: str = ""
    owners: dict[str, int] = field(default_factory=dict, init=False)
    name: str = field(default="", init=False)

    @classmethod
    def made(cls, shard: Shard | None, chosen: SessionSettings) -> Dealing:
        """Return the dealing for a session.

        Raises:
            pytest.UsageError: the file of results that the user has named cannot be read.
        """
        if shard is None or chosen.cache is None:
            return cls(shard)
        try:
            return cls(shard, seconds_in(chosen.cache), chosen.cache)
        except UnusableStoreError as error:
            message = f"--maskcheck-cache is {chosen.cache}, which cannot be used: {error}; leave it out, or name another file"
            raise pytest.UsageError(message) from None

    def deal(self, tests: Iterable[str]) -> None:
        """Deal out the tests to audit."""
        if self.shard is None:
            return
        whole = {test: self.times[test] for test in tests if test in self.times}
        fair = sum(whole.values()) / self.shard.of
        divided = 0.0  # burdens all shards alike
        while whole:
            self.owners, loads = _greedy(whole, self.shard.of)
            busiest = loads.index(max(loads))
            if loads[busiest] + divided / self.shard.of <= _SLACK * fair:
                break
            longest = max(
                (test for test in whole if self.owners[test] == busiest + 1), key=lambda test: (whole[test], test)
            )
            divided += whole.pop(longest)
            del self.owners[longest]
        if self.owners:
            text = "\n".join(f"{number} {test}" for test, number in sorted(self.owners.items()))
            self.name = sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:8]

    def part_of(self, test: str) -> Shard | None:
        """Return the part of a test's points that this session audits; ``None``: all of them, or none."""
        return None if test in self.owners else self.shard

    def against(self, test: str) -> Reason | None:
        """Return why this session does not audit a test: another shard does; else ``None``."""
        owner = self.owners.get(test)
        if self.shard is None or owner in (None, self.shard.number):
            return None
        return Reason(NotAudited.WHOLE_ELSEWHERE, shard=f"{owner}/{self.shard.of}", dealing=self.name)

    def header(self) -> list[str]:
        """Return a line on how tests are dealt out; none if all are audited here."""
        if self.shard is None:
            return []
        if self.times:
            how = f"whole tests, by the times of {count(self.times, 'test')} in {self.named}; others point by point"
        elif self.named:
            how = f"each test point by point, as there are no times in {self.named}"
        else:
            how = "each test point by point, as --maskcheck-cache names no file with times"
        return [f"maskcheck: shard {self.shard}: {how}"]


def _greedy(times: Mapping[str, float], shards: int) -> tuple[dict[str, int], list[float]]:
    """Return the shard of each test, and how many seconds each shard has to do."""
    owners: dict[str, int] = {}
    loads = [0.0] * shards
    for test in sorted(times, key=lambda test: (-times[test], test)):
        least = loads.index(min(loads))
        loads[least] += times[test]
        owners[test] = least + 1
    return owners, loads
