"""One run of a test: snapshot, strike, body, readings; then, after fixtures are torn down, sorting and undoing.

The steps have files of their own: :mod:`.readings` (what is left, and when to look), :mod:`.after_body`, :mod:`.after_fixtures`,
:mod:`.outcomes` (what came out), :mod:`.catcher` (who caught the interrupt) and :mod:`.users_interrupt`.

Rules:

1. Between the entry of ``striking`` and the body, only code of this package runs, and none of ``contextlib``, which may be in scope:
   an interrupt must arrive at a place of the test's.
2. Only ``caught`` refers to what came out of the body, so that dropping it is one step of the readings.
3. An error of ours is raised when the run is over: within the test, pytest would report it as the test's failure.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.interrupts.places import OUTERMOST
from pytest_maskcheck.interrupts.strike import Strike
from pytest_maskcheck.resources.census import Census
from pytest_maskcheck.resources.kind_set import KindSet
from pytest_maskcheck.resources.raised_limits import room
from pytest_maskcheck.resources.stopped_timers import standing
from pytest_maskcheck.runs import after_fixtures
from pytest_maskcheck.runs.after_body import AfterBody
from pytest_maskcheck.runs.catcher import catcher_of, story_of
from pytest_maskcheck.runs.finalizers import finalizers_time, noting_lost_interrupts
from pytest_maskcheck.runs.garbage import collect_unheard
from pytest_maskcheck.runs.outcomes import Outcomes
from pytest_maskcheck.runs.raised import is_audits
from pytest_maskcheck.runs.readings import BodyEnd, Readings
from pytest_maskcheck.runs.requests import RunResult
from pytest_maskcheck.runs.users_interrupt import UsersInterrupt
from pytest_maskcheck.system.entered import ENTERED
from pytest_maskcheck.system.stopwatch import own_time
from pytest_maskcheck.system.unpatched import os, put_own_back, signal, time
from pytest_maskcheck.system.untrusted import is_a, last_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from types import CodeType

    from pytest_maskcheck.interrupts import Hit, InScope, Mechanism
    from pytest_maskcheck.interrupts.catching import Catching
    from pytest_maskcheck.interrupts.foreign import ForeignSignals
    from pytest_maskcheck.points.ids import Names
    from pytest_maskcheck.resources import Kind, Leftover, Surroundings
    from pytest_maskcheck.runs.fingerprint import Fingerprint
    from pytest_maskcheck.runs.origins import Watch
    from pytest_maskcheck.runs.target import Guarantees, Target
    from pytest_maskcheck.system.lines_since import LinesSince


@dataclass(slots=True, repr=False)
class Runner:
    """Runs a target and looks at what it leaves behind.

    Parameters:
        target: the test.
        kinds: what to look at.
        surroundings: names of volatile directories, refreshed before each body.
        names: names of files in reports.
        in_scope: whether a file is in scope; distinguishes the test's frames from those that called it.
        mechanism: the mechanism of the interrupts.
        here: runs share the process with the session: undo what they leave, and let the user's own Ctrl-C pass.
        guarantees: what must hold after a run.
        state: returns what modules keep; see :meth:`noting_state`.
        own: ids of the code of the test itself: its function and those defined within it.
        since: notes the lines that run from an interrupt on; ``None``: nobody wants to know.

    Attributes:
        owner: the process that makes the run; a child that the audit forks during the run takes over.
    """

    target: Target
    kinds: tuple[Kind, ...]
    surroundings: Surroundings
    names: Names
    in_scope: InScope
    mechanism: Mechanism[Any]
    here: bool = False
    guarantees: Guarantees | None = None
    state: Callable[[], Fingerprint] = dict
    own: frozenset[int] = frozenset()
    since: LinesSince | None = None
    owner: int = 0
    _notes_state: bool = False
    _kind_set: KindSet | None = None
    _passable: BodyEnd | None = None
    _outcomes: Outcomes = field(init=False)
    _users: UsersInterrupt = field(init=False)
    _after_body: AfterBody = field(init=False)

    def __post_init__(self) -> None:
        self._outcomes = Outcomes(self.surroundings, self.names, self.in_scope, self.mechanism)
        self._users = UsersInterrupt(self._outcomes, self.mechanism)
        self._after_body = AfterBody(self.target, self._outcomes, self.guarantees, self.here)

    def note_foreign(self, signals: ForeignSignals) -> None:
        """Use a record of signals from outside to distinguish the user's own Ctrl-C from a strike pending at the same time."""
        self._users.foreign = signals

    @contextmanager
    def noting_state(self) -> Iterator[None]:
        """Record in the result of each run what modules keep, which is too slow to be done always."""
        self._notes_state = True
        try:
            yield
        finally:
            self._notes_state = False

    @contextmanager
    def keeping_frames(self) -> Iterator[None]:
        """Keep the exception of an interrupted run with its frames, for a debugger; what that run leaves proves nothing."""
        self._after_body.keeps = True
        try:
            yield
        finally:
            self._after_body.keeps = False

    @property
    def exception(self) -> BaseException | None:
        """The exception that was kept."""
        return self._after_body.exception

    def kind_set(self) -> KindSet:
        """Return what drives the kinds. Call this before the heap is frozen; otherwise every run looks at that object as well."""
        if self._kind_set is None or self._kind_set.kinds is not self.kinds:
            self._kind_set = KindSet(self.kinds)
        return self._kind_set

    def run(
        self,
        striking: AbstractContextManager[Strike],
        hits: Sequence[Hit] = (),
        *,
        watch: Watch | None = None,
        catching: Catching | None = None,
    ) -> RunResult:
        """Run the target once with ``striking`` entered around its body.

        Parameters:
            striking: sends the interrupts.
            hits: the hits to strike; read only when the run is over, so that they may be added during it.
            watch: watches the run to find where leftovers come from.
            catching: collects the handlers that the interrupt enters and leaves.
        """
        ran = RunResult(Strike())
        ends: list[BodyEnd] = []  # one for each time the body ran: normally one
        self._passable = None
        broke: list[Exception] = []

        def around(body: Callable[[], object]) -> None:
            try:
                self.surroundings.places = self.target.places()
                self._body(ran, body, striking, watch, ends)
            except Exception as error:  # noqa: BLE001  (ours: pytest would report it as the test's failure)
                broke.append(error)

        ENTERED.open()
        try:
            try:
                ran.trouble = self.target(around)
            finally:
                broke += after_fixtures.finish(ran, ends, here=self.here)
        except KeyboardInterrupt:  # the body's never gets here: a fixture's handler or mask delayed this one
            if self.here:
                raise
            ran.late = True
        except Exception as error:
            if self.here or not ran.strike.fired:
                raise
            # Pytest failed on what the interrupt left, such as a patched ``os``.
            ran.trouble = f"pytest failed: {last_line(error)}{self._outcomes.place(error)}"
        finally:
            ENTERED.close()
            if self.since is not None:
                self.since.end()  # does nothing, unless the body ended with an error of ours
        if broke:
            raise broke[0]
        self._passable = ends[0] if ran.passable else None
        self._complete(ran, hits, catching)
        return ran

    def release(self) -> bool:
        """Make a further run possible in this process after one whose result is passable; return whether it is possible."""
        return self._passable is not None and after_fixtures.release(self._passable)

    def _body(
        self,
        ran: RunResult,
        body: Callable[[], object],
        striking: AbstractContextManager[Strike],
        watch: Watch | None,
        ends: list[BodyEnd],
    ) -> None:
        caught: list[BaseException] = []  # nothing else refers to the exception, so that it can be dropped
        self.owner = os.getpid()
        put_own_back()  # an earlier run or a fixture may have removed or replaced modules of ours
        if self.guarantees is not None:
            self.guarantees.begin(lambda: ran.strike.fired)
        readings = self._snapshot()
        ends.append(end := BodyEnd(readings))
        if watch is not None:
            watch.compare_with(self.kinds, readings.befores)
        self.mechanism.begin()
        finalizers: list[CodeType] = []
        begun = False
        with noting_lost_interrupts(ran, finalizers, self.mechanism):
            started = time.perf_counter()
            try:
                with self._users.noting(), striking as strike:
                    ran.strike, begun = strike, True
                    if watch is None:  # no nullcontext: contextlib may be in scope
                        body()
                    else:
                        with watch:
                            body()
            except BaseException as error:
                # Ours, or raised while the strike was being prepared: not an outcome of the body.
                if is_audits(error, self.mechanism.raises_in) or (not begun and is_a(error, Exception)):
                    readings.finish(listening=True)
                    raise
                caught.append(error)
            if os.getpid() != self.owner:
                # This is a child that the code under test forked and lost track of; it would go on with the session.
                os.kill(os.getpid(), signal.SIGKILL)
            ran.seconds = time.perf_counter() - started
            with own_time, standing:
                if self.since is not None:
                    ran.since = self.since.end()
                try:
                    if self.here and self._users.came(ran.strike, caught):
                        raise self._users.presentable(caught, ran.strike)
                    with room():
                        self._after_body.read(ran, end, caught, watch)
                    self.target.note_left({kind for kind, _ in end.described})
                finally:
                    # They are disarmed once fixtures are torn down, and must not go off before that.
                    standing.postpone(end.timers)
                    readings.finish(listening=True)  # fixtures must not meet the hooks and filters of the snapshots
                    ran.lost_in = self._outcomes.beginning_out_of_scope(finalizers)

    def _snapshot(self) -> Readings:
        """Take the snapshots with which the run is compared, after the garbage of earlier runs is collected."""
        kind_set = self.kind_set()
        with own_time, standing, room():
            with finalizers_time():
                was_garbage = collect_unheard()
            if was_garbage:  # the snapshot that would be reused contains what the collection has just closed
                kind_set.forget()
            befores = kind_set.snapshot(still=self.target.still)
        return Readings(kind_set, befores)

    def _complete(self, ran: RunResult, hits: Sequence[Hit], catching: Catching | None) -> None:
        """Fill in what is known only after fixtures are torn down; leave nothing but plain data in the result."""
        if catching is not None and not ran.strike.withdrawn:  # a withdrawn interrupt never arrived
            ran.story = story_of(catching, self.names)
            ran.caught = catcher_of(ran, catching, self.names, self.in_scope, self.own)
        ran.leaked, ran.dropped = self._plain(ran.leaked), self._plain(ran.dropped)
        named = self.surroundings.named
        ran.broken = tuple(replace(finding, detail=named(finding.detail)) for finding in ran.broken)
        if ran.since:
            ran.since = frozenset(line for line in ran.since if self.surroundings.in_scope(line[0]))
        ran.complaints = {kind.name: kind.complaint for kind in self.kinds if kind.complaint}
        if self._notes_state:
            with own_time, room():
                ran.state = self.state()
        ran.named = dict(Census.found)
        strikes = ran.strike.in_turn()
        ran.strike.strayed = any(
            strike.fired and not hit.is_suspended and strike.context != hit.context
            for strike, hit in zip(strikes, hits, strict=False)
        )
        for strike in strikes:  # plain data from here on
            strike.code = strike.handler_code = strike.error = None
            strike.context = ()

    def _plain(self, leftovers: tuple[Leftover, ...]) -> tuple[Leftover, ...]:
        """Return ``leftovers`` in a form that can be sent elsewhere: without tokens, with names for volatile directories."""
        named = self.surroundings.named
        return tuple(replace(leftover, token=None, detail=named(leftover.detail)) for leftover in leftovers)


OUTERMOST.add(id(Runner._body.__code__))  # noqa: SLF001  (the frame above which there is only the harness)
