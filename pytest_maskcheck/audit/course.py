"""The course of one audit: prepare the test, choose points, judge, explain, categorize, and send the results.

It runs where runs are made: in the auditing process, or in the process of the session. It imports neither pytest nor coverage; the
session assembles what it works with (:class:`~pytest_maskcheck.audit.instruments.Instruments`).

The order of the steps matters:

1. Whatever makes objects for all later runs (plan, canaries) comes before the uninterrupted runs, which freeze the heap: later readings see
   new objects only.
2. Complaints of kinds, and the values at the end of the uninterrupted test, are settled between the last run in this process and the
   first worker.
3. Second interrupts come after all first ones: a first interrupt with a finding gets no second one.
4. Findings are categorized when all of them are known: the category of a finding depends on the other points.
5. Windows are tried last: they are those of the final findings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_maskcheck.audit import strategy
from pytest_maskcheck.audit.announcements import send_allowed, send_blind_kinds, send_ignores, send_reached
from pytest_maskcheck.audit.channels import separate
from pytest_maskcheck.audit.cleanup_record import CleanupRecord
from pytest_maskcheck.audit.complaints import Complaints, Inspected
from pytest_maskcheck.audit.cooperation import Cooperation
from pytest_maskcheck.audit.exposures import exposures
from pytest_maskcheck.audit.held_back import try_windows
from pytest_maskcheck.audit.left_anyway import leftovers
from pytest_maskcheck.audit.messages import LeftBehind, Retold, Unsettled, WindowsTried
from pytest_maskcheck.audit.preparation import Refused
from pytest_maskcheck.audit.second_interrupts import SecondInterrupts
from pytest_maskcheck.audit.sharing.helper import Helper
from pytest_maskcheck.audit.sharing.lead import Lead
from pytest_maskcheck.audit.snapshots import SnapshotAudit
from pytest_maskcheck.audit.steps import categorize, new_judge, report_the_rest, send_untraced
from pytest_maskcheck.audit.stories import ends, story
from pytest_maskcheck.interrupts import nothing
from pytest_maskcheck.points.plan import Plan
from pytest_maskcheck.reasons import Note, Reason
from pytest_maskcheck.resources.kinds.children import Children
from pytest_maskcheck.runs.forked import Forked
from pytest_maskcheck.runs.requests import alone
from pytest_maskcheck.system import descendants
from pytest_maskcheck.system.unpatched import time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_maskcheck.audit.assignment import Assignment, Send
    from pytest_maskcheck.audit.instruments import Instruments
    from pytest_maskcheck.audit.judge import Judge
    from pytest_maskcheck.audit.rehearsal import Uninterrupted
    from pytest_maskcheck.results import Audit, Point, Story
    from pytest_maskcheck.runs.requests import Executor, RunResult

_GRACE = 0.5
"""The points get at least this fraction of the time that preparing them took; otherwise that time would be wasted."""

NewExecutor = Callable[[float], "Executor"]
"""Returns an executor whose runs may take the given number of seconds."""


@dataclass(frozen=True, slots=True, repr=False)
class _Prepared:
    """What is known before the first interrupt.

    Parameters:
        plan: the points with one interrupt.
        shown: the points of the plan that are audited; none if the one point wanted has a second interrupt.
        uninterrupted: what the test does without an interrupt.
        dealt: a digest of all points, if only those of one shard are in the plan.
        reached: file -> the lines that the test reached.
        ignores: place of an ignore comment -> whether it left out a point.
        complete: nothing was left out of the plan but points without a finding.
    """

    plan: Plan
    shown: list[Point]
    uninterrupted: Uninterrupted
    dealt: str
    reached: dict[str, str]
    ignores: dict[str, bool]
    complete: bool


class Course:
    """The audit of one test.

    Parameters:
        assignment: what it is to do.
        instruments: what it works with.

    Attributes:
        failing: the first point that fails, for a debugger; ``None`` if none does, or other workers take part.
    """

    def __init__(self, assignment: Assignment, instruments: Instruments) -> None:
        self._assignment = assignment
        self._instruments = instruments
        self._complaints = Complaints(instruments.user_kinds)
        self._notes: list[str] = []
        self.failing: Point | None = None

    def run(self, send: Send, new_executor: NewExecutor) -> None:
        """Audit the test, and send the results."""

        def noting(message: object) -> None:
            if isinstance(message, str):
                self._notes.append(message)
            send(message)

        try:
            prepared = self._prepare(noting)
        except Refused as refused:
            noting(refused)
            return
        if prepared is not None:
            self._judge_points(prepared, noting, new_executor)

    def _prepare(self, send: Send) -> _Prepared | None:
        """Make the uninterrupted runs and choose the points; return ``None`` if there are none.

        Raises:
            Refused: the test cannot be audited.
        """
        assignment, instruments = self._assignment, self._instruments
        settings, selection, preparation = assignment.settings, instruments.selection, instruments.preparation
        thin = settings.hits is not None and not assignment.only
        instruments.maker.freeze_first()
        plan = preparation.find(selection.plan, *selection.files, thin=thin, measured=self._check_touched)
        reached = send_reached(instruments, send)
        selection.remove(plan, send)
        pair = assignment.wants_pair
        selection.room = settings.max_points - (0 if pair else len(plan.points))
        dealt = selection.deal(plan, assignment.shard, send) if assignment.shard else ""
        shown = [] if pair else plan.points  # the wanted pair is found later, after the first interrupt in the plan
        left_out_at = plan.places_by(instruments.names.short)
        send(replace(plan, points=shown, aims={}, left_out_at=left_out_at))
        complete = not (assignment.only or assignment.shard or plan.found) and len(plan.points) < settings.max_points
        ignores = send_ignores(instruments, send)
        if not plan.points:
            CleanupRecord().send(instruments, send)
            return None
        send_blind_kinds(instruments, assignment.seeing, send)
        # A rehearsal finds the points before the first effect outside the process; only snapshots need it.
        rehearsed = [] if assignment.why_rerun else shown
        uninterrupted = preparation.run_twice(rehearsed, instruments.usual.take)
        instruments.usual.learn(preparation.run_through)
        return _Prepared(plan, shown, uninterrupted, dealt, reached, ignores, complete)

    def _check_touched(self) -> None:
        """Check that the test reaches what changed.

        Raises:
            Refused: it does not.
        """
        changed = self._assignment.changed
        if changed and not changed.touches(self._instruments.scope.lines):
            raise Refused(changed.reason)

    def _judge_points(self, prepared: _Prepared, send: Send, new_executor: NewExecutor) -> None:
        """Interrupt the test at its points, and judge the runs."""
        self._settle(send)
        assignment, shown, seconds = self._assignment, prepared.shown, prepared.uninterrupted.seconds
        limit = assignment.settings.timeout + 10 * seconds
        record = CleanupRecord()

        def inspect(ran: RunResult) -> None:
            self._complaints.send_new(ran.complaints, send)
            record.take(ran)

        executor = Inspected(new_executor(limit), inspect)
        if executor.clean:
            # The first snapshot of each worker lists all objects that are not frozen, and so copies the memory of what preparing has made.
            self._instruments.maker.freeze()
        judge = self._new_judge(executor, prepared.uninterrupted, send)
        outline = self._outline(judge, prepared, send)
        second = SecondInterrupts(assignment, self._instruments, seconds, send)
        cooperation = Cooperation(judge, outline, seconds, self._notes, send, record)
        if isinstance(assignment.share, Helper):
            planned = {point.id: point for point in prepared.plan.points}
            cooperation.help(assignment.share, planned, second.of)
            return
        chosen = self._choose_strategy(shown, prepared.uninterrupted)
        passes_effect = bool(prepared.uninterrupted.rehearsal.effect)
        snapshots = SnapshotAudit(self._instruments, judge, chosen, passes_effect, limit, inspect, send)
        # Where runs are made in this process, the first one may leave it in a state in which no other gets to the point.
        apart = self._story_apart(prepared.plan, limit) if assignment.story_apart else None
        self._audit(cooperation, replace(prepared.plan, points=shown), snapshots.audit)
        if assignment.wants_pair or (assignment.settings.interrupts == 2 and not assignment.only):
            self._audit(cooperation, second.after(prepared.plan, judge.results))
        if assignment.share and (note := assignment.share.note()):
            send(note)
        if assignment.only and ends(judge, assignment.only):
            told = apart or story(executor, judge.plan, assignment.only)
            send(Retold(told) if told else None)
        final = categorize(judge, shown, send, complete=prepared.complete)
        # Without points next to each other there are no windows, and nothing holds an interrupt back that is raised by force.
        if executor.clean and not (assignment.only or assignment.shard) and self._instruments.maker.mode != "raise":
            send(WindowsTried(tuple(try_windows(judge, shown, final))))
        for message in exposures(judge, self._instruments.maker, shown, seconds, assignment.budget):
            send(message)
        send_untraced(judge, assignment.budget, send)
        send_allowed(judge, send)
        record.send(self._instruments, send)
        send(Unsettled(frozenset(judge.unsettled)))

    def _story_apart(self, plan: Plan, limit: float) -> Story | None:
        """Return the story of the one point wanted, recorded in a forked process."""
        maker, names = self._instruments.maker, self._instruments.names
        return story(Forked(maker.make_run, limit, names.short, warm=False), plan, self._assignment.only)

    def _settle(self, send: Send) -> None:
        """Settle what the uninterrupted runs left open: complaints, values at the end of the test, and the time for points."""
        self._complaints.send_new(self._complaints.of_kinds(), send)
        for note in self._instruments.ledger.settle():
            send(note)
        if self._assignment.budget:
            grace = _GRACE * (time.perf_counter() - self._assignment.began)
            self._assignment = replace(self._assignment, budget=self._assignment.budget.at_least(grace))

    def _new_judge(self, executor: Executor, uninterrupted: Uninterrupted, send: Send) -> Judge:
        """Return a judge that compares runs with the uninterrupted ones."""
        assignment, instruments = self._assignment, self._instruments
        if beyond := instruments.usual.beyond:
            send(Reason(Note.TOO_MUCH, what=beyond))
        common = separate(assignment.channels, instruments.conditions, executor, send)
        judge = new_judge(assignment, instruments, executor, send, common)
        judge.learn_left_anyway(*_left_anyway(uninterrupted, executor))
        return judge

    def _outline(self, judge: Judge, prepared: _Prepared, send: Send) -> Audit:
        """Send what the uninterrupted test leaves behind; return what is known of the audit before its points."""
        names = (f"{kind}:{key}" for kind, key in judge.left_anyway.numbers)
        left_anyway = tuple(sorted({*names, *self._assignment.left}))
        send(LeftBehind(left_anyway))
        return self._assignment.outline(
            left_out=prepared.plan.left_out,
            ignores=prepared.ignores,
            left_anyway=left_anyway,
            plan=prepared.dealt,
            reached=prepared.reached,
        )

    def _choose_strategy(self, shown: list[Point], uninterrupted: Uninterrupted) -> strategy.Strategy:
        """Choose the points to audit by snapshots."""
        if self._assignment.why_rerun:
            return strategy.Strategy((), why=self._assignment.why_rerun)
        return strategy.choose(self._assignment.settings.strategy, shown, uninterrupted)

    def _audit(self, cooperation: Cooperation, plan: Plan, snapshots: Callable[[], object] = nothing) -> None:
        """Audit the points of a plan, alone or with other workers, as far as there is time.

        Parameters:
            cooperation: audits together with other workers.
            plan: the points.
            snapshots: audits some of the points in another way, before the others.
        """
        judge, assignment = cooperation.judge, self._assignment
        if isinstance(assignment.share, Lead):
            judge.plan = plan
            snapshots()
            cooperation.lead(assignment.share)
            return
        least = 0 if judge.results else 1  # a budget that is too small still audits one point
        selection, seconds = self._instruments.selection, cooperation.seconds
        for judge.plan in selection.batches(plan, assignment.budget, seconds, least):
            snapshots()
            judge.audit()
        results = ((point, judge.results.get(point.id)) for point in plan.points)
        failing = (point for point, result in results if result and any(each.fails for each in result.findings))
        self.failing = self.failing or next(failing, None)
        report_the_rest(judge, plan.points, assignment.budget)


def _left_anyway(uninterrupted: Uninterrupted, executor: Executor) -> Sequence[Counter[tuple[str, str]]]:
    """Return what uninterrupted runs leave behind.

    The auditing process, which made these runs, also adopts children of other processes and cannot tell them from its own. Workers
    adopt none, so the children that are left behind are counted there.
    """
    if not descendants.adopts() or not any(kind == Children.name for left in uninterrupted.left for kind, _ in left):
        return uninterrupted.left
    runs = [leftovers(ran) for ran in alone(executor, None, None) if ran.passed]
    children = [Counter({each: run[each] for each in run if each[0] == Children.name}) for run in runs]
    others = [Counter({each: left[each] for each in left if each[0] != Children.name}) for left in uninterrupted.left]
    return [left + more for left, more in zip(others, children, strict=False)] or uninterrupted.left
