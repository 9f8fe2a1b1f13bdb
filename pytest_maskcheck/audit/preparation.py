"""The runs before the first interrupt: warm up, measure the reach, record the places, run the test twice unchanged.

All of them are made in the auditing process, and none is interrupted. A test that does not pass when it is run again is not audited.
"""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pytest_maskcheck.audit.failed_runs import trouble
from pytest_maskcheck.audit.left_anyway import leftovers
from pytest_maskcheck.audit.rehearsal import Rehearsal, Uninterrupted
from pytest_maskcheck.audit.run_maker import MEASURED, PLAIN, RECORDED, unarmed
from pytest_maskcheck.interrupts import Strike, nothing
from pytest_maskcheck.interrupts.arming import arming
from pytest_maskcheck.reasons import NotAudited, Reason
from pytest_maskcheck.resources.raised_limits import room
from pytest_maskcheck.runs import effects
from pytest_maskcheck.runs.fork_hazards import ForkHazards
from pytest_maskcheck.system.stopwatch import own_time
from pytest_maskcheck.system.unpatched import time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    from pytest_maskcheck.audit.run_maker import RunMaker
    from pytest_maskcheck.interrupts import Recording
    from pytest_maskcheck.points.plan import Plan
    from pytest_maskcheck.results import Point
    from pytest_maskcheck.runs.requests import RunResult


T = TypeVar("T")


class _InOwnTime:
    """Enters and leaves a context in the audit's own time, as coverage.py takes long to start and stop; the body is the test's time."""

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
    """The test cannot be audited.

    Parameters:
        reason: why not.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, repr=False)
class Preparation:
    """Finds the points of a test and what it does without an interrupt.

    Parameters:
        maker: makes runs; it receives the aims of the points found.
        signums: the signals to send.
    """

    maker: RunMaker
    signums: tuple[int, ...]

    def find(
        self,
        choose: Callable[[Recording], Plan],
        *files: str,
        thin: bool = False,
        measured: Callable[[], object] = nothing,
    ) -> Plan:
        """Warm the test up and return its points.

        Parameters:
            choose: makes a plan from a recording.
            files: the files of the test itself, which are in scope whatever the settings are.
            thin: only a few of many hits of one place are wanted; see :attr:`.Recording.own`.
            measured: called when the lines that the test reaches are known, and nothing else yet; may raise :class:`Refused`.

        Raises:
            Refused: the test does not pass when it is run again.
        """
        runner = self.maker.runner
        # No leftovers are read in these runs: what a first run leaves behind is the purpose of first use.
        kinds, runner.kinds = runner.kinds, ()
        # Measuring slows the run down and leaves its own things behind, so places are recorded in another run.
        with ExitStack() as watching:
            for kind in kinds:
                watching.enter_context(kind.learning())
            self._run(_InOwnTime(self.maker.scope.measuring(*files)), MEASURED)
            measured()
        recorded: list[Recording] = []
        self._run(self._recording(recorded, frozenset(files) if thin else None), RECORDED)
        runner.kinds = kinds
        plan = choose(recorded[0])
        self.maker.aims = plan.aims
        return plan

    def record(self, choose: Callable[[Recording], T], *files: str, thin: bool = False) -> T:
        """Make a run, the first in this process or a later one, and return what is chosen; parameters and errors as for :meth:`find`."""
        runner = self.maker.runner
        kinds, runner.kinds = runner.kinds, ()
        recorded: list[Recording] = []
        self._run(self._recording(recorded, frozenset(files) if thin else None), RECORDED)
        runner.kinds = kinds
        return choose(recorded[0])

    @arming
    def _recording(self, recorded: list[Recording], own: frozenset[str] | None) -> Iterator[None]:
        maker = self.maker
        with maker.mechanism.engine.record(maker.scope.in_scope, maker.mode, self.signums, outside=True) as found:
            found.own = own
            maker.watch(found)
            recorded.append(found)
            yield
        found.settle()

    def run_twice(self, points: Sequence[Point] = (), between: Callable[[], object] = nothing) -> Uninterrupted:
        """Run the test twice without an interrupt.

        Parameters:
            points: the points to divide into those before and those after the first effect outside the process.
            between: called after the first run.

        Raises:
            Refused: the test does not pass when it is run again.
        """
        self.maker.freeze()
        rehearsal = Rehearsal(self.maker.mechanism.engine.ahead)
        # Twice: the number of a leftover counts only if two runs agree on it.
        with effects.watching(rehearsal.hear) if points else nullcontext():
            first = self._run(self._rehearsing(points, rehearsal) if points else nullcontext())
        between()
        # Only the second run is timed: the first one also rehearses.
        started = time.perf_counter()
        second = self._run(nullcontext())
        seconds = time.perf_counter() - started
        return Uninterrupted((leftovers(first), leftovers(second)), seconds, rehearsal)

    @arming
    def _rehearsing(self, points: Sequence[Point], rehearsal: Rehearsal) -> Iterator[None]:
        maker = self.maker
        triggers = [maker.aims[point.id].first.trigger for point in points]

        def reached(position: int) -> None:
            with room():
                rehearsal.reach(position, triggers[position])

        with maker.mechanism.engine.forward(triggers, maker.scope.in_scope, maker.mode, Strike(), reached):
            rehearsal.inside = ForkHazards()
            try:
                yield
            finally:
                rehearsal.inside = None

    def run_through(self) -> RunResult:
        """Make a run without an interrupt.

        Raises:
            Refused: the test does not pass when it is run again.
        """
        self.maker.freeze_again()
        return self._run(nullcontext())

    def _run(self, watching: AbstractContextManager[object], slower: float = PLAIN) -> RunResult:
        with self.maker.time_for(slower):
            ran = self.maker.runner.run(unarmed(watching))
        if ran.broken:
            broken = ran.broken[0]
            raise Refused(Reason(NotAudited.GUARANTEE, kind=broken.kind, key=broken.key, detail=broken.detail))
        if not ran.passed:
            raise Refused(Reason(NotAudited.FAILS_AGAIN, trouble=trouble(ran)))
        return ran
