"""Finds the points of a test and makes runs in this process; what they mean is for ``audit``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from pytest_maskcheck.audit.judge import leftovers, trouble
from pytest_maskcheck.interrupts import Recording, Strike, nothing, past
from pytest_maskcheck.interrupts.arming import arming
from pytest_maskcheck.interrupts.catching import Catching
from pytest_maskcheck.points.plan import Aim
from pytest_maskcheck.resources.heap import at_once
from pytest_maskcheck.resources.limits import room
from pytest_maskcheck.runs import effects
from pytest_maskcheck.runs.origins import Watch
from pytest_maskcheck.runs.requests import Catch, Inside, Trace
from pytest_maskcheck.system.signals import collect_garbage
from pytest_maskcheck.system.stopwatch import limited, own_time
from pytest_maskcheck.system.unpatched import gc, os, time

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    from pytest_maskcheck.interrupts import Hit, Mechanism, Mode, Trigger
    from pytest_maskcheck.interrupts.engine import Sendable
    from pytest_maskcheck.points.plan import Plan
    from pytest_maskcheck.results import Point
    from pytest_maskcheck.runs.requests import Request, RunResult
    from pytest_maskcheck.runs.runner import Runner


_PLAIN, _MEASURED, _RECORDED = 10.0, 100.0, 1000.0
"""How many times as long as the ordinary run another one may take, that is not interrupted, before it counts as hung.

A loop of a few instructions takes some hundred times as long while it is recorded.
"""


class Scope(Protocol):
    """What the audit asks of ``reach``."""

    def measuring(self, *files: str) -> AbstractContextManager[None]:
        """Measure which lines the run in the body of the ``with`` statement reaches."""
        ...

    def in_scope(self, filename: str) -> bool:
        """Tell whether code with this ``co_filename`` is in scope and was reached."""
        ...

    def reason_against(self, filename: str, line: int, *, entry: bool = False) -> str:
        """Return why a point on this line is not audited, or ``""``."""
        ...


class _InOwnTime:
    """Enters and leaves a context in the audit's own time: coverage.py takes long to start and stop, and its body is the test's."""

    def __init__(self, context: AbstractContextManager[object]) -> None:
        self._context = context

    def __enter__(self) -> object:
        with own_time:
            return self._context.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with own_time:
            self._context.__exit__(kind, error, trace)


class Refused(Exception):  # noqa: N818  (not an error: the reason why there is no audit)
    """The test cannot be audited; the message says why."""


@dataclass(slots=True, repr=False)
class Rehearsal:
    """Which points come before the first effect outside the process.

    Attributes:
        ahead: interrupts are sent before the call at whose end they arrive: the effect may be that of the last call before it.
        reached: positions of the points that came before it.
        effect: what it was, or ``""``.
        fixture: it came outside the body of the test.
    """

    ahead: bool = False
    reached: set[int] = field(default_factory=set)
    effect: str = ""
    fixture: bool = False
    inside: effects.ForkHazards | None = None
    _latest: set[int] = field(default_factory=set)
    _trigger: Trigger | None = None

    def hear(self, effect: str) -> None:
        """Take an effect."""
        if not self.effect:
            self.effect, self.fixture = effect, self.inside is None
            if self.ahead:
                self.reached -= self._latest

    def reach(self, position: int, trigger: Trigger) -> None:
        """Take a point."""
        if self.inside is not None and not self.effect and (reason := self.inside.reason()):
            self.hear(reason)
        if not self.effect:
            self.reached.add(position)
            self._latest = {*self._latest, position} if trigger is self._trigger else {position}
            self._trigger = trigger


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the uninterrupted test does.

    Parameters:
        left: kind and key of what each of two runs leaves behind by itself, and how often.
        seconds: that a run takes.
        rehearsal: what it does outside the process.
    """

    left: tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]
    seconds: float
    rehearsal: Rehearsal


@dataclass(slots=True, repr=False)
class Auditor:
    """Finds the points of a test and makes runs; what they mean is for :class:`Judge`.

    Parameters:
        runner: runs the test and looks at what it leaves behind.
        mechanism: how interrupts come.
        scope: which code and which lines.
        mode: ``checkpoint``, ``line`` or ``raise``.
        signums: the signals to send.
        watch: called with each recording as it begins.
        limit: seconds by which a run that is not interrupted may outlast the ordinary one; 0: for ever.
        seconds: that the ordinary one took.
    """

    runner: Runner
    mechanism: Mechanism[Any]
    scope: Scope
    mode: Mode
    signums: tuple[int, ...]
    watch: Callable[[Recording], object] = lambda _: None
    limit: float = 0.0
    seconds: float = 0.0
    aims: dict[str, Aim] = field(default_factory=dict)
    _frozen_in: int = 0
    _thawed: bool = False

    def find(self, choose: Callable[[Recording], Plan], *files: str, thin: bool = False) -> Plan:
        """Warm the test up and return its points.

        Parameters:
            choose: makes a plan of a recording.
            files: the test's own, which are in scope whatever the settings say.
            thin: of many hits of one place few are wanted; see :attr:`.Recording.own`.

        Raises:
            Refused: the test does not pass when it is run again.
        """
        kinds, self.runner.kinds = self.runner.kinds, ()
        with ExitStack() as watching:
            for kind in kinds:
                watching.enter_context(kind.learning())
            self._uninterrupted(_InOwnTime(self.scope.measuring(*files)), _MEASURED)
        recorded: list[Recording] = []
        self._uninterrupted(self._recording(recorded, frozenset(files) if thin else None), _RECORDED)
        self.runner.kinds = kinds
        plan = choose(recorded[0])
        self.aims = plan.aims
        return plan

    def find_first(self, choose: Callable[[Recording], Plan], *files: str, thin: bool = False) -> Plan:
        """Return the points of the first run in this process, which it makes; parameters and errors as for :meth:`find`."""
        kinds, self.runner.kinds = self.runner.kinds, ()
        recorded: list[Recording] = []
        self._uninterrupted(self._recording(recorded, frozenset(files) if thin else None), _RECORDED)
        self.runner.kinds = kinds
        return choose(recorded[0])

    @arming
    def _recording(self, recorded: list[Recording], own: frozenset[str] | None) -> Iterator[None]:
        with self.mechanism.engine.record(self.scope.in_scope, self.mode, self.signums, outside=True) as found:
            found.own = own
            self.watch(found)
            recorded.append(found)
            yield
        found.settle()

    def baseline(self, points: Sequence[Point] = (), between: Callable[[], object] = nothing) -> Baseline:
        """Run the test twice as it is.

        Parameters:
            points: of these it is found out which of them come before the first effect outside the process.
            between: called after the first run.

        Raises:
            Refused: the test does not pass when it is run again.
        """
        self.freeze()
        rehearsal = Rehearsal(self.mechanism.engine.ahead)
        with effects.watching(rehearsal.hear) if points else nullcontext():
            first = self._uninterrupted(self._rehearsing(points, rehearsal) if points else nullcontext())
        between()
        started = time.perf_counter()
        second = self._uninterrupted(nullcontext())
        seconds = time.perf_counter() - started
        return Baseline((leftovers(first), leftovers(second)), seconds, rehearsal)

    def run_through(self) -> RunResult:
        """Make a run that is not interrupted.

        Raises:
            Refused: the test does not pass when it is run again.
        """
        self._freeze_again()
        return self._uninterrupted(nullcontext())

    @arming
    def _rehearsing(self, points: Sequence[Point], rehearsal: Rehearsal) -> Iterator[None]:
        triggers = [self.aims[point.id].first.trigger for point in points]

        def reached(position: int) -> None:
            with room():
                rehearsal.reach(position, triggers[position])

        with self.mechanism.engine.forward(triggers, self.scope.in_scope, self.mode, Strike(), reached):
            rehearsal.inside = effects.ForkHazards()
            try:
                yield
            finally:
                rehearsal.inside = None

    def freeze(self) -> None:
        """Make later looks at the heap see new objects only."""
        self._thawed = False
        with own_time:
            with at_once:
                for kind in self.runner.together().kinds:
                    kind.prepare()
            self.runner.together().forget()
            collect_garbage()
            gc.freeze()

    def _freeze_again(self) -> None:
        """Freeze the heap if a watched run has thawed it."""
        if self._thawed:
            self.freeze()

    def _allowed(self, slower: float) -> AbstractContextManager[None]:
        """Return what gives a run made in this process its time, where it takes so many times that of the ordinary one."""
        return limited(self.limit and self.limit + slower * max(self.seconds, 0.0))

    def _uninterrupted(self, watching: AbstractContextManager[object], slower: float = _PLAIN) -> RunResult:
        with self._allowed(slower):
            ran = self.runner.run(_watched(watching))
        if ran.broken:
            broken = ran.broken[0]
            message = f"{broken.kind} {broken.key} does not hold after the uninterrupted test: {broken.detail}"
            raise Refused(message)
        if not ran.passed:
            message = f"run again, the test {trouble(ran)}"
            raise Refused(message)
        return ran

    def make_run(self, point: Request, struck: Callable[[], None]) -> RunResult:
        """Make one run: up to ``point``, interrupted there or past a defect of CPython; or, for ``None``, through."""
        self._freeze_again()
        if isinstance(point, Trace):
            return self._watched_run(point, struck)
        if point is None:
            ran = self.runner.run(_watched(nullcontext()))
            ran.whole = True
            if self._frozen_in != os.getpid():
                self.freeze()  # what the first run of a process makes for all later ones is nothing new
                self._frozen_in = os.getpid()
            return ran
        if isinstance(point, Inside):
            aim = self.aims[point.point.id]
            around = Aim(replace(aim.first, trigger=past(aim.first)), aim.signum)
            return self.runner.run(self._strike(around, struck, past(aim.second) if aim.second else None), aim.hits)
        catching = Catching(self.mechanism.is_delivered, self.scope.in_scope) if isinstance(point, Catch) else None
        aim = self.aims[point.point.id if isinstance(point, Catch) else point.id]
        then = aim.second.trigger if aim.second else None
        return self.runner.run(self._strike(aim, struck, then, catching=catching), aim.hits, catching=catching)

    def _watched_run(self, trace: Trace, struck: Callable[[], None]) -> RunResult:
        """Make a run that is watched to learn where leftovers come from."""
        point = trace.point
        ahead = (
            self.mechanism.engine.ahead and point is not None and point.kind in {"call", "back"} and point.first is None
        )
        watch = Watch(self.runner.names, self.scope.in_scope, trace.kinds, ahead, trace.stretch)
        if point is None:
            going = self._going_by(trace.passing, watch) if trace.passing else _watched(nullcontext())
            return self.runner.run(going, watch=watch)

        def about_to_strike() -> None:
            watch.interrupt()
            struck()

        aim = self.aims[point.id]
        then = aim.second.trigger if aim.second else None
        striking = self._strike(aim, about_to_strike, then, watch.interrupt)
        try:
            return self.runner.run(striking, aim.hits, watch=watch)
        finally:
            self._thawed = True  # by looking for holders; most processes end now

    @arming
    def _going_by(self, names: Sequence[str], watch: Watch) -> Iterator[Strike]:
        """Go by points; let a watched run note what is there at each."""
        triggers = [self.aims[name].first.trigger for name in names]

        def reached(position: int) -> None:
            watch.go_by(names[position])

        with self.mechanism.engine.forward(triggers, self.scope.in_scope, self.mode, Strike(), reached) as strike:
            yield strike

    def go_forward(
        self,
        points: Sequence[Point],
        forks: Callable[[int], bool],
        struck: Callable[[], None],
        landed: Callable[[], object],
    ) -> RunResult:
        """Make a run that is interrupted where ``forks`` says so, in children; see :class:`.snapshots.GoesForward`."""
        self.freeze()  # children would copy every object that they look at
        aims = [self.aims[point.id] for point in points]
        strike = Strike()
        hits: list[Hit] = []

        def reached(position: int) -> Sendable | None:
            if not forks(position):
                return None
            self.runner.owner = os.getpid()
            hits.append(aims[position].first)
            delivery: Sendable = self.mechanism.delivery(aims[position].signum, struck, lambda _: landed(), strike)
            if not delivery.lands_at_once():
                landed()
            return delivery

        _ = self.mechanism.delivery(0, struck)  # the first one: types that nobody has seen yet take time in every child
        triggers = [aim.first.trigger for aim in aims]
        return self.runner.run(
            self.mechanism.engine.forward(triggers, self.scope.in_scope, self.mode, strike, reached), hits
        )

    def follow(self, aim: Aim) -> tuple[RunResult, Recording]:
        """Make a run that is interrupted once; return also what it reached from there on."""
        self._freeze_again()
        tail = self.mechanism.recording((aim.signum,), outside=True)
        self.watch(tail)
        with self._allowed(_RECORDED):
            return self.runner.run(self._strike(aim, lambda: None, tail), [aim.first]), tail

    def _strike(
        self,
        aim: Aim,
        struck: Callable[[], None],
        then: Trigger | Recording | None,
        begins: Callable[[], None] = nothing,
        catching: Catching | None = None,
    ) -> AbstractContextManager[Strike]:
        trigger, in_scope = aim.first.trigger, self.scope.in_scope
        return self.mechanism.engine.strike(
            trigger, in_scope, self.mode, aim.signum, struck, then=then, begins=begins, catching=catching
        )


@arming
def _watched(watching: AbstractContextManager[object]) -> Iterator[Strike]:
    """Enter ``watching`` around a run that is not interrupted."""
    with watching:
        yield Strike()
