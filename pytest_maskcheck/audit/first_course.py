"""The audit of what only the first run in a process reaches, made in a process where the test has not run; see :mod:`.first_use`."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from pytest_maskcheck.audit.failed_runs import trouble
from pytest_maskcheck.audit.first_use import FirstPlan, FirstRuns, key_of, keys_of
from pytest_maskcheck.audit.left_anyway import leftovers
from pytest_maskcheck.audit.messages import FirstUseReached, Touched
from pytest_maskcheck.audit.preparation import Refused
from pytest_maskcheck.audit.steps import categorize, new_judge, report_the_rest, send_untraced
from pytest_maskcheck.points.plan import Plan
from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.results.lines import spans
from pytest_maskcheck.runs.child import OWN_GROUPS, in_child
from pytest_maskcheck.runs.forked import Forked
from pytest_maskcheck.runs.requests import alone
from pytest_maskcheck.system.stopwatch import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_maskcheck.audit.assignment import Assignment, Send
    from pytest_maskcheck.audit.first_use import FirstPoint
    from pytest_maskcheck.audit.instruments import Instruments
    from pytest_maskcheck.audit.judge import Judge
    from pytest_maskcheck.interrupts import Recording
    from pytest_maskcheck.results import Point


class FirstCourse:
    """The audit of the first run in a process.

    Parameters:
        assignment: what it is to do.
        instruments: what it works with.
    """

    def __init__(self, assignment: Assignment, instruments: Instruments) -> None:
        self._assignment = assignment
        self._instruments = instruments

    def run(self, send: Send, warm: frozenset[int]) -> None:
        """Audit the first run, and send the results.

        Parameters:
            send: receives messages.
            warm: what later runs reach; see :func:`.first_use.keys_of`.
        """
        budget, maker = self._assignment.budget, self._instruments.maker
        if budget and budget.over(self._assignment.seconds):
            send(FirstUseReached({}, budget.reason))
            return
        # What only a first run does would pass for clean-up code: nobody measures it uninterrupted.
        self._instruments.runner.since = None
        maker.freeze_first()
        planned = self._find(warm)
        if isinstance(planned, Reason):
            if planned.code is not NotAudited.UNTOUCHED:
                send(FirstUseReached({}, planned))
            return
        if self._assignment.changed:
            send(Touched())
        chosen = self._wanted(planned)
        if not chosen:
            return
        codes = planned.here()
        shown = [each.point for each in chosen]
        maker.aims |= {each.point.id: each.aim(codes) for each in chosen}
        maker.freeze()  # otherwise each child would look through the whole heap again
        limit = self._assignment.settings.timeout
        executor = FirstRuns(Forked(maker.make_run, limit, self._instruments.names.short, warm=False))
        ordinary = alone(executor, None)[0]
        if not ordinary.passed:
            send(FirstUseReached({}, Reason(NotAudited.FIRST_RUN_FAILS, trouble=trouble(ordinary))))
            return
        send(Plan([*shown], {}, {}))
        judge = new_judge(self._assignment, self._instruments, executor, send)
        # What an uninterrupted first run leaves behind is the purpose of first use. There is only this one run, so it counts as both.
        judge.learn_left_anyway(leftovers(ordinary), leftovers(ordinary))
        self._audit(judge, shown, send)

    def _audit(self, judge: Judge, shown: Sequence[Point], send: Send) -> None:
        """Interrupt at each point in a process of its own, while there is time."""
        budget = self._assignment.budget
        for point in shown:
            if judge.late(0.0):
                break
            ran, *again = judge.executor.runs([point, None], judge.stops)
            judge.take(point, ran, again[0] if again else None)
        judge.explain([point for point in shown if point.id in judge.results])
        send_untraced(judge, budget, send)
        categorize(judge, shown, send, complete=False)
        audited = {(point.path, point.line) for point in shown if point.id in judge.results}
        missed: dict[str, list[int]] = {}
        for point in shown:
            if (point.path, point.line) not in audited:
                missed.setdefault(point.path, []).append(point.line)
        send(FirstUseReached({path: spans(lines) for path, lines in missed.items()}))
        report_the_rest(judge, shown, budget)

    def _wanted(self, planned: FirstPlan) -> Sequence[FirstPoint]:
        """Return the points that are wanted: one, those of a shard, or all."""
        only, shard = self._assignment.only, self._assignment.shard
        chosen = [each for each in planned.points if only in {"", each.point.id}]
        return shard.deal(chosen) if shard else chosen

    def _find(self, warm: frozenset[int]) -> FirstPlan | Reason:
        """Return the points that only the first run in a process reaches, or why they are not known.

        A child makes the run: this process stays cold, so that further children can make it again.
        """
        assignment, instruments, budget = self._assignment, self._instruments, self._assignment.budget
        changed = assignment.changed
        selection, maker = instruments.selection, instruments.maker
        instruments.scope.open_up(*selection.files)

        def find(say: Send) -> None:
            if budget:  # a limit for this child alone: how long recording will take is not known
                maker.limit, maker.seconds = max(budget.left(), assignment.seconds), 0.0
            record = instruments.preparation.record

            def choose(recording: Recording) -> Plan:
                if changed is None:
                    return selection.first_plan(warm, recording)
                if not changed.touches(_lines(recording, frozenset())):
                    raise Refused(changed.reason)
                # Later runs were not recorded, as they are not touched. The second one may still do things for the first time.
                record(keys_of, *selection.files, thin=True)
                later = record(keys_of, *selection.files, thin=True)
                if not changed.touches(_lines(recording, later)):
                    raise Refused(changed.reason)
                return selection.first_plan(later, recording)

            try:
                say(FirstPlan.of(record(choose, *selection.files, thin=True)))
            except Refused as refused:
                say(refused.reason)

        limit = assignment.settings.timeout + 100 * assignment.seconds
        page = Page()
        try:
            with closing(in_child(find, page, lambda: limit, leader=OWN_GROUPS)) as said:
                planned: FirstPlan | Reason | None = next(said, None)
        finally:
            page.close()
        if planned is None:
            return budget.reason if budget and budget.over() else Reason(NotAudited.RECORDING_ENDED)
        return planned


def _lines(recording: Recording, but: frozenset[int]) -> dict[str, set[int]]:
    """Return lines of the functions that a run reached, by file: at least one of each; without hits with the keys ``but``."""
    lines: dict[str, set[int]] = {}
    for hit in recording.hits:
        if key_of(hit) in but:
            continue
        lines.setdefault(hit.code.co_filename, set()).update((hit.code.co_firstlineno, hit.line))
    for file, line in recording.other_threads:
        lines.setdefault(file, set()).add(line)
    return lines
