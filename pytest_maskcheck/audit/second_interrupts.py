"""Find the points with a second interrupt: make a run for each first interrupt, and record what it reaches from there on.

These runs are made in the auditing process itself. None of them should leave anything behind, as a first interrupt that does so alone
gets no second one. If modules differ afterwards all the same, a whole run follows, and the state after it becomes the usual one.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_maskcheck.audit.messages import PairsSought
from pytest_maskcheck.points.pairs import reason_against_more
from pytest_maskcheck.points.plan import Plan
from pytest_maskcheck.reasons import NotAudited, Reason, as_second
from pytest_maskcheck.system import signals
from pytest_maskcheck.system.frozen_heap import FrozenHeap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_maskcheck.audit.assignment import Assignment, Send
    from pytest_maskcheck.audit.instruments import Instruments
    from pytest_maskcheck.points.pairs import Pairs
    from pytest_maskcheck.results import Point, PointResult


@dataclass(slots=True, repr=False)
class SecondInterrupts:
    """Finds the points with a second interrupt.

    Parameters:
        assignment: what the audit is to do.
        instruments: what it works with.
        seconds: duration of a run.
        send: receives messages.
    """

    assignment: Assignment
    instruments: Instruments
    seconds: float
    send: Send

    def after(self, plan: Plan, results: Mapping[str, PointResult]) -> Plan:
        """Return the points with a second interrupt after those of a plan, as far as there is time.

        Parameters:
            plan: points with one interrupt.
            results: the results of these points.
        """
        maker, selection, usual = self.instruments.maker, self.instruments.selection, self.instruments.usual
        mode = self.assignment.settings.points
        share = self.assignment.budget and self.assignment.budget.half()
        timely = selection.sample(plan, share.room_for_recordings(self.seconds)) if share else frozenset()
        pairs = selection.pairs(selection.room)
        self.send(PairsSought(len(plan.points)))
        for point in plan.points:
            result = results.get(point.id)
            reason = reason_against_more(result) if result else None
            if share and not reason and (point.id not in timely or share.over()):
                reason = share.reason
            if reason := reason or self.instruments.mechanism.engine.reason_against_second(mode):
                pairs.without(reason)
                continue
            ran, tail = maker.follow(plan.aims[point.id])
            self.send(PairsSought(len(plan.points)))  # a sign of life
            if not ran.strike.landed:
                pairs.without(Reason(NotAudited.FIRST_UNSEEN))
                continue
            pairs.take(point, plan.aims[point.id], tail)
            if not usual.holds():  # otherwise the next first interrupt would meet what this one left
                self.instruments.preparation.run_through()
                usual.take()
        chosen = self._ready(pairs)
        selection.remove(chosen, self.send, as_second)
        self.send(Plan(chosen.points, {}, chosen.left_out))
        self.send(PairsSought(0))
        return chosen

    def of(self, planned: Mapping[str, Point], wanted: Sequence[Point]) -> dict[str, Point]:
        """Return, by id, all points with a second interrupt whose first interrupt a wanted point has, too.

        Parameters:
            planned: the points with one interrupt that this process found, by id.
            wanted: points that another worker found.
        """
        maker = self.instruments.maker
        pairs = self.instruments.selection.pairs(sys.maxsize)  # no limit here: the owner has taken the sample
        for name in dict.fromkeys(point.first.id for point in wanted if point.first):
            if name in planned:
                ran, tail = maker.follow(maker.aims[name])
                self.send(None)
                if ran.strike.landed:
                    pairs.take(planned[name], maker.aims[name], tail)
        return {point.id: point for point in self._ready(pairs).points}

    def _ready(self, pairs: Pairs) -> Plan:
        """Return the collected points, and pass their aims to the run maker."""
        chosen = pairs.plan()
        self.instruments.maker.aims |= chosen.aims
        signals.collect_garbage()
        FrozenHeap.freeze()  # readings of the heap must not take the recordings for new objects
        return chosen
