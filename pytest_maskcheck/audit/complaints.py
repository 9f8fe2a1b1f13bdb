"""Complaints of user-defined kinds: a kind that fails in a run is reported once, and is not used in later processes."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from pytest_maskcheck.audit.assignment import Send
    from pytest_maskcheck.resources import UserKind
    from pytest_maskcheck.runs.requests import Executor, Last, Request, RunResult


@dataclass(slots=True, repr=False)
class Complaints:
    """Collects the complaints of user-defined kinds.

    Parameters:
        kinds: the user-defined kinds.
    """

    kinds: Sequence[UserKind]
    _failed: set[str] = field(default_factory=set)

    def send_new(self, complaints: Mapping[str, str], send: Send) -> None:
        """Send the complaint of each kind that fails for the first time, and switch that kind off in processes forked later."""
        for name, complaint in complaints.items():
            if name not in self._failed:
                self._failed.add(name)
                send(complaint)
            for kind in self.kinds:
                if kind.name == name:
                    kind.complaint = complaint

    def of_kinds(self) -> dict[str, str]:
        """Return the complaints that arose in this process."""
        return {kind.name: kind.complaint for kind in self.kinds if kind.complaint}


@dataclass(slots=True, repr=False)
class Inspected:
    """An executor that passes each run to ``inspect`` before it is judged."""

    executor: Executor
    inspect: Callable[[RunResult], None]

    @property
    def clean(self) -> bool:
        """Whether each sequence of runs has a process of its own."""
        return self.executor.clean

    def runs(self, requests: Sequence[Request], last: Last) -> Generator[RunResult, None, None]:
        """See :class:`pytest_maskcheck.runs.requests.Executor`."""
        with closing(self.executor.runs(requests, last)) as runs:
            for ran in runs:
                self.inspect(ran)
                yield ran
