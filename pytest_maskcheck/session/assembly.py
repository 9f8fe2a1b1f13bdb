"""What the audit of one pytest item takes: scope, engine, kinds, judge and executor put together, wherever it happens."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.audit import strategy
from pytest_maskcheck.audit.auditor import Auditor, Refused
from pytest_maskcheck.audit.canaries import blind
from pytest_maskcheck.audit.first_use import FirstPlan, FirstRuns, key_of, keys_of
from pytest_maskcheck.audit.judge import Judge, Rules, leftovers, trouble
from pytest_maskcheck.audit.messages import (
    AllowsUsed,
    CanaryResults,
    FirstUseReached,
    IgnoresUsed,
    LeftBehind,
    LinesReached,
    PairsSought,
    ShardDealt,
    StrategyChosen,
    WarmKeys,
)
from pytest_maskcheck.audit.sharing import Done, Helper, Lead
from pytest_maskcheck.interrupts import Recording
from pytest_maskcheck.interrupts.signals.base import nothing
from pytest_maskcheck.interrupts.signals.foreign import ForeignSignals
from pytest_maskcheck.points import plan as points
from pytest_maskcheck.points.pairs import Pairs, reason_against_more
from pytest_maskcheck.reasons import SECOND, count, elsewhere
from pytest_maskcheck.resources import Surroundings, default_kinds
from pytest_maskcheck.resources.children import Children
from pytest_maskcheck.results import Audit, PointResult
from pytest_maskcheck.results.lines import spans
from pytest_maskcheck.runs import fingerprint
from pytest_maskcheck.runs.forward import Snapshots
from pytest_maskcheck.runs.isolation import OWN_GROUPS, Forked, InProcess, in_child
from pytest_maskcheck.runs.requests import Conditions, alone
from pytest_maskcheck.runs.runner import Runner
from pytest_maskcheck.runs.usual import Usual
from pytest_maskcheck.session.fixture import LEDGER, Ledger
from pytest_maskcheck.session.item import (
    ItemTarget,
    body_code,
    imported,
    kept_values,
    numbered_places,
    own_code,
    own_files,
)
from pytest_maskcheck.session.progress import Struck
from pytest_maskcheck.settings import switched
from pytest_maskcheck.system import descendants, signals
from pytest_maskcheck.system.stopwatch import Page
from pytest_maskcheck.system.unpatched import gc, os, signal, time, unpatched

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from pytest_maskcheck.audit.auditor import Baseline
    from pytest_maskcheck.audit.budget import Share
    from pytest_maskcheck.interrupts import Engine
    from pytest_maskcheck.points.reach import Reach
    from pytest_maskcheck.results import Point
    from pytest_maskcheck.runs.requests import Executor, Last, Request, RunResult
    from pytest_maskcheck.session.extensions import Extensions
    from pytest_maskcheck.session.progress import Progress
    from pytest_maskcheck.settings import Settings, Shard

    Tell = Callable[[object], None]


_PATIENCE = 2.0
"""Seconds that fixtures may take to be set up anew in each process."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A way to other processes or threads that outlives runs: what an interrupted run leaves in it, the next ones meet.

    Parameters:
        fixture: the name of the one that opened it; ``""``: none did, or none that the test names.
        what: in words.
        descriptors: by which it goes.
        seconds: that it took to open it.
        fixed: the fixture set up again would open the very same thing, and take it from whoever has it.
    """

    fixture: str
    what: str
    descriptors: frozenset[int] = frozenset()
    seconds: float = 0.0
    fixed: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Order:
    """What is to be audited, and how.

    Parameters:
        item: a test that passed.
        settings: those of the test.
        engine: finds and hits places.
        reach: the scope.
        isolation: ``fork`` or ``none``, and ``why``.
        only: the id of the one point wanted, or ``""``.
        seeing: the kinds that were shown their canary -> why they did not see it, or ``""``.
        extensions: what other plugins add.
        seconds: how long the test took.
        descriptors: those that were open when the session began.
        channels: what the test shares with others for longer than a run.
        blocked: the signals that were blocked then.
        budget: what it may take of the time budget, if there is one.
        progress: is told how far the audit is.
        shard: the part of the points that is wanted; ``None``: all of them.
        share: who else audits it; ``None``: nobody.
        over: tells that the session has ended: nobody waits for the audit.
        left: ``kind:key`` of process state that the ordinary run left otherwise than it found it.
    """

    item: pytest.Item
    settings: Settings
    engine: Engine
    reach: Reach
    isolation: str
    why: str
    only: str = ""
    seeing: dict[str, str] = field(default_factory=dict)
    extensions: Extensions | None = None
    seconds: float = 0.0
    descriptors: frozenset[int] = frozenset()
    channels: tuple[Channel, ...] = ()
    blocked: frozenset[int] = frozenset()
    budget: Share | None = None
    progress: Progress | None = None
    shard: Shard | None = None
    share: Lead | Helper | None = None
    over: Callable[[], bool] = lambda: False
    left: frozenset[str] = frozenset()


_FIRST_BATCH = 10
"""Points that are audited before it is known how long they take; each further batch is as large as all before it."""

_IN_A_THREAD = (
    "its body does not run in the main thread, the only one in which Python handles signals: "
    "run it there, without the plugin or decorator that starts a thread for it"
)

_GRACE = 0.5
"""The points of a test have this part of the time that it took to come to them, whatever its share: else that was for nothing."""


def outline(order: Order, **rest: Any) -> Audit:
    """Return an audit with what the order alone says of it, and the rest."""
    names = points.Names(str(order.item.config.rootpath))
    own = own_files(order.item) if isinstance(order.item, pytest.Function) else frozenset[str]()
    used = imported(order.item) if isinstance(order.item, pytest.Function) else {}
    return Audit(
        own=tuple(sorted(map(names.short, own))),
        unaudited=tuple(
            name
            for name, files in used.items()
            if not own.issuperset(files) and not any(map(order.reach.covers, files))
        ),
        test=order.item.nodeid,
        engine=order.engine.name,
        isolation=f"{order.isolation}: {order.why}",
        mode=order.settings.points,
        unmeasured=order.reach.unmeasured,
        shard=str(order.shard or ""),
        **rest,
    )


class Work:
    """The audit of one item, wherever it happens."""

    def __init__(self, order: Order, item: pytest.Function, directory: str) -> None:
        self._began = time.perf_counter()
        self.item = item
        self.limit = order.settings.timeout
        self.directory = os.path.join(directory, "p")
        self._order = order
        self._names = points.Names(str(item.config.rootpath))
        surroundings = Surroundings(in_scope=order.reach.covers, named_only={"basetemp": self.directory})
        surroundings.others = dict.fromkeys(filter(None, [numbered_places(item.config)]), "basetemp")
        self._own = order.extensions.kinds() if order.extensions else ()
        kinds = (*self._own, *default_kinds(surroundings))
        chosen = switched(order.settings.kinds, {kind.name: kind.default for kind in kinds})
        self._kinds = tuple(kind for kind in kinds if kind.name in chosen)
        with unpatched():
            self._target = ItemTarget(item, {"tmp": os.path.join(directory, "t")})
        self.runner = Runner(self._target, self._kinds, surroundings, self._names, order.reach.in_scope)
        self.runner.still = self._target.bare
        self.runner.own = frozenset(map(id, own_code(item)))
        self._ledger = Ledger(item, surroundings.key, here=order.isolation != "fork")
        self.runner.guarantees = item.stash[LEDGER] = self._ledger
        self._only = points.ID.fullmatch(order.only)
        asked = self._only and self._only["signal"]
        self.signums = (signals.parse(asked or "SIGINT"),) if self._only else order.settings.signals
        self._auditor = Auditor(self.runner, order.engine, order.reach, order.settings.points, self.signums)
        self._auditor.watch = self._ledger.watch
        self._auditor.limit, self._auditor.seconds = self.limit, order.seconds
        self._recording = Recording()
        self._failed: set[str] = set()
        self._failing: Point | None = None
        roots = partial(kept_values, item)
        self._state = fingerprint.Fingerprints(order.reach.covers, surroundings.named, roots)
        own = own_files(item)
        self._usual = Usual(
            self._state,
            is_near=lambda file: file in own or order.reach.reached(file),
            has_run=lambda file: file in self._recording.files,
            words=lambda: self._recording.words(),  # noqa: PLW0108  (another recording takes its place)
        )
        self._conditions = _Conditions(self._usual, self._target)
        asked = "rerun" if self._only or isinstance(order.share, Helper) else order.settings.strategy
        self._betrayed = ""
        self._why_rerun = strategy.why_rerun(
            asked, order.isolation, item.fixturenames, order.seconds, order.descriptors
        ) or next((channel.what for channel in order.channels), "")
        self._room = 0
        self._complete = False
        self._seconds = 0.0
        self._notes: list[str] = []
        self._written = 0
        self._outline = outline(order)

    @property
    def short(self) -> Callable[[str], str]:
        """What shortens names of files for reports."""
        return self._names.short

    def inherited_mask(self) -> frozenset[int]:
        """Return the signals that this process blocks because whoever started pytest did.

        Only those: a mask that a fixture of the session sets is part of what is audited.
        """
        return self._order.blocked & signals.blocked()

    def isolated(self, tell: Tell) -> None:
        """Audit in forked workers; called in the auditing process."""

        def noting(message: object) -> None:
            if isinstance(message, str):
                self._notes.append(message)
            tell(message)

        self._audit(
            noting, lambda: Forked(self._auditor.make_run, self.limit, self._names.short, conditions=self._conditions)
        )

    def here(self, tell: Tell) -> None:
        """Audit in this process."""
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN and signal.SIGINT in self.signums:
            tell(Refused("SIGINT is ignored in this process, as under nohup; start pytest so that Ctrl-C works"))
            return
        if blocked := self.inherited_mask().intersection(self.signums):
            names = ", ".join(map(signals.name, sorted(blocked)))
            tell(Refused(f"pytest was started with {names} blocked; start it so that signals arrive"))
            return
        self.runner.here = True
        with closing(ForeignSignals(signal.SIGINT)) as self.runner.outside:
            try:
                self._audit(tell, lambda: InProcess(self._auditor.make_run, self._conditions))
                if self._failing and (self._only or self.item.config.getoption("usepdb", False)):
                    self._keep_frames(self._failing)
            finally:
                self._order.engine.disarm()
                self._target.close()
                gc.unfreeze()

    def _keep_frames(self, point: Point) -> None:
        """Make one more run, for a debugger: interrupted at a point that fails, its frames kept.

        Nothing is judged by it, as what frames keep alive would look different from what the audit found.
        """
        self.runner.keep = True
        try:
            ran = self._auditor.make_run(point, nothing)
        finally:
            self.runner.keep = False
        if not ran.strike.fired:  # what earlier runs left does not let it come there
            self.runner.exception = None

    def first(self, tell: Tell, warm: frozenset[int]) -> None:
        """Audit what only the first run in a process reaches; called in a process in which the test has not run.

        Parameters:
            tell: takes what is found.
            warm: what later runs reach; see :func:`.first_use.keys_of`.
        """
        auditor, budget = self._auditor, self._order.budget
        if budget and budget.over(self._order.seconds):
            tell(FirstUseReached({}, budget.reason))
            return
        planned = self._first_points(warm, tell)
        if planned is None:
            return
        wanted = self._only.string if self._only else ""
        chosen = [each for each in planned.points if wanted in {"", each.point.id}]
        chosen = self._order.shard.deal(chosen) if self._order.shard else chosen
        if not chosen:
            return
        codes = planned.here()
        shown = [each.point for each in chosen]
        auditor.aims |= {each.point.id: each.aim(codes) for each in chosen}
        auditor.freeze()
        executor = FirstRuns(Forked(auditor.make_run, self.limit, self._names.short, warm=False))
        ordinary = alone(executor, None)[0]
        if not ordinary.passed:
            tell(FirstUseReached({}, f"run for the first time, the test {trouble(ordinary)}"))
            return
        tell(points.Plan([*shown], {}, {}))
        judge = self._judge_with(executor, tell)
        judge.learn_baseline(leftovers(ordinary), leftovers(ordinary))
        for point in shown:
            if judge.late(0.0):
                break
            ran, *again = executor.runs([point, None], judge.stops)
            judge.take(point, ran, again[0] if again else None)
        judge.explain([point for point in shown if point.id in judge.results])
        self._tell_untraced(judge, tell)
        self._sort_out(judge, shown, tell)
        audited = {(point.path, point.line) for point in shown if point.id in judge.results}
        missed: dict[str, list[int]] = {}
        for point in shown:
            if (point.path, point.line) not in audited:
                missed.setdefault(point.path, []).append(point.line)
        tell(FirstUseReached({path: spans(lines) for path, lines in missed.items()}))
        self._report_the_rest(judge, shown)

    def _first_points(self, warm: frozenset[int], tell: Tell) -> FirstPlan | None:
        """Return the points that only the first run in a process reaches, as a child of this one finds them."""
        order, own, budget = self._order, own_files(self.item), self._order.budget
        order.reach.open_up(*own)

        def choose(recording: Recording) -> points.Plan:
            return points.plan(
                recording,
                self._names,
                partial(order.reach.reason_against, reached=True),
                hits=order.settings.hits,
                max_points=order.settings.max_points,
                seed=order.settings.seed,
                body=own,
                signums=self.signums,
                wanted=lambda hit: key_of(hit) not in warm,
            )

        def find(say: Tell) -> None:
            if budget:  # of this process: how long it takes to record the run is not known before
                self._auditor.limit, self._auditor.seconds = max(budget.left(), order.seconds), 0.0
            try:
                say(FirstPlan.of(self._auditor.find_first(choose, *own, thin=True)))
            except Refused as refused:
                say(str(refused))

        page = Page()
        try:
            with closing(in_child(find, page, lambda: self.limit + 100 * order.seconds, leader=OWN_GROUPS)) as said:
                planned: FirstPlan | str | None = next(said, None)
        finally:
            page.close()
        if planned is None:
            planned = budget.reason if budget and budget.over() else "its process ended"
        if isinstance(planned, str):
            tell(FirstUseReached({}, planned))
            return None
        return planned

    def _audit(self, tell: Tell, executor: Callable[[], Executor]) -> None:
        order = self._order
        try:
            thin = order.settings.hits is not None and not self._only
            plan = self._auditor.find(self._choose, *own_files(self.item), thin=thin)
            reached = self._tell_reached(tell)
            self._remove(plan, tell)
            pair = bool(self._only and self._only["second"])
            self._room = order.settings.max_points - (0 if pair else len(plan.points))
            dealt = self._deal(plan, order.shard, tell) if order.shard else ""
            shown = [] if pair else plan.points  # what is wanted comes after the one in the plan
            tell(points.Plan(shown, {}, plan.left_out))
            self._complete = not (self._only or order.shard) and len(plan.points) < order.settings.max_points
            ignores = self._tell_ignores(tell)
            if not plan.points:
                return
            self._tell_about_kinds(tell)
            rehearsed = shown if not self._why_rerun else []
            baseline = self._auditor.baseline(rehearsed, self._usual.take)
            self._usual.learn(self._auditor.run_through)
        except Refused as refused:
            tell(refused)
            return
        self._hear({kind.name: kind.complaint for kind in self._own if kind.complaint}, tell)
        for note in self._ledger.settle():
            tell(note)
        if order.budget:
            grace = _GRACE * (time.perf_counter() - self._began)
            self._order = order = replace(order, budget=order.budget.at_least(grace))
        self._seconds = baseline.seconds
        self.limit += 10 * self._seconds
        hearing = _Hearing(executor(), lambda ran: self._hear(ran.complaints, tell))
        if self._usual.beyond:
            tell(
                f"modules keep too much to compare all of it after each run: not {self._usual.beyond}, nor what lies deeper"
            )
        judge = self._judge_with(hearing, tell, self._conditioned(hearing, tell))
        judge.learn_baseline(*self._left(baseline, hearing))
        left_behind = tuple(sorted({*(f"{kind}:{key}" for kind, key in judge.baseline), *order.left}))
        tell(LeftBehind(left_behind))
        self._outline = outline(
            order, left_out=plan.left_out, ignores=ignores, baseline=left_behind, plan=dealt, reached=reached
        )
        if isinstance(order.share, Helper):
            self._help(order.share, judge, plan, tell)
            return
        snapshots = partial(self._by_snapshots, judge, self._chosen(shown, baseline), baseline, tell)
        self._judge(judge, points.Plan(shown, plan.aims), tell, snapshots)
        if pair or (order.settings.interrupts == 2 and not self._only):
            following = self._follow(plan, judge.results, tell)
            self._judge(judge, following, tell)
        if order.share and (note := order.share.note()):
            tell(note)
        self._sort_out(judge, shown, tell)
        self._tell_untraced(judge, tell)
        self._tell_about_allowed(judge, tell)

    def _tell_untraced(self, judge: Judge, tell: Tell) -> None:
        """Say at how many points there was no time to find out where what was left behind came from."""
        if self._order.budget and judge.untraced:
            many = count(judge.untraced, "failing point")
            tell(f"not traced where it came from at {many}: {self._order.budget.reason}")

    def _tell_reached(self, tell: Tell) -> dict[str, str]:
        """Say what the runs reached that are not the first in their process; return the lines."""
        tell(WarmKeys(keys_of(self._recording)))
        lines = self._order.reach.statements().items()
        reached = {self._names.short(path): spans(numbers) for path, numbers in lines}
        tell(LinesReached(reached))
        return reached

    def _tell_ignores(self, tell: Tell) -> dict[str, bool]:
        """Say where ignore comments stand; return it."""
        places = self._order.reach.ignores().items()
        ignores = {f"{self._names.short(path)}:{line}": used for (path, line), used in places}
        tell(IgnoresUsed(ignores))
        return ignores

    def _judge_with(self, executor: Executor, tell: Tell, common: str = "") -> Judge:
        """Return a judge by the settings of the test, with nothing to audit yet."""
        settings, budget = self._order.settings, self._order.budget
        rules = Rules(settings.strict, settings.may_swallow, (*settings.allow, *self._ledger.allowed))
        traced = {kind.name: kind.blocks for kind in self._kinds if kind.traced}
        late = budget.over if budget else (lambda _seconds: False)
        return Judge(executor, points.Plan(), rules, {}, tell, traced, self._looking, late, common)

    def _conditioned(self, executor: Executor, tell: Tell) -> str:
        """See to it that no run heals what another one left in a channel; return what all runs share nevertheless, in words.

        A process that sets up the fixtures of a channel anew has its own; whether that is possible is tried once.
        """
        channels, conditions = self._order.channels, self._conditions
        conditions.wary = bool(channels or self._usual.unseen)
        if not executor.clean:
            return _shared(channels) or "all runs share this process"
        owned = [channel for channel in channels if channel.fixture]
        others = [channel for channel in channels if not channel.fixture]
        if fixed := [channel for channel in owned if channel.fixed]:
            return f"{_shared(fixed)}, and another one would be the same"
        if (seconds := sum(channel.seconds for channel in owned)) > _PATIENCE:
            return f"{_shared(owned)}, and to set up another one in each process would take {seconds:.0f} s"
        if owned:
            conditions.fixtures = frozenset(channel.fixture for channel in owned)
            (ran,) = alone(executor, None)
            if ran.spoiled:
                conditions.fixtures = frozenset()
                common = f"{_shared(owned)}, and with another one beside it the test {trouble(ran)}"
                tell(common)
                return common
        return _shared(others)

    @staticmethod
    def _left(baseline: Baseline, executor: Executor) -> Sequence[Counter[tuple[str, str]]]:
        """Return what uninterrupted runs leave behind.

        This process, which made them, gets the children of others, too, and cannot tell them from its own; workers can.
        """
        if not descendants.adopts() or not any(kind == Children.name for left in baseline.left for kind, _ in left):
            return baseline.left
        runs = [leftovers(ran) for ran in alone(executor, None, None) if ran.passed]
        children = [Counter({each: run[each] for each in run if each[0] == Children.name}) for run in runs]
        others = [Counter({each: left[each] for each in left if each[0] != Children.name}) for left in baseline.left]
        return [left + more for left, more in zip(others, children, strict=False)] or baseline.left

    def _chosen(self, shown: list[Point], baseline: Baseline) -> strategy.Strategy:
        """Choose the points to audit by snapshots."""
        if self._why_rerun:
            return strategy.Strategy((), f"rerun: {self._why_rerun}")
        return strategy.choose(self._order.settings.strategy, shown, baseline)

    def _by_snapshots(self, judge: Judge, chosen: strategy.Strategy, baseline: Baseline, tell: Tell) -> None:
        """Audit those points of the plan that can be audited by snapshots, and say why not all of them were, or are to be."""
        planned = {point.id for point in judge.plan.points}
        wanted = [point for point in chosen.snapshots if point.id in planned]
        if not wanted or self._betrayed:
            tell(StrategyChosen(self._betrayed or chosen.text))
            return
        snapshots = Snapshots(
            self._auditor.go_forward,
            lambda: self._auditor.make_run(wanted[-1] if baseline.rehearsal.effect else None, nothing),
            self._usual.holds,
            self.limit,
            self._names.short,
        )
        taken = []
        for snapshot in snapshots.take(wanted, judge.stops):
            self._hear(snapshot.ran.complaints, tell)
            taken.append(snapshot)
            tell(Struck(wanted[snapshot.position].id))
            if judge.late(0.0):
                break
        if effect := next((snapshot.effect for snapshot in taken if snapshot.effect), ""):
            snapshots.ended = f"an interrupted run has an effect outside the process: {effect}"
            taken.clear()
        text = chosen.ended(snapshots.ended, len(wanted) - len(taken)) if snapshots.ended else chosen.text
        if effect:
            self._betrayed = text
        tell(StrategyChosen(text))
        for snapshot in taken:
            judge.take(wanted[snapshot.position], snapshot.ran, snapshot.again)

    def _sort_out(self, judge: Judge, shown: Sequence[Point], tell: Tell) -> None:
        """Say whose each finding is, now that all of them are known."""
        audited = [point for point in shown if point.id in judge.results and not judge.results[point.id].reason]
        complete = self._complete and len(audited) == len(shown)
        for result in judge.sort_out(audited, complete=complete):
            kept = tuple(finding for finding in result.findings if not judge.allows_cleanup(result.point, finding))
            if kept != judge.results[result.point].findings:
                tell(replace(result, findings=kept))

    @staticmethod
    def _tell_about_allowed(judge: Judge, tell: Tell) -> None:
        """Say what was found and allowed, and what each entry of the allow-list was good for."""
        rules = judge.rules
        used = dict.fromkeys(map(str, rules.allow), False)
        for (kind, key), places in sorted(judge.allowed_together().items()):
            allowing = list(map(str, rules.allowing(kind, key)))
            used |= dict.fromkeys(allowing, True)
            tell(f"allowed at {count(places, 'point')}: {kind}:{key} ({'; '.join(allowing)})")
        for kind, key in judge.baseline:
            used |= {str(allow): True for allow in rules.allowing(kind, key)}
        tell(AllowsUsed(used))

    def _deal(self, plan: points.Plan, shard: Shard, tell: Tell) -> str:
        """Keep the points of one shard; it follows them with second interrupts, and no others. Return a digest of all points."""
        whole = plan.points
        digest = sha256("\n".join(point.id for point in whole).encode()).hexdigest()[:16]
        tell(ShardDealt(digest))
        plan.points = shard.deal(whole)
        plan.leave_out(elsewhere(str(shard)), len(whole) - len(plan.points))
        self._room = len(shard.deal(range(self._room)))
        return digest

    def _remove(self, plan: points.Plan, tell: Tell, what: str = "") -> None:
        """Take out of a plan what other plugins do not want; one point that was asked for stays."""
        if self._only or self._order.extensions is None:
            return
        plan.points, removed, complaints = self._order.extensions.remove(self.item, plan.points)
        for reason, number in removed.items():
            plan.leave_out(what + reason, number)
        for complaint in complaints:
            tell(complaint)

    def _hear(self, complaints: dict[str, str], tell: Tell) -> None:
        """Tell once of each kind that cannot be asked any more, and ask it no more in later processes."""
        for name, complaint in complaints.items():
            if name not in self._failed:
                self._failed.add(name)
                tell(complaint)
            for kind in self._own:
                if kind.name == name:
                    kind.complaint = complaint

    @contextmanager
    def _looking(self) -> Iterator[None]:
        """Let runs note what the modules in scope keep."""
        self.runner.look = self._state.take
        try:
            yield
        finally:
            self.runner.look = dict

    def _judge_with_others(self, judge: Judge, lead: Lead, tell: Tell) -> None:
        """Audit the points of the judge's plan that have no result yet, with those that help."""

        def take(done: Done) -> None:
            for result in done.results:
                judge.results[result.point] = result
                tell(result)
            for note in done.notes:
                if note not in self._notes:
                    tell(note)
            for name, places in done.allowed.items():
                judge.allowed.setdefault(name, set()).update(places)

        firsts = {point.first.id: judge.results[point.first.id] for point in judge.plan.points if point.first}
        done = [point for point in judge.plan.points if point.id in judge.results]
        audit = replace(self._outline, points=tuple(each for each in judge.plan.points if each.id not in judge.results))
        do = partial(self._do, judge)
        do(done)
        wait = partial(tell, None)
        lead.work(audit, self._seconds, do=do, take=take, wait=wait, firsts=firsts, baseline=judge.baseline)

    def _do(self, judge: Judge, chosen: Sequence[Point]) -> Done:
        """Audit some points; what came of earlier ones is not forgotten."""
        judge.plan = points.Plan([*chosen])
        results = judge.audit()
        notes, self._written = self._notes[self._written :], len(self._notes)
        return Done("", results, tuple(notes), judge.allowed)

    def _help(self, helper: Helper, judge: Judge, plan: points.Plan, tell: Tell) -> None:
        """Audit what is on offer, as far as it is planned here, too."""
        offer = helper.offer
        planned = {point.id: point for point in plan.points}
        judge.results |= offer.firsts
        judge.baseline = offer.baseline
        known = partial(self._paired, planned, tell) if offer.firsts else lambda _: planned
        helper.work(self._outline.baseline, known, partial(self._do, judge))

    def _paired(self, planned: dict[str, Point], tell: Tell, wanted: Sequence[Point]) -> dict[str, Point]:
        """Return the points with a second interrupt after the first ones of those that are wanted."""
        firsts = dict.fromkeys(point.first.id for point in wanted if point.first)
        pairs = self._pairs(sys.maxsize)
        for name in firsts:
            if name in planned:
                ran, tail = self._auditor.follow(self._auditor.aims[name])
                tell(None)
                if ran.strike.landed:
                    pairs.take(planned[name], self._auditor.aims[name], tail)
        chosen = self._aimed(pairs)
        return {point.id: point for point in chosen.points}

    def _judge(self, judge: Judge, plan: points.Plan, tell: Tell, snapshots: Callable[[], object] = nothing) -> None:
        """Audit the points of a plan, alone or with others, or as many as there is time for.

        Parameters:
            judge: who audits.
            plan: the points.
            tell: takes what is found.
            snapshots: another way to audit some of them, which goes first.
        """
        if isinstance(self._order.share, Lead):
            judge.plan = plan
            snapshots()
            self._judge_with_others(judge, self._order.share, tell)
            return
        least = 0 if judge.results else 1
        for judge.plan in self._batches(plan, least):
            snapshots()
            judge.audit()
        results = ((point, judge.results.get(point.id)) for point in plan.points)
        failing = (point for point, result in results if result and any(each.fails for each in result.findings))
        self._failing = self._failing or next(failing, None)
        self._report_the_rest(judge, plan.points)

    def _report_the_rest(self, judge: Judge, shown: Sequence[Point]) -> None:
        """Say of points without a result that there was no time for them, if there is a budget."""
        if self._order.budget:
            for point in shown:
                if point.id not in judge.results:
                    judge.report(PointResult(point.id, reason=self._order.budget.reason))

    def _batches(self, plan: points.Plan, least: int) -> Iterator[points.Plan]:
        """Yield the points for which there is time, in batches: an estimate may be wrong, and lines are to come first even so.

        Parameters:
            plan: all points.
            least: so many of them even if there is no time.
        """
        share, seconds = self._order.budget, self._seconds
        if share is None:
            yield plan
            return
        aims = [(point, plan.aims[point.id]) for point in plan.points]
        taken: set[int] = set()
        while (room := max(share.room(seconds), least - len(taken))) and len(taken) < len(aims):
            size = min(room, max(len(taken), _FIRST_BATCH))
            batch = points.layered(aims, size, self._order.settings.seed + share.turn, taken)
            taken.update(batch)
            began = time.perf_counter()
            first = share.turn % len(batch)  # where the time is up early, alike tests do not all end at the same point
            yield points.Plan([plan.points[position] for position in (*batch[first:], *batch[:first])])
            seconds = (time.perf_counter() - began) / len(batch)

    def _to_follow(self, plan: points.Plan, share: Share) -> frozenset[str]:
        """Return the points for which there is time to find out what a run reaches after them."""
        aims = [(point, plan.aims[point.id]) for point in plan.points]
        room = share.room_for_recordings(self._seconds)
        return frozenset(aims[position][0].id for position in points.layered(aims, room, self._order.settings.seed))

    def _follow(self, plan: points.Plan, results: dict[str, PointResult], tell: Tell) -> points.Plan:
        """Return the points with a second interrupt.

        The runs are made in this process: after a first interrupt that alone leaves something behind there is no second.
        """
        settings = self._order.settings
        share = self._order.budget and self._order.budget.half()
        timely = self._to_follow(plan, share) if share else frozenset()
        pairs = self._pairs(self._room)
        tell(PairsSought(len(plan.points)))
        for point in plan.points:
            result = results.get(point.id)
            reason = reason_against_more(result) if result else ""
            if share and not reason and (point.id not in timely or share.over()):
                reason = share.reason
            if reason := reason or self._order.engine.reason_against_second(settings.points):
                pairs.without(reason)
                continue
            ran, tail = self._auditor.follow(plan.aims[point.id])
            tell(PairsSought(len(plan.points)))  # a sign of life
            if not ran.strike.landed:
                pairs.without("when the first one lands cannot be seen (signal mask, or signal.set_wakeup_fd in use)")
                continue
            pairs.take(point, plan.aims[point.id], tail)
            if not self._usual.holds():
                self._auditor.run_through()
                self._usual.take()
        chosen = self._aimed(pairs)
        self._remove(chosen, tell, SECOND)
        tell(points.Plan(chosen.points, {}, chosen.left_out))
        tell(PairsSought(0))
        return chosen

    def _aimed(self, pairs: Pairs) -> points.Plan:
        """Return the points with a second interrupt, ready to be run."""
        chosen = pairs.plan()
        self._auditor.aims |= chosen.aims
        signals.collect_garbage()
        gc.freeze()  # what was recorded is nothing new to look at
        return chosen

    def _pairs(self, room: int) -> Pairs:
        """Return what collects points with a second interrupt."""
        own = own_files(self.item)
        self._order.reach.open_up(*own)
        return Pairs(
            self._recording,
            self._names,
            self._order.reach.reason_against,
            hits=self._order.settings.hits,
            room=room,
            max_points=self._order.settings.max_points,
            seed=self._order.settings.seed,
            body=own,
            only=self._order.only,
        )

    def _tell_about_kinds(self, tell: Tell) -> None:
        """Say which kinds cannot be relied on here; found out once a session for each kind."""
        seeing = dict(self._order.seeing)
        untested = [kind for kind in self._kinds if kind.name not in seeing]
        if untested:
            reasons = blind(untested, self._names.short)
            seeing |= {kind.name: reasons.get(kind.name, "") for kind in untested}
            tell(CanaryResults(seeing))
        for kind in self._kinds:
            if seeing[kind.name]:
                tell(f"kind {kind.name} is blind here: {seeing[kind.name]}")

    def _choose(self, recording: Recording) -> points.Plan:
        settings = self._order.settings
        self._recording = recording
        code = body_code(self.item)
        if code is not None and points.ran_elsewhere(code, recording):
            raise Refused(_IN_A_THREAD)
        return points.plan(
            recording,
            self._names,
            self._order.reach.reason_against,
            hits=settings.hits,
            max_points=settings.max_points,
            seed=settings.seed,
            body=own_files(self.item),
            signums=self.signums,
            only=self._only["first"] if self._only else "",
        )


def _shared(channels: Sequence[Channel]) -> str:
    """Return in words what all runs have in common, ``""`` if it is nothing."""
    if not channels:
        return ""
    first = channels[0]
    return f"all runs share what {f'fixture {first.fixture}' if first.fixture else 'a module'} opened: {first.what}"


@dataclass(slots=True, repr=False)
class _Conditions(Conditions):
    """What is seen to between runs; see :class:`pytest_maskcheck.runs.requests.Conditions`.

    Parameters:
        usual: what modules keep after a whole run.
        target: the test.
        fixtures: names of those that each process sets up anew.
    """

    usual: Usual
    target: ItemTarget
    fixtures: frozenset[str] = frozenset()
    wary: bool = False

    @property
    def renewing(self) -> bool:
        return bool(self.fixtures)

    def begin(self) -> None:
        if self.fixtures:
            self.target.renew(self.fixtures)

    def settle(self) -> None:
        if not self.usual.holds():
            self.usual.take()

    def is_usual(self) -> bool:
        return self.usual.holds()

    def end(self) -> None:
        if self.fixtures:
            self.target.end_renewed()


@dataclass(slots=True, repr=False)
class _Hearing:
    """An executor that shows each run to ``hear`` before it is judged."""

    executor: Executor
    hear: Callable[[RunResult], None]

    @property
    def clean(self) -> bool:
        """Whether each sequence of runs has a process of its own."""
        return self.executor.clean

    def runs(self, requests: Sequence[Request], last: Last) -> Generator[RunResult, None, None]:
        """See :class:`pytest_maskcheck.runs.requests.Executor`."""
        with closing(self.executor.runs(requests, last)) as runs:
            for ran in runs:
                self.hear(ran)
                yield ran
