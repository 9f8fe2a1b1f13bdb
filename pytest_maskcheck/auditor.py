"""Finds the points of a test and makes runs in this process; what they mean is for ``audit``."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pytest_maskcheck.audit import leftovers, trouble
from pytest_maskcheck.interrupts import Recording, Strike
from pytest_maskcheck.interrupts.base import arming, nothing
from pytest_maskcheck.origins import Watch
from pytest_maskcheck.resources.heap import at_once
from pytest_maskcheck.runs import Trace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from pytest_maskcheck.interrupts import Engine, Mode, Trigger
    from pytest_maskcheck.points import Aim, Plan
    from pytest_maskcheck.run import Runner
    from pytest_maskcheck.runs import Ran, Request


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


class Refused(Exception):  # noqa: N818  (not an error: the reason why there is no audit)
    """The test cannot be audited; the message says why."""


@dataclass(slots=True)
class Auditor:
    """Finds the points of a test and makes runs; what they mean is for :class:`Judge`.

    Parameters:
        runner: runs the test and looks at what it leaves behind.
        engine: finds and hits places.
        scope: which code and which lines.
        mode: ``checkpoint``, ``line`` or ``raise``.
        signums: the signals to send.
        watch: called with each recording as it begins.
    """

    runner: Runner
    engine: Engine
    scope: Scope
    mode: Mode
    signums: tuple[int, ...]
    watch: Callable[[Recording], object] = lambda _: None
    aims: dict[str, Aim] = field(default_factory=dict)

    def find(self, choose: Callable[[Recording], Plan], *files: str) -> Plan:
        """Warm the test up and return its points.

        Parameters:
            choose: makes a plan of a recording.
            files: files in scope whatever the settings say.

        Raises:
            Refused: the test does not pass when it is run again.
        """
        kinds, self.runner.kinds = self.runner.kinds, ()
        with ExitStack() as watching:
            for kind in kinds:
                watching.enter_context(kind.learning())
            self._uninterrupted(self.scope.measuring(*files))
        recording = Recording()
        self._uninterrupted(self._recording(recording))
        self.runner.kinds = kinds
        plan = choose(recording)
        self.aims = plan.aims
        return plan

    @arming
    def _recording(self, recording: Recording) -> Iterator[None]:
        with self.engine.record(self.scope.in_scope, self.mode, self.signums) as found:
            self.watch(found)
            yield
        recording.hits, recording.other_threads, recording.aside = found.hits, found.other_threads, found.aside

    def baseline(self) -> tuple[frozenset[tuple[str, str]], float]:
        """Run the test twice as it is; return what it leaves behind by itself, and seconds a run takes.

        Raises:
            Refused: the test does not pass when it is run again.
        """
        self._freeze()
        started = time.perf_counter()
        runs = [self._uninterrupted(nullcontext()) for _ in range(2)]
        seconds = (time.perf_counter() - started) / len(runs)
        return frozenset(identity for ran in runs for identity in leftovers(ran)), seconds

    def _freeze(self) -> None:
        """Make later looks at the heap see new objects only."""
        with at_once:
            for kind in self.runner.together().kinds:
                kind.prepare()
        self.runner.together().forget()
        gc.collect()
        gc.freeze()

    def _uninterrupted(self, watching: AbstractContextManager[object]) -> Ran:
        ran = self.runner.run(_watched(watching))
        if ran.broken:
            broken = ran.broken[0]
            message = f"{broken.kind} {broken.key} does not hold after the uninterrupted test: {broken.detail}"
            raise Refused(message)
        if not ran.passed:
            message = f"run again, the test {trouble(ran)}"
            raise Refused(message)
        return ran

    def make_run(self, point: Request, struck: Callable[[], None]) -> Ran:
        """Make one run: up to ``point``, interrupted there, or, for ``None``, through."""
        if isinstance(point, Trace):
            return self._watched_run(point, struck)
        if point is None:
            ran = self.runner.run(_watched(nullcontext()))
            self._freeze()  # what the first run of a process makes for all later ones is nothing new
            return ran
        aim = self.aims[point.id]
        return self.runner.run(self._strike(aim, struck, aim.second.trigger if aim.second else None), *aim.hits)

    def _watched_run(self, trace: Trace, struck: Callable[[], None]) -> Ran:
        """Make a run that is watched to learn where leftovers come from."""
        point = trace.point
        ahead = self.engine.ahead and point is not None and point.kind == "call" and point.first is None
        watch = Watch(self.runner.names, self.scope.in_scope, trace.kinds, ahead, trace.stretch)
        if point is None:
            return self.runner.run(_watched(nullcontext()), watch=watch)

        def about_to_strike() -> None:
            watch.interrupt()
            struck()

        aim = self.aims[point.id]
        then = aim.second.trigger if aim.second else None
        striking = self._strike(aim, about_to_strike, then, watch.interrupt)
        try:
            return self.runner.run(striking, *aim.hits, watch=watch)
        finally:
            self._freeze()  # looking for holders has thawed the heap

    def follow(self, aim: Aim) -> tuple[Ran, Recording]:
        """Make a run that is interrupted once; return also what it reached from there on."""
        tail = Recording()
        self.watch(tail)
        return self.runner.run(self._strike(aim, lambda: None, tail), aim.first), tail

    def _strike(
        self,
        aim: Aim,
        struck: Callable[[], None],
        then: Trigger | Recording | None,
        begins: Callable[[], None] = nothing,
    ) -> AbstractContextManager[Strike]:
        in_scope = self.scope.in_scope
        return self.engine.strike(aim.first.trigger, in_scope, self.mode, aim.signum, struck, then=then, begins=begins)


@arming
def _watched(watching: AbstractContextManager[object]) -> Iterator[Strike]:
    """Enter ``watching`` around a run that is not interrupted."""
    with watching:
        yield Strike()
