"""Audit points by snapshots: one run goes forward and forks at each point; see :mod:`pytest_maskcheck.runs.forward`.

A child that has an effect outside its process would disturb other children. The first such effect ends snapshots for the test: the
results of that pass are discarded, and its points are audited by running the test again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_maskcheck.audit.messages import StrategyChosen
from pytest_maskcheck.interrupts import nothing
from pytest_maskcheck.reasons import Reason
from pytest_maskcheck.reasons import Strategy as Code
from pytest_maskcheck.runs.forward import Snapshots

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_maskcheck.audit.assignment import Send
    from pytest_maskcheck.audit.instruments import Instruments
    from pytest_maskcheck.audit.judge import Judge
    from pytest_maskcheck.audit.strategy import Strategy
    from pytest_maskcheck.runs.requests import RunResult


@dataclass(frozen=True, slots=True)
class Struck:
    """Message: the test was interrupted at a point; the result follows when all points have been."""

    point: str


@dataclass(slots=True, repr=False)
class SnapshotAudit:
    """Audits those points of a judge's plan that can be audited by snapshots.

    Parameters:
        instruments: what the audit works with.
        judge: judges the runs.
        strategy: has the points for snapshots.
        passes_effect: whether the uninterrupted run has an effect outside the process.
        limit: seconds that a run may take.
        inspect: is passed each run before it is judged.
        send: receives messages.
    """

    instruments: Instruments
    judge: Judge
    strategy: Strategy
    passes_effect: bool
    limit: float
    inspect: Callable[[RunResult], None]
    send: Send
    _betrayed: Strategy | None = None

    def audit(self) -> None:
        """Audit the points; send how points are reached, and why."""
        judge = self.judge
        planned = {point.id for point in judge.plan.points}
        wanted = [point for point in self.strategy.snapshots if point.id in planned]
        if not wanted or self._betrayed:
            self.send(StrategyChosen((self._betrayed or self.strategy).text()))
            return
        maker = self.instruments.maker
        snapshots = Snapshots(
            maker.go_forward,
            lambda: maker.make_run(wanted[-1] if self.passes_effect else None, nothing),
            self.instruments.usual.holds,
            self.limit,
            self.instruments.names.short,
        )
        taken = []
        for snapshot in snapshots.take(wanted, judge.stops):
            self.inspect(snapshot.ran)
            taken.append(snapshot)
            self.send(Struck(wanted[snapshot.position].id))
            if judge.late(0.0):
                break
        if effect := next((snapshot.effect for snapshot in taken if snapshot.effect), ""):
            snapshots.ended = Reason(Code.INTERRUPTED_EFFECT, effect=effect)
            taken.clear()
        left = len(wanted) - len(taken)
        chosen = self.strategy.ended_early(snapshots.ended, left) if snapshots.ended else self.strategy
        if effect:
            self._betrayed = chosen
        self.send(StrategyChosen(chosen.text()))
        for snapshot in taken:
            judge.take(wanted[snapshot.position], snapshot.ran, snapshot.again)
