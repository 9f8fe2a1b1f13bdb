"""The audit of one callable: warm up, baseline, points, interrupt, judge. Knows neither pytest nor coverage.

How runs are made is somebody else's (:class:`~pytest_maskcheck.runs.requests.Executor`): in this process, in forked ones, or in
whatever way comes later. What an executor returns is judged here, by these rules:

1. A point passes only if its interrupt was delivered there and nothing was wrong afterwards.
2. What makes a test fail was seen twice, the second time in a clean process; or the same thing was confirmed at
   another point and this one was seen in a clean process. Where all runs share a process, and it breaks the test so that no second run
   gets there, once is enough.
3. The next run is the retry: a run that fails, hangs or strays before its own point raises the suspicion that the
   one before it left the code unusable, or one before that. Which one it is, is found out in clean processes.
   After all points that passed there is a full run; and one after each point that leaves modules otherwise than an
   uninterrupted run does, or that may leave something where nobody can look (:class:`~pytest_maskcheck.runs.requests.Conditions`).
   Where all runs share a process or a channel, there is no clean one in which to find out: the run that was followed by a full one
   that fails is to blame, and what comes after it is not audited.
4. What an uninterrupted run leaves behind too is not a finding, as often as it leaves it.
5. Of what is found at a point where CPython has a known defect, only that is CPython's which is not found when the interrupt goes
   past the defect (:class:`~pytest_maskcheck.runs.requests.Inside`). Where no such run can be made, nothing is excused.
6. Two runs that lose the same kind at the same origin have the same finding, whatever its name: names that differ are told by a
   pattern (:mod:`.patterns`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import product
from typing import TYPE_CHECKING

from pytest_maskcheck.audit import catchers
from pytest_maskcheck.audit.attribution import Attribution
from pytest_maskcheck.points.cleanup import package_of, sort_out
from pytest_maskcheck.resources.patterns import Pattern, Patterns, are_alike, looks_random, place_and_stack
from pytest_maskcheck.results import Category, Finding, PointResult, Verdict
from pytest_maskcheck.runs import fingerprint
from pytest_maskcheck.runs.requests import Catch, CaughtBy, Inside, Trace, alone

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from pytest_maskcheck.points.plan import Plan
    from pytest_maskcheck.resources import Leftover
    from pytest_maskcheck.results import Point
    from pytest_maskcheck.runs.raised import Raised
    from pytest_maskcheck.runs.requests import Catcher, Executor, Request, RunResult
    from pytest_maskcheck.settings import Allow

_TRIES = 3
"""How often a point that gives a different result each time is run before it counts as not audited."""


_LOOKS = 3
"""Watched runs that tell whether things with names that differ come from one place, and which names they can have."""

_NO_VERDICT = {"terminal", "look"}
"""Ends of a process of which the test's code is not to blame, or nobody can tell."""

_Name = tuple[str, str]
"""Kind and key."""

_Sort = tuple[str, str]
"""Verdict and kind."""

_Keys = dict[object, list[str]]
"""The keys of what came from each origin in one run."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as a failure.

    Parameters:
        strict: what is released only by reference counting, and what finalizers swallow, fails too.
        may_swallow: the interrupt need not come out of the test.
        allow: findings to drop.
    """

    strict: bool = False
    may_swallow: bool = False
    allow: tuple[Allow, ...] = ()

    def allowing(self, kind: str, key: str) -> list[Allow]:
        """Return what allows a finding."""
        return [allow for allow in self.allow if fnmatchcase(f"{kind}:{key}", allow.glob)]


@dataclass(slots=True, repr=False)
class Judge:
    """Audits the points of a plan with an executor.

    Parameters:
        executor: makes the runs.
        plan: the points.
        rules: what counts as a failure.
        baseline: kind and key of what the uninterrupted test leaves behind, too -> how many of them; see :func:`steady`.
        report: is given each result.
        traced: the kinds of which can be learned where a leftover comes from, and whether one that is left blocks others.
        looking: within it, runs note the state of modules.
        late: tells whether the time is up, or there is none left for what takes so many seconds: no further point is audited then, but the first one always is.
        common: what all processes share that an interrupt may have spoiled for them, in words.

    Attributes:
        spoiled: why no further point can be audited, or ``""``.
        results: id of a point -> its result.
        allowed: what was found and dropped -> the points at which it was.
        untraced: how many failing points were not traced because the time was up.
    """

    executor: Executor
    plan: Plan
    rules: Rules
    baseline: Mapping[_Name, float] = field(default_factory=dict)
    report: Callable[[PointResult], object] = lambda _: None
    traced: Mapping[str, bool] = field(default_factory=dict)
    looking: Callable[[], AbstractContextManager[None]] = nullcontext
    late: Callable[[float], bool] = lambda _seconds: False
    common: str = ""
    spoiled: str = ""
    results: dict[str, PointResult] = field(default_factory=dict)
    allowed: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    untraced: int = 0
    _ordinary: tuple[dict[str, str], ...] | None = None
    _confirmed: set[tuple[str, str, str]] = field(default_factory=set)
    _unproven: list[Point] = field(default_factory=list)  # clean themselves, but no full run came after them
    _patterns: Patterns = field(default_factory=Patterns)
    _latest: Point | None = None  # the last one that was interrupted,
    _followed: bool = True  # and whether another run came after it in its process
    _retries: int = 0
    _catchers: dict[str, Catcher] = field(default_factory=dict)
    _unseen: set[str] = field(default_factory=set)  # points at which nothing shows whether the signal arrived
    _catching: bool = False  # somebody catches interrupts: each run is watched for who does
    _attribution: Attribution = field(init=False)

    def __post_init__(self) -> None:
        """Trace with the same executor, and name alike."""
        self._attribution = Attribution(self.executor, self.traced, self._patterns, self.late)

    def learn_baseline(self, *runs: Counter[_Name]) -> None:
        """Take what uninterrupted runs left behind, each; names that differ among them are told by patterns.

        Those runs were made in the auditing process; of kinds that are traced, more are made to learn what is one thing.
        """
        keys = [_by_kind(run) for run in runs]
        kinds = {kind for kind in set().union(*keys) if len({frozenset(each[kind]) for each in keys}) > 1}
        # What only one of the runs leaves has no name to compare with.
        kinds = {kind for kind in kinds if not any({*one[kind]} < {*two[kind]} for one in keys for two in keys)}
        self._tell_apart(kinds, [{kind: [*each[kind]] for kind in kinds} for each in keys], None)
        self.baseline = steady([self._renamed(run) for run in runs])

    def _renamed(self, names: Counter[_Name]) -> Counter[_Name]:
        """Return the same numbers under the names of patterns."""
        return Counter((kind, self._patterns.name(kind, key)) for kind, key in names.elements())

    def audit(self) -> tuple[PointResult, ...]:
        """Audit every point of the plan that has no result yet, while there is time; each is given to ``report`` as soon as it is final."""
        points = self.plan.points
        todo = [point for point in points if point.id not in self.results]
        position = 0
        while position < len(todo) and not self._ends() and not self.spoiled:
            position = self._sequence(todo, position)
        unproven, self._unproven = self._unproven, []
        if not self.spoiled:
            self._blame(unproven)
        if self.spoiled:
            for point in todo[position:]:
                self._final(PointResult(point.id, reason=self.spoiled))
        audited = [point for point in points if point.id in self.results]
        self.explain(audited)
        self._name_over_points()
        for result in [*self.results.values()]:
            if self._named(result) != result:  # a pattern was learned later
                self._final(result)
        return tuple(self.results[point.id] for point in audited)

    def sort_out(self, points: Sequence[Point], *, complete: bool) -> tuple[PointResult, ...]:
        """Return the results of these points with the category of each finding; see :func:`.cleanup.sort_out`."""
        found = [self.results[point.id] for point in points]
        known = self._attribution
        return sort_out(
            points, found, known.outlasting, strict=self.rules.strict, passed=known.passed, complete=complete
        )

    def explain(self, points: Sequence[Point]) -> None:
        """Find out where what was left behind at these points came from, while there is time."""
        rows = [(point, self._named(self.results[point.id])) for point in points]
        for result in self._attribution.explain(rows):
            self._final(result)
        rows = [(point, self.results[point.id]) for point in points if _failing(self.results[point.id])]
        self.untraced += sum(self._attribution.is_open(*row) for row in rows)

    def take(self, point: Point, ran: RunResult, again: RunResult | None = None) -> None:
        """Judge a run that was made in a process of its own.

        Parameters:
            point: where it was interrupted.
            ran: the run.
            again: the run after it in the same process, if one was made.
        """
        result = self.judge(point, ran)
        failing = _failing(result)
        result = self._settled(point, result, fresh=True)
        if not failing and again is not None and _strayed(again):
            self._suspect([point], result, again)
            return
        self._final(result)

    def _sequence(self, points: list[Point], start: int) -> int:
        """Run points from ``start`` on in one process while nothing fails; return the next position."""
        requests = [Catch(point) if self._catching else point for point in points[start:]]
        runs = self.executor.runs([*requests, None], lambda point, ran: self.stops(point, ran) or self.late(0.0))
        waiting: PointResult | None = None  # clean itself; final once the run after it went well
        try:
            for position, ran in enumerate(runs, start):
                if ran.spoiled:
                    self._retry(ran)
                    return position
                strayed = _strayed(ran)
                if waiting is not None and not strayed:
                    self._final(waiting)
                if position >= len(points) or (strayed and position > start):
                    break
                self._latest, self._followed = points[position], True
                if ran.caught is not None:
                    self._knows_catcher(points[position], ran.caught)
                result = waiting = self.judge(points[position], ran)
                if self.stops(points[position], ran):
                    self._followed = False
                    break
            else:  # the time is up; no run came after the last one
                if position > start:
                    return position
        finally:
            runs.close()  # no two processes at a time
        fresh = position == start
        if strayed and not fresh:
            assert waiting is not None
            self._suspect(points[start:position], waiting, ran)
            return position
        if position >= len(points):
            return position
        self._unproven += points[start:position]
        assert result is waiting
        if result.reason and not fresh:
            return position  # another way than before: try it in a clean process
        self._final(self._settled(points[position], result, fresh=fresh))
        return position + 1

    def _settled(self, point: Point, result: PointResult, *, fresh: bool) -> PointResult:
        """Return what is certain of a result: confirmed, with who caught the interrupt, and CPython's part told apart."""
        result = self._with_catcher(point, result)
        if _failing(result):
            result = self._confirm(point, result, fresh=fresh)
        return self._told_apart(point, result)

    def _with_catcher(self, point: Point, result: PointResult) -> PointResult:
        """Return a result in which the interrupt did not come out with who caught it, from a run that is watched for that."""
        unseen = point.id in self._unseen
        if point.id in self._catchers or not (unseen or any(map(catchers.may_be_caught, result.findings))):
            return result
        watched = (alone(self.executor, Catch(point))[0] for _ in range(_TRIES))
        ran = next((ran for ran in watched if ran.caught is not None or _did_not_come_out(ran)), None)
        if ran is None or ran.caught is None:
            return result
        self._knows_catcher(point, ran.caught)
        again = self.judge(point, ran)
        if unseen:
            return again
        others = [finding for finding in result.findings if not catchers.may_be_caught(finding)]
        caught = [finding for finding in again.findings if finding.kind in {catchers.EXCEPTION, catchers.FINALIZER}]
        return replace(result, findings=(*others, *caught), traceback=point.traceback)

    def _knows_catcher(self, point: Point, caught: Catcher) -> None:
        """Take who caught the interrupt at a point: further points of this test are likely to meet the same."""
        self._catchers[point.id] = caught
        self._catching = True

    def _told_apart(self, point: Point, result: PointResult) -> PointResult:
        """Blame CPython for what is not found when the interrupt goes past its defect at the point."""
        if not (point.defect and result.findings):
            return result
        ran, *_ = alone(self.executor, Inside(point))
        if not _went_past(point, ran):
            return result
        own = {_alike(self._name(finding)) for finding in self._findings(point, ran)}
        findings = (each if _alike(self._name(each)) in own else _interpreters(point, each) for each in result.findings)
        return replace(result, findings=tuple(findings))

    def _ends(self) -> bool:
        """Tell whether no further point is audited: an audit that has begun has one result at least."""
        return bool(self.results) and self.late(0.0)

    def stops(self, point: Request, ran: RunResult) -> bool:
        """Tell whether the process that made the run is not to be used further."""
        if point is None or isinstance(point, Trace | Inside):
            return True
        point = point.point if isinstance(point, Catch) else point
        result = self.judge(point, ran)
        if point.defect and result.findings:
            return True  # a run past the defect comes next
        return bool(result.reason or ran.died or ran.folded or _failing(result) or self._dirty(ran))

    def _dirty(self, ran: RunResult) -> bool:
        """Tell whether the run left something behind that an uninterrupted one does not."""
        return any(leftover.kind != "implicit" for leftover in self._beyond_baseline(ran)[0])

    def _final(self, result: PointResult) -> None:
        self.results[result.point] = result = self._named(result)
        self.report(result)

    def _name(self, finding: Finding) -> Finding:
        """Return a finding under the name that it has in every run."""
        key = self._patterns.name(finding.kind, finding.key)
        return finding if key == finding.key else replace(finding, key=key)

    def _named(self, result: PointResult) -> PointResult:
        findings = tuple(map(self._name, result.findings))
        return result if findings == result.findings else replace(result, findings=findings)

    def _confirm(self, point: Point, first: PointResult, *, fresh: bool) -> PointResult:
        """Return ``first`` if what it found is found again in a clean process."""
        if fresh and all(self._is_confirmed(finding) for finding in first.findings if finding.fails):
            return self._named(first)
        earlier = [finding for finding in first.findings if finding.fails]
        compared: set[_Sort] = set()
        for _ in range(_TRIES - 1):
            ran = alone(self.executor, point)[0]
            if (whole := self._spoiled_by(ran)) is not None:
                self._spoil(whole, point)
                return replace(first, findings=(*first.findings, self._as_unusable(whole)))
            again = self.judge(point, ran)
            if again.error:
                return again
            failing = [finding for finding in again.findings if finding.fails]
            compared |= self._compare_names(point, earlier, failing, compared)
            seen = {_alike(self._name(finding)) for finding in earlier}
            twice = tuple(finding for finding in map(self._name, failing) if _alike(finding) in seen)
            if twice:
                twice = catchers.without_lone_finalizer(twice, strict=self.rules.strict)
                self._confirmed |= {finding.identity for finding in twice if finding.fails}
                listed = (finding for finding in again.findings if not finding.fails)
                return replace(again, findings=(*twice, *listed))
            earlier += failing
        if fresh and any(finding.verdict in {Verdict.HANG, Verdict.CRASH} for finding in first.findings):
            return first
        reason = "different each time: " + "; ".join(
            sorted(f"{f.verdict} {f.key}".strip() for f in first.findings if f.fails)
        )
        return PointResult(point.id, reason=reason, exception=first.exception, traceback=first.traceback, varies=True)

    def _spoiled_by(self, ran: RunResult) -> RunResult | None:
        """Return a full run that fails, whatever process it is made in, if that is why ``ran`` did not come to its point.

        Where all runs share a process, there is none in which to see a finding again: what was found in the first run stands.
        """
        if ran.spoiled:
            return ran
        if self.executor.clean or not _strayed(ran):
            return None
        whole = alone(self.executor, None)[-1]
        return None if whole.passed else whole

    def _is_confirmed(self, finding: Finding) -> bool:
        """Tell whether this was confirmed at another point; what a vague pattern matches may be something else."""
        named = self._name(finding)
        return named.identity in self._confirmed and not self._patterns.is_vague(named.kind, named.key)

    def _compare_names(
        self, point: Point, earlier: Sequence[Finding], now: Sequence[Finding], compared: Collection[_Sort]
    ) -> set[_Sort]:
        """Learn which names that differ in runs of one point are of one thing.

        Parameters:
            point: the point.
            earlier: what failed in earlier runs.
            now: what failed in this one.
            compared: verdicts and kinds that need not be compared again.

        Returns:
            The verdicts and kinds that were compared.
        """
        raw = {finding.identity for finding in earlier}
        for finding in now:
            if finding.identity in raw:
                self._patterns.keep(finding.kind, finding.key)
        before = {self._name(finding).identity for finding in earlier}
        after = {self._name(finding).identity for finding in now}
        new = {(verdict, kind) for verdict, kind, _ in after - before}
        differing = (new & {(verdict, kind) for verdict, kind, _ in before - after}) - {*compared}
        differing = {sort for sort in differing if sort[0] not in {Verdict.HANG, Verdict.CRASH}}
        if differing:
            kinds = {kind for _, kind in differing}
            samples = [_keys_by_kind(earlier, kinds), _keys_by_kind(now, kinds)]
            self._tell_apart(kinds, samples, point)
        return differing

    def _tell_apart(
        self, kinds: Collection[str], samples: Sequence[Mapping[str, list[str]]], point: Point | None
    ) -> None:
        """Learn patterns of names that differ from run to run.

        What comes from one place is one thing. Where no place is known, names must show it by themselves.

        Parameters:
            kinds: those with names that differ.
            samples: kind -> keys, of two runs.
            point: where they were interrupted; ``None``: nowhere.
        """
        traced = frozenset(kind for kind in kinds if kind in self.traced)
        looks = [self._origins(point, traced) for _ in range(_LOOKS)] if traced else []
        for kind in kinds:
            keys = [look[kind] for look in looks if kind in look]
            origins = set().union(*keys) - {None}
            for origin in origins:
                rows = [look[origin] for look in keys if origin in look]
                if len(rows) > 1 and any(sorted(row) != sorted(rows[0]) for row in rows):
                    self._patterns.learn_from(kind, rows, origin)
            one, other = ([key for key in each[kind] if self._patterns.name(kind, key) == key] for each in samples)
            for key in (*one, *other):
                self._patterns.fit(kind, key)
            if not origins or any(None in look for look in keys):
                self._learn_alike(kind, one, other)

    def _learn_alike(self, kind: str, one: Sequence[str], other: Sequence[str]) -> None:
        """Learn the patterns of keys in two runs that show by themselves that they name one thing."""
        for pair in product(one, other):
            if pair[0] != pair[1] and are_alike(*pair):
                self._patterns.learn(kind, pair)

    def _origins(self, point: Point | None, kinds: frozenset[str]) -> dict[str, _Keys]:
        """Make a watched run; return, by kind, the keys of what came from each origin, ``None``: not known."""
        ran = alone(self.executor, Trace(point, kinds))[-1]
        found: dict[str, _Keys] = {kind: {} for kind in kinds}
        for leftover in (*ran.leaked, *ran.dropped):
            if leftover.kind in found:
                sighting = ran.sightings.get((leftover.kind, leftover.key))
                origin = place_and_stack(sighting.origin) if sighting and sighting.exact else None
                found[leftover.kind].setdefault(origin, []).append(leftover.key)
        return found

    def _name_over_points(self) -> None:
        """Learn patterns of names that differ from point to point: those made of addresses, and of what is listed only."""
        keys: defaultdict[tuple[str, object], set[str]] = defaultdict(set)
        listed: defaultdict[str, set[str]] = defaultdict(set)
        for result in self.results.values():
            for finding in map(self._name, result.findings):
                if not finding.fails and finding.kind not in self.traced and looks_random(finding.key):
                    listed[finding.kind].add(finding.key)
                if finding.origin is not None:
                    keys[finding.kind, place_and_stack(finding.origin)].add(finding.key)
        for (kind, origin), names in keys.items():
            random = [key for key in names if looks_random(key)]
            if len(names) > 1 and random and len(names) - len(random) <= self._patterns.has(kind, origin):
                self._patterns.learn(kind, random, origin)
        for kind, names in listed.items():
            self._learn_alike(kind, [*names], [*names])

    def _suspect(self, points: Sequence[Point], result: PointResult, after: RunResult) -> None:
        """Find out which of the points leaves the code unusable: the run after the last one did not get to its own point.

        Parameters:
            points: those that were run in one process.
            result: that of the last one; the others have theirs.
            after: the run after it.
        """
        *earlier, point = points
        finding, repeated = self._unusable(point, after)
        if finding is not None:
            self._unproven += earlier
            result = replace(result, findings=(*result.findings, finding))
        elif repeated and not self._blame(earlier):
            result = replace(
                result, note=f"once, the next run in the same process {trouble(after)}; not so in a clean process"
            )
        self._final(result)

    def _unusable(self, point: Point, after: RunResult | None = None) -> tuple[Finding | None, bool]:
        """Return what is wrong with a full run after one that is interrupted at a point, and whether there could be one.

        Parameters:
            point: the one to interrupt.
            after: the run that came after it before, and failed.
        """
        if after is not None and after.whole and not self.executor.clean:
            again = alone(self.executor, None)[-1]
            if not again.passed:  # nor will any other: no use in trying the point again
                self._spoil(again, point)
                return self._as_unusable(after), True
        with self.looking():
            runs = alone(self.executor, point, None)
        last = runs[-1]
        if last.spoiled:
            self._spoil(last, point)
            return (self._as_unusable(after) if after is not None else None), True
        if len(runs) < 2 or last.passed:
            return None, len(runs) > 1
        finding = self._as_unusable(last, self._differs(runs[0]))
        if point.defect:
            ran, *then = alone(self.executor, Inside(point), None)
            if _went_past(point, ran) and then and then[-1].passed:
                finding = _interpreters(point, finding)
        return finding, True

    @staticmethod
    def _as_unusable(after: RunResult, differs: str = "") -> Finding:
        identity = after.died or (after.raised.type if after.raised else "fixture")
        detail = f"the next run of the test {trouble(after)}{_where(after)}{differs}"
        return Finding(Verdict.UNUSABLE, "test", identity, detail)

    def _retry(self, ran: RunResult) -> None:
        """See whether a process begins well that did not; if not, no further point can be audited."""
        self._retries += 1
        again = alone(self.executor, None)[0] if self._retries <= _TRIES else ran
        if not again.spoiled:
            return
        point = self._latest
        self._spoil(again, point)
        result = self.results.get(point.id) if point is not None and not self._followed else None
        if result is not None and not result.reason and not any(each.kind == "test" for each in result.findings):
            self._final(replace(result, findings=(*result.findings, self._as_unusable(again))))

    def _spoil(self, ran: RunResult, point: Point | None) -> None:
        """Give up: an uninterrupted run fails, whatever process it is made in."""
        since = f" since the interrupt at {point.id}" if point is not None else ""
        common = f"; {self.common}" if self.common else ""
        self.spoiled = f"without an interrupt the test {trouble(ran)}{since}{common}"

    def _blame(self, points: Sequence[Point]) -> bool:
        """Find those of several points after which a full run fails, by halving, while there is time; tell whether there are any."""
        if self.late(0.0):
            return False
        if len(points) > 1:
            middle = len(points) // 2
            return self._breaks(points) and any([self._blame(points[:middle]), self._blame(points[middle:])])
        for point in points:
            finding, _ = self._unusable(point)
            if finding is not None:
                result = self.results[point.id]
                self._final(replace(result, findings=(*result.findings, finding)))
                return True
        return False

    def _breaks(self, points: Sequence[Point]) -> bool:
        """Tell whether a full run fails after runs that are interrupted at these points."""
        last = alone(self.executor, *points, None)[-1]
        if last.spoiled:
            self._spoil(last, self._latest)
            return False
        return bool(last.died) or (last.whole and not last.passed)  # else the process ended before the full run

    def _differs(self, ran: RunResult) -> str:
        """Return in words what a run left otherwise than an uninterrupted one."""
        if not ran.state:
            return ""
        if self._ordinary is None:
            with self.looking():
                runs = [*alone(self.executor, None, None), *alone(self.executor, None)]
            self._ordinary = tuple(run.state for run in runs if run.passed)
        if len(self._ordinary) < 3:
            return ""
        text = fingerprint.differences(ran.state, *self._ordinary)
        return f"; differs: {text}" if text else ""

    def judge(self, point: Point, ran: RunResult) -> PointResult:
        """Return what one run says about its point, confirmed or not."""
        exception = ran.raised.text if ran.raised else ""
        outside = point.kind in {"into", "back"}  # the way to the line that called is what the reader can change
        instead = ran.raised and (ran.raised.interrupt or ran.raised.over or not self._caught(point, ran))
        traceback = (ran.raised.frames if ran.raised and instead and not outside else ()) or point.traceback
        if ran.error is not None:
            return PointResult(point.id, reason=ran.error.reason, error=ran.error.traceback)
        if _is_unseen(ran):
            self._unseen.add(point.id)
        if reason := ran.detail if ran.died in _NO_VERDICT else _unproven(ran, self._caught(point, ran)):
            return PointResult(point.id, reason=reason, exception=exception, traceback=traceback)
        known = {self._name(finding).identity for finding in self._of_first(point)}
        findings = [
            each
            for each in self._findings(point, ran)
            if not self._allowed(point, each) and self._name(each).identity not in known
        ]
        if ran.strike.strayed and not findings:
            return PointResult(point.id, reason="reached in another calling context than in the recorded run")
        return PointResult(point.id, tuple(findings), "", _note(point, ran), exception, traceback)

    def _of_first(self, point: Point) -> tuple[Finding, ...]:
        """Return what the first of two interrupts leads to by itself."""
        alone = self.results.get(point.first.id) if point.first else None
        return alone.findings if alone else ()

    def _allowed(self, point: Point, finding: Finding) -> bool:
        name = self._name(finding).key
        return self._is_allowed(point.id, finding.kind, finding.key, name)

    def allows_cleanup(self, point: str, finding: Finding) -> bool:
        """Tell whether a finding is of the class that only a mask helps against, and allowed as such: ``cleanup:kind:key``."""
        wanted = finding.category is Category.CLEANUP
        return wanted and self._is_allowed(point, Category.CLEANUP, f"{finding.kind}:{finding.key}")

    def _is_allowed(self, point: str, kind: str, key: str, name: str = "") -> bool:
        """Tell whether something is allowed, by its key or by the name that it has in all runs."""
        allowed = any(self.rules.allowing(kind, each) for each in (key, name or key))
        if allowed:
            self.allowed.setdefault((kind, name or key), set()).add(point)
        return allowed

    def allowed_together(self) -> dict[_Name, set[str]]:
        """Return what was found and dropped, with names that show by themselves that they differ from run to run made one."""
        together: dict[_Name, set[str]] = {}
        for kind, key in sorted(self.allowed):
            other = next((name for name in together if name[0] == kind and are_alike(name[1], key)), None)
            name = (kind, key)
            if other is not None:
                name = (kind, Pattern((other[1], key)).text)
                together[name] = together.pop(other)
            together.setdefault(name, set()).update(self.allowed[kind, key])
        return together

    def _findings(self, point: Point, ran: RunResult) -> Iterator[Finding]:
        if ran.died:
            where = f"{ran.stack[-1].path}:{ran.stack[-1].line}" if ran.stack else ""
            detail = f"{ran.detail}, at {where} in {ran.stack[-1].function}" if where else ran.detail
            yield Finding(Verdict(ran.died), "process", where or ran.detail, detail)
            return
        if ran.trouble:
            yield Finding(Verdict.UNUSABLE, "fixture", ran.trouble, f"after the interrupt {ran.trouble}")
        left = False
        dropped = tuple(leftover.key for leftover in ran.dropped if leftover.kind != "implicit")
        leaked, released = self._beyond_baseline(ran)
        for leftover in leaked:
            if leftover.kind == "implicit" and leftover.key.endswith(dropped):
                continue  # a ResourceWarning about what is listed anyway
            if leftover.kind == "implicit":
                yield Finding(Verdict.IMPLICIT, leftover.kind, leftover.key, leftover.detail, self.rules.strict)
            else:
                verdict = Verdict.ALTERED if leftover.altered else Verdict.LEAK
                finding = Finding(verdict, leftover.kind, leftover.key, leftover.detail)
                left = left or not self._allowed(point, finding)
                yield finding
        for leftover in released:
            yield Finding(Verdict.IMPLICIT, leftover.kind, leftover.key, leftover.detail, self.rules.strict)
        package = package_of(ran.lost_in) if ran.lost_in is not None else ""
        yield from (replace(finding, package=package) for finding in ran.broken)  # that code did not do its part
        yield from self._about_exception(point, ran, left=left)

    def _beyond_baseline(self, ran: RunResult) -> tuple[list[Leftover], list[Leftover]]:
        """Return what was leaked and what was dropped that an uninterrupted run does not leave, or not so often."""
        room = dict(self.baseline)

        def surplus(leftovers: Iterable[Leftover]) -> Iterator[Leftover]:
            for leftover in leftovers:
                name = leftover.kind, self._patterns.name(leftover.kind, leftover.key)
                if room.get(name, 0) <= 0:
                    yield leftover
                else:
                    room[name] -= 1

        return [*surplus(ran.leaked)], [*surplus(ran.dropped)]

    def _caught(self, point: Point, ran: RunResult) -> Catcher | None:
        """Return who caught the interrupt, if that is known."""
        return ran.caught or self._catchers.get(point.id)

    def _about_exception(self, point: Point, ran: RunResult, *, left: bool) -> Iterator[Finding]:
        """Judge whether the interrupt came out of the test."""
        raised = ran.raised
        if raised is not None and raised.interrupt:
            return
        due = any(one.raised or (one.raised is None and one.fired and not one.handler) for one in ran.strike.in_turn())
        caught = self._caught(point, ran)
        finalizer = catchers.lost(ran.lost, caught, fails=self.rules.strict or left)
        if raised is not None and not (finalizer and not raised.over):
            is_tests = caught is not None and caught.by is CaughtBy.TEST
            if caught is not None and due and not raised.over and (is_tests or not self.rules.may_swallow):
                yield catchers.swallowed(caught, f"; then the test raised {raised.text}")
            elif due or raised.over:
                detail = f"{raised.text} came out instead of the interrupt"
                package = _raised_inside(point, raised)
                yield Finding(Verdict.REPLACED, catchers.EXCEPTION, raised.type, detail, package=package)
        elif finalizer is not None:
            yield finalizer
        elif due and not self.rules.may_swallow:
            yield catchers.swallowed(caught)


def _raised_inside(point: Point, raised: Raised) -> str:
    """Return the package out of scope that raised an exception in place of the interrupt that came there, ``""`` if none did."""
    if point.kind not in {"into", "back"}:
        return ""
    site = next((at for at, each in enumerate(raised.frames) if (each.path, each.line) == (point.path, point.line)), -1)
    inner = raised.frames[site + 1 :] if site >= 0 else ()
    return package_of(inner[0]) if inner else ""


def _did_not_come_out(ran: RunResult) -> bool:
    """Tell whether a run shows that the interrupt was sent and somebody kept it."""
    return ran.strike.in_turn()[0].fired and not ran.died and not (ran.raised and ran.raised.interrupt)


def _strayed(ran: RunResult) -> bool:
    """Tell whether a run did not come to its own point, and did not pass either."""
    return not ran.strike.in_turn()[0].fired and not ran.passed and ran.error is None


def _interpreters(point: Point, finding: Finding) -> Finding:
    """Blame CPython, as no Python code could have done better."""
    return Finding(Verdict.INTERPRETER, finding.kind, finding.key, f"{point.defect}; {finding.detail}", fails=False)


def _went_past(point: Point, ran: RunResult) -> bool:
    """Tell whether a run shows what an interrupt does without the defect of CPython that is known at the point.

    Of two interrupts the second may have no place once the first came to its handler: then there is nothing of it to be seen.
    """
    strikes = ran.strike.in_turn()
    return strikes[0].fired and (strikes[-1].fired or bool(point.first and point.first.defect))


def _alike(finding: Finding) -> object:
    """Return what is equal for findings that confirm each other: a hang or crash need not be at the same place."""
    return finding.verdict if finding.verdict in {Verdict.HANG, Verdict.CRASH} else finding.identity


def _failing(result: PointResult) -> bool:
    return any(finding.fails for finding in result.findings)


def _note(point: Point, ran: RunResult) -> str:
    """Return what a reader should know about how the interrupt arrived."""
    strike = ran.strike
    notes = ["reached in another calling context than in the recorded run"] if strike.strayed else []
    if strike.handler:
        notes.append(f"went to {strike.handler}")
    surfaced = ran.raised is not None and ran.raised.interrupt
    where = ran.raised.frames[-1] if ran.raised and ran.raised.frames else None
    place = f"arrived at {where.path}:{where.line}" if where else "arrived after the test"
    if strike.held:
        notes.append(f"held back by the {strike.held}, {place if surfaced else 'did not come out'}")
    elif surfaced and point.kind != "line" and (where is None or (where.path, where.line) != (point.path, point.line)):
        notes.append(place)
    return ", ".join(notes)


def _unreached(ran: RunResult) -> str:
    """Return why a run did not come to its point."""
    if ran.strike.in_turn()[0].fired:
        return "not reached again after the first interrupt"
    return "not reached again" if ran.passed else f"the run {trouble(ran)} before it came to the point"


def _is_unseen(ran: RunResult) -> bool:
    """Tell whether the signal was held back, and nothing shows whether it arrived; somebody may have caught what it led to."""
    return bool(ran.strike.fired and ran.strike.held) and ran.raised is None and not (ran.lost or ran.died)


def _unproven(ran: RunResult, caught: Catcher | None) -> str:
    """Return why a run proves nothing about its point, or ``""``: the interrupt was not delivered there."""
    strike = ran.strike
    if not strike.fired:
        return _unreached(ran)
    if ran.late:
        return "held back to the end of the test: the interrupt came out of a fixture"
    if strike.undelivered:
        return strike.undelivered
    if (_is_unseen(ran) and caught is None) or (strike.withdrawn and strike.earlier is not None):
        return f"held back by the {strike.held} to the end of the run"
    return ""


def trouble(ran: RunResult) -> str:
    """Return in words how a run failed."""
    if ran.died in {"hang", *_NO_VERDICT}:
        return f"hung ({ran.detail})"
    if ran.died:
        return f"died ({ran.detail})"
    if ran.raised:
        return f"raised {ran.raised.text}"
    if ran.broken:
        return f"broke the {ran.broken[0].kind} {ran.broken[0].key}"
    return ran.trouble or "took another way"


def _where(ran: RunResult) -> str:
    """Return in words where a run failed."""
    frames = ran.stack if ran.died else ran.raised.frames if ran.raised else ()
    return f", at {frames[-1].path}:{frames[-1].line} in {frames[-1].function}" if frames else ""


def leftovers(ran: RunResult) -> Counter[_Name]:
    """Return what an uninterrupted run leaves behind, as (kind, key), and how often; state that it changes, without number."""
    return Counter((leftover.kind, leftover.key) for leftover in (*ran.leaked, *ran.dropped))


def steady(runs: Sequence[Mapping[_Name, int]]) -> dict[_Name, float]:
    """Return what any of several uninterrupted runs leaves behind -> how many; without end if they disagree.

    Warnings, too, have no end: how many there are depends on the garbage collector.
    """
    names = set().union(*runs)
    numbers = {name: {run.get(name, 0) for run in runs} for name in names}
    return {
        name: max(each) if len(each) == 1 and name[0] != "implicit" else float("inf") for name, each in numbers.items()
    }


def _by_kind(names: Iterable[_Name]) -> defaultdict[str, list[str]]:
    """Return the keys of each kind."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for kind, key in names:
        found[kind].append(key)
    return found


def _keys_by_kind(findings: Iterable[Finding], kinds: Collection[str]) -> dict[str, list[str]]:
    return _by_kind((finding.kind, finding.key) for finding in findings if finding.kind in kinds)
