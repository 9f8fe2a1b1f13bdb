"""The ways to isolate runs from the session, each an executor in a file of its own.

Update :data:`ISOLATIONS` when you add one, the choices of the setting ``isolation`` (:mod:`pytest_maskcheck.settings`, and the help in
``plugin.py``), and :class:`pytest_maskcheck.reasons.Isolation`, whose member has the same word. ``session/order_maker.py`` chooses one
for ``isolation=auto``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pytest_maskcheck.runs.forked import Forked
from pytest_maskcheck.runs.in_process import InProcess

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_maskcheck.runs.requests import Conditions, Executor, MakesRuns


class Isolates(Protocol):
    """Returns an executor that isolates runs in one way."""

    def __call__(self, run: MakesRuns, limit: float, name: Callable[[str], str], conditions: Conditions, /) -> Executor:
        """Return an executor.

        Parameters:
            run: makes one run in this process.
            limit: seconds that one run may take.
            name: shortens file names.
            conditions: prepare the process, and check it between runs.
        """
        ...


ISOLATIONS: dict[str, Isolates] = {
    "fork": lambda run, limit, name, conditions: Forked(run, limit, name, conditions=conditions),
    "none": lambda run, _limit, _name, conditions: InProcess(run, conditions),
}
"""The functions that return executors, by the value of the setting ``isolation``."""
