"""Makes runs in this process: interrupted at a point, watched, forward past many points, or uninterrupted.

Executors (:mod:`pytest_maskcheck.runs`) call it, most often in a process that they have forked. The judge decides what a run means.

Rules:

1. Readings after a run see new objects only: the heap is frozen before it, and again after a watched run, which thaws the heap to look
   for holders.
2. Objects that the first run of a process makes for all later ones are not new: the heap is frozen once more after it.
3. Generators that arm an engine are decorated with this package's ``@arming``: ``contextlib`` may be in scope itself, and would be
   interrupted.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, assert_never

from pytest_maskcheck.audit.timed_runs import TimedRuns
from pytest_maskcheck.interrupts import Recording, Strike, nothing, past
from pytest_maskcheck.interrupts.arming import arming
from pytest_maskcheck.interrupts.catching import Catching
from pytest_maskcheck.interrupts.retelling import Retelling
from pytest_maskcheck.points.plan import Aim
from pytest_maskcheck.resources.elders import ELDERS
from pytest_maskcheck.resources.heap import at_once
from pytest_maskcheck.results import Point
from pytest_maskcheck.runs.origins import Watch
from pytest_maskcheck.runs.requests import Catch, HeldBack, PastDefect, Timed, Trace
from pytest_maskcheck.system.frozen_heap import FrozenHeap
from pytest_maskcheck.system.signals import collect_garbage
from pytest_maskcheck.system.stopwatch import limited, own_time
from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from pytest_maskcheck.interrupts import Hit, Mechanism, Mode, Trigger
    from pytest_maskcheck.interrupts.engine import Sendable
    from pytest_maskcheck.runs.requests import Request, RunResult
    from pytest_maskcheck.runs.runner import Runner

PLAIN, MEASURED, RECORDED = 10.0, 100.0, 1000.0
"""How many times as long as the ordinary run a run without an interrupt may take before it counts as hung.

A loop of a few instructions takes some hundred times as long while it is recorded.
"""


class Scope(Protocol):
    """The code that is audited; :class:`pytest_maskcheck.points.reach.Reach` is one."""

    def measuring(self, *files: str) -> AbstractContextManager[None]:
        """Measure which lines the run in the body of the ``with`` statement reaches."""
        ...

    def in_scope(self, filename: str) -> bool:
        """Return whether code with this ``co_filename`` is in scope and was reached."""
        ...


@dataclass(slots=True, repr=False)
class RunMaker:
    """Makes runs of one test.

    Parameters:
        runner: runs the test and reads what it leaves behind.
        mechanism: how interrupts are delivered.
        scope: the code that is audited.
        mode: ``checkpoint``, ``line`` or ``raise``.
        watch: called with each recording as it begins.
        limit: seconds by which a run without an interrupt may outlast the ordinary one; 0: no limit.
        seconds: duration of the ordinary run.
        aims: id of a point -> where it is.
    """

    runner: Runner
    mechanism: Mechanism[Any]
    scope: Scope
    mode: Mode
    watch: Callable[[Recording], object] = lambda _: None
    limit: float = 0.0
    seconds: float = 0.0
    aims: dict[str, Aim] = field(default_factory=dict)
    _frozen_in: int = 0
    _thawed: bool = False
    _is_unread: bool = False

    def freeze(self) -> None:
        """Make later readings of the heap see new objects only."""
        self._thawed = False
        with own_time:
            collect_garbage()
            if not self._is_unread:
                self._prepare_kinds()
            elif not self._prepare_with_elders():  # kinds must also see what was there before the first run
                FrozenHeap.thaw()
                self._prepare_kinds()
            self._is_unread = False
            self.runner.kind_set().forget()
            FrozenHeap.freeze()

    def _prepare_kinds(self) -> None:
        with at_once:
            for kind in self.runner.kind_set().kinds:
                kind.prepare()

    def _prepare_with_elders(self) -> bool:
        """Prepare the kinds with what the session has found; return whether that was all that they look for."""
        with at_once:
            if not ELDERS.show():
                return False
            for kind in self.runner.kind_set().kinds:
                kind.prepare()
        return ELDERS.were_all()

    def freeze_first(self) -> None:
        """Freeze what there is before the first run, so that garbage is collected quickly after each.

        Garbage of earlier tests is frozen, too. Collecting it here would take longer than most runs, as the process would copy all
        memory that it shares with its parent; and a file that is garbage would write its buffer in each of the two processes.
        """
        FrozenHeap.freeze()
        self._is_unread = True

    def freeze_again(self) -> None:
        """Freeze the heap if a watched run has thawed it."""
        if self._thawed:
            self.freeze()

    def time_for(self, slower: float) -> AbstractContextManager[None]:
        """Return a context that ends a run made in this process when it takes too long.

        Parameters:
            slower: how many times as long as the ordinary run it may take.
        """
        return limited(self.limit and self.limit + slower * max(self.seconds, 0.0))

    def make_run(self, request: Request, struck: Callable[[], None]) -> RunResult:  # noqa: PLR0911  (one for each sort of request)
        """Make the run for a request; call ``struck`` when the interrupt is sent."""
        self.freeze_again()
        match request:
            case None:
                return self._whole_run()
            case Trace():
                return self._watched_run(request, struck)
            case PastDefect(point):
                aim = self.aims[point.id]
                around = Aim(replace(aim.first, trigger=past(aim.first)), aim.signum)
                then = past(aim.second) if aim.second else None
                return self.runner.run(self._strike(around, struck, then), aim.hits)
            case HeldBack(begins, after):
                hits = [self.aims[after.id].first] if after is not None else []
                return self.runner.run(self._holding_back(begins, after, struck), hits)
            case Catch(point, retells):
                collects = Retelling if retells else Catching
                return self._struck_run(point, struck, collects(self.mechanism.is_delivered, self.scope.in_scope))
            case Timed():
                return TimedRuns(self.runner, self.mechanism, self.scope, self.mode, self.aims).make(request)
            case Point():
                return self._struck_run(request, struck)
            case _:
                assert_never(request)

    def _whole_run(self) -> RunResult:
        """Make a run that is not interrupted."""
        ran = self.runner.run(unarmed(nullcontext()))
        ran.whole = True
        if self._frozen_in != os.getpid():
            self.freeze()  # see rule 2
            self._frozen_in = os.getpid()
        return ran

    def _struck_run(self, point: Point, struck: Callable[[], None], catching: Catching | None = None) -> RunResult:
        """Make a run that is interrupted at a point."""
        aim = self.aims[point.id]
        then = aim.second.trigger if aim.second else None
        struck = self._noting_lines(struck)
        return self.runner.run(self._strike(aim, struck, then, catching=catching), aim.hits, catching=catching)

    def _noting_lines(self, struck: Callable[[], None]) -> Callable[[], None]:
        """Return what is called when the interrupt is sent, with which the lines that run from there on are noted, if that is wanted."""
        since = self.runner.since
        if since is None:
            return struck

        def noting() -> None:
            since.begin()
            struck()

        return noting

    def _watched_run(self, trace: Trace, struck: Callable[[], None]) -> RunResult:
        """Make a run that is watched to see where leftovers come from."""
        point = trace.point
        ahead = (
            self.mechanism.engine.ahead and point is not None and point.kind in {"call", "back"} and point.first is None
        )
        watch = Watch(self.runner.names, self.scope.in_scope, trace.kinds, ahead, trace.stretch)
        if point is None:
            passing = self._passing(trace.passing, watch) if trace.passing else unarmed(nullcontext())
            return self.runner.run(passing, watch=watch)

        def about_to_strike() -> None:
            watch.interrupt()
            struck()

        aim = self.aims[point.id]
        then = aim.second.trigger if aim.second else None
        striking = self._strike(aim, about_to_strike, then, watch.interrupt)
        try:
            return self.runner.run(striking, aim.hits, watch=watch)
        finally:
            self._thawed = True  # by the search for holders; most processes end after this run anyway

    @arming
    def _passing(self, names: Sequence[str], watch: Watch) -> Iterator[Strike]:
        """Pass points without an interrupt, and record what is there at each."""
        triggers = [self.aims[name].first.trigger for name in names]

        def reached(position: int) -> None:
            watch.go_by(names[position])

        with self.mechanism.engine.forward(triggers, self.scope.in_scope, self.mode, Strike(), reached) as strike:
            yield strike

    @arming
    def _holding_back(self, begins: Point, after: Point | None, struck: Callable[[], None]) -> Iterator[Strike]:
        """Send an interrupt at one point that is held back until another one, or until the body has ended."""
        aims = [self.aims[point.id] for point in (begins, after) if point is not None]
        strike = Strike()
        held: list[Callable[[], bool]] = []

        def reached(position: int) -> Sendable | None:
            if position == 0:
                held.append(self.mechanism.hold_back(aims[0].signum))
                return None
            if not held or not held.pop()():
                return None  # the run took another path, or the code let the interrupt through: this proves nothing
            delivery: Sendable = self.mechanism.delivery(aims[1].signum, struck, strike=strike)
            return delivery

        triggers = [aim.first.trigger for aim in aims]
        with self.mechanism.engine.forward(triggers, self.scope.in_scope, self.mode, strike, reached):
            try:
                yield strike
            finally:
                if held:
                    strike.withdrawn = held.pop()()

    def go_forward(
        self,
        points: Sequence[Point],
        forks: Callable[[int], bool],
        struck: Callable[[], None],
        landed: Callable[[], object],
    ) -> RunResult:
        """Make a run that is interrupted only in children, where ``forks`` returns true; see :class:`.forward_parent.GoesForward`."""
        self.freeze()  # otherwise children would copy every object that they read
        aims = [self.aims[point.id] for point in points]
        strike = Strike()
        hits: list[Hit] = []
        struck = self._noting_lines(struck)

        def reached(position: int) -> Sendable | None:
            if not forks(position):
                return None
            self.runner.owner = os.getpid()
            hits.append(aims[position].first)
            delivery: Sendable = self.mechanism.delivery(aims[position].signum, struck, lambda _: landed(), strike)
            if not delivery.lands_at_once():
                landed()
            return delivery

        _ = self.mechanism.delivery(
            0, struck
        )  # readings of the heap classify each new type: done once here, not in every child
        triggers = [aim.first.trigger for aim in aims]
        return self.runner.run(
            self.mechanism.engine.forward(triggers, self.scope.in_scope, self.mode, strike, reached), hits
        )

    def follow(self, aim: Aim) -> tuple[RunResult, Recording]:
        """Make a run that is interrupted once; return it with a recording of what it reached from there on."""
        self.freeze_again()
        tail = self.mechanism.recording((aim.signum,), outside=True)
        self.watch(tail)
        with self.time_for(RECORDED):
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
def unarmed(watching: AbstractContextManager[object]) -> Iterator[Strike]:
    """Enter ``watching`` around a run without an interrupt."""
    with watching:
        yield Strike()
