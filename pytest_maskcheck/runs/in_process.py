"""Runs in the process of the session, without isolation: hangs and crashes are not caught."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_maskcheck.runs.requests import Conditions
from pytest_maskcheck.runs.sequence import changes_modules, make, needs_whole_run

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from pytest_maskcheck.runs.requests import Last, MakesRuns, Request, RunResult


@dataclass(slots=True, repr=False)
class InProcess:
    """An executor without isolation: runs are made here and what they leave is repaired as far as it can be.

    Parameters:
        run: makes one run.
        conditions: check the process between runs.
    """

    run: MakesRuns
    conditions: Conditions = field(default_factory=Conditions)

    @property
    def clean(self) -> bool:
        """Whether each sequence of runs has a process of its own."""
        return False

    def runs(self, requests: Sequence[Request], last: Last) -> Generator[RunResult, None, None]:
        """See :class:`pytest_maskcheck.runs.requests.Executor`."""
        for turn, request in enumerate(requests):
            ran = make(self.run, request, lambda: None)
            ran.changed = changes_modules(self.conditions, request)
            yield ran
            if last(request, ran) or ran.error is not None:
                break
            if needs_whole_run(ran, requests[turn + 1 :]):
                following = self.run(None, lambda: None)
                if not following.passed:
                    yield following
                    break
                self.conditions.settle()  # what stays changed becomes usual, as no other process could take over
