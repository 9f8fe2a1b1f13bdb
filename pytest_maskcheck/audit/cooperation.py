"""Audit the points of one test together with other workers; the board itself is in :mod:`.sharing`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from pytest_maskcheck.audit.sharing.board import Done
from pytest_maskcheck.points.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_maskcheck.audit.assignment import Send
    from pytest_maskcheck.audit.cleanup_record import CleanupRecord
    from pytest_maskcheck.audit.judge import Judge
    from pytest_maskcheck.audit.sharing.helper import Helper
    from pytest_maskcheck.audit.sharing.lead import Lead
    from pytest_maskcheck.results import Audit, Point


@dataclass(slots=True, repr=False)
class Cooperation:
    """This process's part in an audit by several workers.

    Parameters:
        judge: audits points here.
        outline: the audit as it is known before its points.
        seconds: duration of a run.
        notes: the notes that this process has sent so far; grows while it audits.
        send: receives messages.
        record: the lines that ran from interrupts on.
    """

    judge: Judge
    outline: Audit
    seconds: float
    notes: Sequence[str]
    send: Send
    record: CleanupRecord
    _passed_on: int = 0

    def lead(self, lead: Lead) -> None:
        """Offer the points of the judge's plan that have no result yet, and audit them together with any helpers."""
        judge, send = self.judge, self.send

        def take(done: Done) -> None:
            for result in done.results:
                judge.results[result.point] = result
                send(result)
            for note in done.notes:
                if note not in self.notes:
                    send(note)
            for name, places in done.allowed.items():
                judge.allowances.dropped.setdefault(name, set()).update(places)
            judge.unsettled |= done.unsettled
            self.record.add(done.since)

        firsts = {point.first.id: judge.results[point.first.id] for point in judge.plan.points if point.first}
        done = [point for point in judge.plan.points if point.id in judge.results]
        audit = replace(self.outline, points=tuple(each for each in judge.plan.points if each.id not in judge.results))
        # Does not run these points again for a verdict: finds the origins of what is in the results that snapshots gave.
        self._audit(done)
        wait = partial(send, None)
        judge.pauses = lead.goes_on_with_others
        lead.work(
            audit,
            self.seconds,
            do=self._audit,
            take=take,
            wait=wait,
            firsts=firsts,
            left_anyway=judge.left_anyway.numbers,
        )

    def help(
        self,
        helper: Helper,
        planned: Mapping[str, Point],
        pairs: Callable[[Mapping[str, Point], Sequence[Point]], Mapping[str, Point]],
    ) -> None:
        """Audit offered points, as long as this process would have planned the same ones.

        Parameters:
            helper: claims chunks of the offer.
            planned: the points with one interrupt that this process found, by id.
            pairs: returns the points with a second interrupt after some of the planned ones.
        """
        offer = helper.offer
        self.judge.results |= offer.firsts
        self.judge.left_anyway.numbers = offer.left_anyway
        known = partial(pairs, planned) if offer.firsts else lambda _: planned
        helper.work(self.outline.left_anyway, known, self._audit)

    def _audit(self, chosen: Sequence[Point]) -> Done:
        """Audit some points; results and allowed leftovers of earlier ones stay in the judge."""
        self.judge.plan = Plan([*chosen])
        results = self.judge.audit()
        notes, self._passed_on = self.notes[self._passed_on :], len(self.notes)
        unsettled = frozenset(self.judge.unsettled)
        return Done("", results, tuple(notes), self.judge.allowances.dropped, unsettled, self.record.lines)
