"""What the uninterrupted test leaves behind too: up to the same number of each is no finding."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_maskcheck.audit.naming import Name
    from pytest_maskcheck.resources import Leftover
    from pytest_maskcheck.resources.known_patterns import Patterns
    from pytest_maskcheck.runs.requests import RunResult


@dataclass(slots=True, repr=False)
class LeftAnyway:
    """What the uninterrupted test leaves behind.

    Parameters:
        patterns: names that differ from run to run.
        numbers: kind and key -> how many of them the test leaves; see :func:`steady`.
    """

    patterns: Patterns
    numbers: Mapping[Name, float] = field(default_factory=dict)

    def beyond(self, ran: RunResult) -> tuple[list[Leftover], list[Leftover]]:
        """Return what a run leaked and dropped beyond what an uninterrupted run does."""
        if not (ran.leaked or ran.dropped):
            return [], []
        room = dict(self.numbers)

        def surplus(leftovers: Iterable[Leftover]) -> Iterator[Leftover]:
            for leftover in leftovers:
                name = leftover.kind, self.patterns.name(leftover.kind, leftover.key)
                if room.get(name, 0) <= 0:
                    yield leftover
                else:
                    room[name] -= 1

        # Both draw on the same numbers: what the uninterrupted run leaks, this one may drop, and vice versa.
        return [*surplus(ran.leaked)], [*surplus(ran.dropped)]

    def is_exceeded(self, ran: RunResult) -> bool:
        """Return whether a run leaked what an uninterrupted run does not; warnings do not count."""
        return any(leftover.kind != "implicit" for leftover in self.beyond(ran)[0])


def leftovers(ran: RunResult) -> Counter[Name]:
    """Return how many things of each kind and key an uninterrupted run leaves behind."""
    return Counter((leftover.kind, leftover.key) for leftover in (*ran.leaked, *ran.dropped))


def steady(runs: Sequence[Mapping[Name, int]]) -> dict[Name, float]:
    """Return how many things of each kind and key uninterrupted runs leave behind; infinitely many if the runs disagree.

    The number of warnings is always infinite, as it depends on the garbage collector.
    """
    names = set().union(*runs)
    numbers = {name: {run.get(name, 0) for run in runs} for name in names}
    return {
        name: max(each) if len(each) == 1 and name[0] != "implicit" else float("inf") for name, each in numbers.items()
    }
