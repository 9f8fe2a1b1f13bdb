"""The audit of one callable: walk the points, interrupt, judge. Imports neither pytest nor coverage.

An executor makes the runs (:class:`~pytest_maskcheck.runs.requests.Executor`): in this process, in forked ones, or in a way that may be
added later. The runs it returns are judged by these rules:

1. A point passes only if its interrupt was delivered there and nothing was wrong afterwards (:mod:`.proof`, :mod:`.findings`).
2. A finding that makes a test fail is confirmed (:mod:`.confirmation`).
3. The next run is the retry. If it fails, hangs or strays before its own point, an earlier interrupt may have left the code unusable
   (:mod:`.blame`). A full run follows after all points that passed. One also follows after each point that leaves modules in a different
   state than an uninterrupted run does, or that may leave something where no comparison can see it
   (:class:`~pytest_maskcheck.runs.requests.Conditions`).
4. What an uninterrupted run leaves behind too is no finding, up to the same number (:mod:`.left_anyway`).
5. At a point where CPython has a known defect, CPython is to blame only for findings that disappear when the interrupt goes past the
   defect (:mod:`.excuses`).
6. Two runs that lose the same kind at the same origin have the same finding, whatever its name (:mod:`.naming`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, assert_never

from pytest_maskcheck.audit.attribution import Attribution
from pytest_maskcheck.audit.blame import Blame
from pytest_maskcheck.audit.categories import sort_out
from pytest_maskcheck.audit.confirmation import Confirmation
from pytest_maskcheck.audit.failed_runs import strayed
from pytest_maskcheck.audit.final_results import FinalResults
from pytest_maskcheck.audit.findings import Findings, is_failing
from pytest_maskcheck.audit.left_anyway import LeftAnyway, steady
from pytest_maskcheck.audit.naming import PatternSearch, named_result
from pytest_maskcheck.audit.rules import Allowances
from pytest_maskcheck.audit.stage import Stage
from pytest_maskcheck.audit.swallowed import Catchers
from pytest_maskcheck.resources.known_patterns import Patterns
from pytest_maskcheck.results import Point, PointResult
from pytest_maskcheck.runs.requests import Catch, HeldBack, PastDefect, Timed, Trace

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from pytest_maskcheck.audit.naming import Name
    from pytest_maskcheck.audit.rules import Rules
    from pytest_maskcheck.points.plan import Plan
    from pytest_maskcheck.runs.requests import Executor, Last, Request, RunResult

_RECURRING = 32
"""Points with a known leak that one process passes at most, as each may cost it a descriptor."""


@dataclass(slots=True, repr=False)
class Judge:
    """Audits the points of a plan with an executor.

    Parameters:
        executor: makes the runs.
        plan: the points.
        rules: what counts as a failure.
        report: called with each final result.
        traced: names of the kinds whose origin a watched run shows -> whether a leftover of the kind blocks others.
        looking: runs made within it record the state of modules.
        late: returns whether no more than the given number of seconds is left. Once the time is up, only a first point is still audited.
        common: a description of what all processes share, which an interrupt may have spoiled for all of them.
        pauses: returns whether to leave the other points for later, where a process has ended: how many were done, and how many are left.
        release: makes a further run possible in the process that calls it, after a leak; returns whether it is.
        announce: called when the audit begins to do something else than to interrupt at further points.

    Attributes:
        results: id of a point -> its final result.
        left_anyway: what the uninterrupted test leaves behind.
        allowances: drops allowed findings, and records them.
        findings: judges single runs.
        untraced: number of failing points that were not traced because the time was up.
        unsettled: ids of points whose interrupts left modules in another state than an uninterrupted run, or may have.
    """

    executor: Executor
    plan: Plan
    rules: Rules
    report: Callable[[PointResult], object] = lambda _: None
    traced: Mapping[str, bool] = field(default_factory=dict)
    looking: Callable[[], AbstractContextManager[None]] = nullcontext
    late: Callable[[float], bool] = lambda _seconds: False
    common: str = ""
    pauses: Callable[[int, int], bool] = lambda _done, _left: False
    release: Callable[[], bool] = lambda: True
    announce: Callable[[Stage], object] = lambda _: None
    results: dict[str, PointResult] = field(init=False)
    left_anyway: LeftAnyway = field(init=False)
    allowances: Allowances = field(init=False)
    findings: Findings = field(init=False)
    untraced: int = field(default=0, init=False)
    unsettled: set[str] = field(default_factory=set, init=False)
    _patterns: Patterns = field(default_factory=Patterns, init=False)
    _search: PatternSearch = field(init=False)
    _catchers: Catchers = field(init=False)
    _final: FinalResults = field(init=False)
    _blame: Blame = field(init=False)
    _confirmation: Confirmation = field(init=False)
    _attribution: Attribution = field(init=False)

    def __post_init__(self) -> None:
        """Wire the parts; one set of patterns names the findings in all of them."""
        patterns = self._patterns
        self._search = PatternSearch(self.executor, self.traced, patterns)
        self._catchers = Catchers(self.executor)
        self._final = FinalResults(self.report, patterns)
        self.results = self._final.by_point
        self.left_anyway = LeftAnyway(patterns)
        self.allowances = Allowances(self.rules, patterns)
        self.findings = Findings(self.allowances, self.left_anyway, self._catchers, self.results)
        self._blame = Blame(self.executor, self._final, self.late, self.looking, self.common)
        self._confirmation = Confirmation(self.executor, self.findings, self._search, self._blame, self.announce)
        self._attribution = Attribution(self.executor, self.traced, patterns, self.late)

    def learn_left_anyway(self, *runs: Counter[Name]) -> None:
        """Record what each of several uninterrupted runs left behind.

        If names differ between the runs, more runs are made to find out which names belong to one thing.
        """
        self.left_anyway.numbers = steady(self._search.compare_uninterrupted(runs))

    def audit(self) -> tuple[PointResult, ...]:
        """Audit every point of the plan that has no result yet, while there is time; report each result as soon as it is final."""
        points = self.plan.points
        todo = [point for point in points if point.id not in self.results]
        position = 0
        while position < len(todo) and not self._is_over() and not self._blame.spoiled:
            position = self._sequence(todo, position)
            if self.pauses(position, len(todo) - position):
                break
        self._blame.follow_up()
        if self._blame.spoiled:
            for point in todo[position:]:
                self._final.take(PointResult(point.id, reason=self._blame.spoiled))
        audited = [point for point in points if point.id in self.results]
        self.explain(audited)
        self._search.compare_points(self.results.values())
        self._final.rename()
        return tuple(self.results[point.id] for point in audited)

    def _is_over(self) -> bool:
        """Return whether no further point is audited, as the time is up; an audit that has begun gives at least one result."""
        return bool(self.results) and self.late(0.0)

    def sort_out(self, points: Sequence[Point], *, complete: bool) -> tuple[PointResult, ...]:
        """Return the results of these points with the category of each finding; see :func:`.categories.sort_out`."""
        found = [self.results[point.id] for point in points]
        known = self._attribution
        return sort_out(
            points, found, known.outlasting, strict=self.rules.strict, passed=known.passed, complete=complete
        )

    def explain(self, points: Sequence[Point]) -> None:
        """Find the origins of what was left behind at these points, while there is time."""
        rows = [(point, named_result(self.results[point.id], self._patterns)) for point in points]
        if any(self._attribution.is_open(*row) for row in rows):
            self.announce(Stage.TRACING)
        for result in self._attribution.explain(rows):
            self._final.take(result)
        rows = [(point, self.results[point.id]) for point in points if is_failing(self.results[point.id])]
        self.untraced += sum(self._attribution.is_open(*row) for row in rows)

    def take(self, point: Point, ran: RunResult, again: RunResult | None = None) -> None:
        """Judge a run that was made in a process of its own.

        Parameters:
            point: where it was interrupted.
            ran: the run.
            again: the run after it in the same process, if one was made.
        """
        result = self.findings.result(point, ran)
        failing = is_failing(result)
        self._note_change(point, changed=again is not None)
        result = self._confirmation.settle(point, result, fresh=True)
        if not failing and again is not None and strayed(again):
            self._blame.suspect([point], result, again)
            return
        self._final.take(result)

    def _note_change(self, point: Point, *, changed: bool) -> None:
        if changed:
            self.unsettled.add(point.id)

    def stops(self, request: Request, ran: RunResult) -> bool:
        """Return whether the process that made the run must not make further ones."""
        match request:
            case None | Trace() | PastDefect() | HeldBack() | Timed():
                return True
            case Catch(point) | (Point() as point):
                return self._ends(point, ran, self.findings.result(point, ran))
            case _:
                assert_never(request)

    def _ends(self, point: Point, ran: RunResult, result: PointResult) -> bool:
        """Return whether a run with this result is the last of its process."""
        if point.defect and result.findings:
            return True  # a run past the defect comes next, in a clean process
        return bool(result.reason or ran.died or ran.folded or is_failing(result) or self.left_anyway.is_exceeded(ran))

    def _last(self) -> Last:
        """Return what ends the process of a sequence."""
        made = known = 0  # counted in that process: its runs, and those with a known leak

        def last(request: Request, ran: RunResult) -> bool:
            nonlocal made, known
            recurs = made == known and self._recurs(request, ran) and self.release()
            made, known = made + 1, known + recurs
            if known:
                return not recurs or known == _RECURRING or self.late(0.0)
            return self.stops(request, ran) or self.late(0.0)

        return last

    def _pass_known(
        self, points: Sequence[Point], start: int, runs: Iterator[RunResult]
    ) -> tuple[int, Iterator[RunResult]]:
        """Take the results of the points with known leaks with which a process begins.

        Returns:
            The position after them, and the runs from there on.
        """
        position = start
        for ran in runs:
            if position == len(points) or ran.spoiled or not self._recurs(points[position], ran):
                return position, chain([ran], runs)
            point = points[position]
            self._blame.latest, self._blame.was_followed = point, False
            self._note_change(point, changed=ran.changed)
            self._final.take(self.findings.result(point, ran))
            position += 1
        return position, runs

    def _recurs(self, request: Request, ran: RunResult) -> bool:
        """Return whether a run shows only leaks that were confirmed at other points, and that do not affect further runs."""
        if not (isinstance(request, Point) and self.executor.clean and ran.passable and not request.defect):
            return False
        result = self.findings.result(request, ran)
        return not (result.reason or ran.died or ran.folded or ran.error) and self._confirmation.recurs(result)

    def _sequence(self, points: list[Point], start: int) -> int:
        """Interrupt at points from ``start`` on, in one process while nothing new fails; return the position to go on from."""
        requests = [Catch(point) if self._catchers.watching else point for point in points[start:]]
        with closing(self.executor.runs([*requests, None], self._last())) as runs:
            passed, others = self._pass_known(points, start, runs)
            # After a known leak, only a clean process can show anything else.
            return passed if passed > start else self._judge_sequence(points, start, others, runs.close)

    def _judge_sequence(
        self, points: list[Point], start: int, runs: Iterator[RunResult], close: Callable[[], object]
    ) -> int:
        """Judge the runs of one process, while nothing fails; return the position to go on from.

        A point with no finding of its own waits for the next run, which shows whether the code still works.
        """
        waiting: PointResult | None = None  # no finding of its own; final once the next run has gone well
        try:
            for position, ran in enumerate(runs, start):
                if ran.spoiled:
                    self._blame.retry(ran)
                    return position
                is_stray = strayed(ran)
                if waiting is not None and not is_stray:
                    self._final.take(waiting)
                if position >= len(points) or (is_stray and position > start):
                    break
                self._blame.latest, self._blame.was_followed = points[position], True
                if ran.caught is not None:
                    self._catchers.take(points[position], ran.caught)
                result = waiting = self.findings.result(points[position], ran)
                self._note_change(points[position], changed=ran.changed)
                if self._ends(points[position], ran, result):
                    self._blame.was_followed = False
                    break
            else:  # the time is up: no run followed the last one
                if position > start:
                    return position
        finally:
            close()  # never two processes at a time
        fresh = position == start
        if is_stray and not fresh:
            assert waiting is not None
            self._blame.suspect(points[start:position], waiting, ran)
            return position
        if position >= len(points):
            return position
        self._blame.unfollowed += points[start:position]
        assert result is waiting
        if result.reason and not fresh:
            return position  # the run took another path than before: try the point in a clean process
        self._final.take(self._confirmation.settle(points[position], result, fresh=fresh))
        return position + 1
