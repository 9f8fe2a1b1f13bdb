"""One run of a test's body: snapshot, strike, body, readings.

Two readings tell a leak from a release by reference counting. A live traceback keeps frames, and so locals,
alive; the first reading is taken with it. If anything is left then, the frames of the code under test are
dropped, except the test's own, which stands for the program that catches the interrupt and goes on, and a second
reading is taken; after the test's frame went too, a third. What is there at the last is leaked. What
was only there at the first was released because CPython counts references. A lock that is still held once the
interrupted frames are gone is leaked even if it dies with the test, as nobody would release it.

One resource can show up under several kinds: an executor with its threads, a socket with its descriptor. After the last
reading those that own others are undone first, and what vanishes with one of them is told as a part of it.

Guarantees are checked before the last reading, when the test's frame is gone, too, and what only it kept alive.

A leftover may be a fixture's: a connection that code under test opened and that the fixture closes. Whether it is there is read when the
body has ended, but nothing is undone before fixtures were torn down, as they would meet what was closed under them. Only locks are released
before, where runs share the process, as a fixture may wait for them; and process state is put back, which fixtures restore on their own.
"""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from pytest_maskcheck.interrupts.places import OUTERMOST
from pytest_maskcheck.interrupts.strike import Strike
from pytest_maskcheck.points.cleanup import package_of
from pytest_maskcheck.resources.heap import at_once
from pytest_maskcheck.resources.holders import held_by
from pytest_maskcheck.resources.kind_set import KindSet
from pytest_maskcheck.resources.limits import room
from pytest_maskcheck.resources.timers import IntervalTimers, standing
from pytest_maskcheck.results import Finding
from pytest_maskcheck.runs.garbage import collect_unheard
from pytest_maskcheck.runs.raised import (
    Entry,
    Raised,
    chain,
    count_interrupts,
    drop,
    entries_of,
    finalizer_of,
    is_audits,
    is_expecting,
    is_harness,
    traceback_of,
)
from pytest_maskcheck.runs.requests import Catcher, CaughtBy, RunResult
from pytest_maskcheck.system.other_threads import has_other_threads
from pytest_maskcheck.system.signals import collect_garbage
from pytest_maskcheck.system.stopwatch import own_time, their_time
from pytest_maskcheck.system.unpatched import gc, os, put_own_back, signal, threading, time
from pytest_maskcheck.system.untrusted import is_a, last_line, name_of, with_traceback

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from types import CodeType, FrameType

    from pytest_maskcheck.interrupts import Hit, InScope, Mechanism
    from pytest_maskcheck.interrupts.catching import Catching
    from pytest_maskcheck.interrupts.foreign import ForeignSignals
    from pytest_maskcheck.points.plan import Names
    from pytest_maskcheck.resources import Kind, Leftover, Surroundings
    from pytest_maskcheck.resources.base import Identity
    from pytest_maskcheck.results import Frame
    from pytest_maskcheck.runs.origins import Watch

_PATIENCE = (1e-6, 1e-4, 1e-3, 4e-3, 15e-3, 30e-3)
"""Seconds between looks at what may vanish by itself: 50 ms in all."""


class Target(Protocol):
    """A test that can be run again and again."""

    def __call__(self, around: Callable[[Callable[[], object]], None]) -> str:
        """Run once with everything fresh, calling ``around(body)`` in place of the body.

        Returns:
            What went wrong outside the body (a fixture that failed), or ``""``.
        """
        ...

    def places(self) -> dict[str, str]:
        """Return directories that differ from run to run, by name; asked during a run."""
        ...

    def forget(self) -> None:
        """Let go of what the harness noted of the run and what keeps frames alive, such as tracebacks in captured logs."""
        ...


class Guarantees(Protocol):
    """What must hold after a run; see :class:`pytest_maskcheck.session.fixture.Ledger`."""

    @property
    def asked(self) -> bool:
        """Whether the run that ended has anything to check."""
        ...

    def begin(self, struck: Callable[[], bool]) -> None:
        """Take what tells whether the interrupt of the run was sent."""
        ...

    def check(self, *, returned: bool) -> tuple[Finding, ...]:
        """Return what does not hold; ``returned`` tells that nothing came out of the body."""
        ...

    def forget(self) -> None:
        """Let go of what was registered for the run."""
        ...


@dataclass(slots=True, repr=False)
class Runner:
    """Runs a target and looks at what it leaves behind.

    Parameters:
        target: the test.
        kinds: what to look at.
        surroundings: names of volatile directories, refreshed before each body.
        names: names of files in reports.
        in_scope: tells the test's frames from those that called it.
        mechanism: how interrupts come.
        here: runs share the process with the session: undo what they leave, and let the user's own Ctrl-C pass.
        outside: tells the user's own Ctrl-C from a strike that is pending at the same time.
        guarantees: what must hold after a run.
        look: returns what modules keep, for the state of each run.
        own: code of the test itself, by ``id``: its function and what is written within it.
        keep: keep the exception of the next run with its frames in ``exception``, for a debugger; what that run leaves says nothing.
        owner: the process that makes the run; one that is forked in its course on purpose takes over.
        still: between two runs nothing happens but what the harness does: what was found as before needs not be looked at again.
    """

    target: Target
    kinds: tuple[Kind, ...]
    surroundings: Surroundings
    names: Names
    in_scope: InScope
    mechanism: Mechanism[Any]
    here: bool = False
    outside: ForeignSignals | None = None
    guarantees: Guarantees | None = None
    look: Callable[[], dict[str, str]] = dict
    own: frozenset[int] = frozenset()
    keep: bool = False
    owner: int = 0
    still: bool = False
    exception: BaseException | None = None
    _sends_itself: bool = False
    _together: KindSet | None = None

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
            hits: those that are to be struck; asked when the run is over.
            watch: watches the run to learn where leftovers come from.
            catching: was told, when the run is over, which handlers the interrupt entered and left.
        """
        ran = RunResult(Strike())
        ends: list[_End] = []  # one for each time that the body ran: once
        broke: list[Exception] = []

        def around(body: Callable[[], object]) -> None:
            try:
                self.surroundings.places = self.target.places()
                self._body(ran, body, striking, watch, ends)
            except Exception as error:  # noqa: BLE001  (ours: pytest would make a failed test of it)
                broke.append(error)

        try:
            try:
                ran.trouble = self.target(around)
            finally:
                broke += self._after_fixtures(ran, ends)
        except KeyboardInterrupt:  # the body's never get here: a handler or mask of a fixture's kept it for later
            if self.here:
                raise
            ran.late = True
        except Exception as error:
            if self.here or not ran.strike.fired:
                raise
            ran.trouble = f"pytest failed: {last_line(error)}{self._raised_at(error)}"  # on what the interrupt left, such as a patched ``os``
        if broke:
            raise broke[0]
        if catching is not None and not ran.strike.withdrawn:  # else it never came
            ran.caught = self._caught(ran, catching)
        ran.leaked, ran.dropped = self._plain(ran.leaked), self._plain(ran.dropped)
        named = self.surroundings.named
        ran.broken = tuple(replace(finding, detail=named(finding.detail)) for finding in ran.broken)
        ran.complaints = {kind.name: kind.complaint for kind in self.kinds if kind.complaint}
        with own_time, room():
            ran.state = self.look()
        strikes = ran.strike.in_turn()
        ran.strike.strayed = any(
            strike.fired and not hit.is_suspended and strike.context != hit.context
            for strike, hit in zip(strikes, hits, strict=False)
        )
        for strike in strikes:  # plain data from here on
            strike.code = strike.handler_code = strike.error = None
            strike.context = ()
        return ran

    def _plain(self, leftovers: tuple[Leftover, ...]) -> tuple[Leftover, ...]:
        """Return ``leftovers`` as they can be told elsewhere: without tokens, volatile directories by name."""
        named = self.surroundings.named
        return tuple(replace(leftover, token=None, detail=named(leftover.detail)) for leftover in leftovers)

    def _body(
        self,
        ran: RunResult,
        body: Callable[[], object],
        striking: AbstractContextManager[Strike],
        watch: Watch | None,
        ends: list[_End],
    ) -> None:
        caught: list[BaseException] = []  # nothing else refers to it, so that it can be let go of
        self.owner = os.getpid()
        put_own_back()
        if self.guarantees is not None:
            self.guarantees.begin(lambda: ran.strike.fired)
        together = self.together()
        with own_time, standing, room():
            with _finalizers_time():
                was_garbage = collect_unheard()
            if was_garbage:
                together.forget()
            befores = together.snapshot(still=self.still)
        ends.append(end := _End(befores))
        if watch is not None:
            watch.ask(self.kinds, befores)
        self.mechanism.begin()
        finalizers: list[CodeType] = []
        begun = False
        with _quiet(ran, finalizers, self.mechanism):
            started = time.perf_counter()
            try:
                with self.outside.noting() if self.outside else nullcontext(), striking as strike:
                    ran.strike, begun = strike, True
                    if watch is None:  # no nullcontext: contextlib may be in scope
                        body()
                    else:
                        with watch:
                            body()
            except BaseException as error:
                if is_audits(error, self.mechanism.raises_in) or (not begun and is_a(error, Exception)):
                    together.finish(befores, listening=True)
                    raise
                caught.append(error)
            if (
                os.getpid() != self.owner
            ):  # a child forked by the code under test and lost: it would go on with the session
                os.kill(os.getpid(), signal.SIGKILL)
            ran.seconds = time.perf_counter() - started
            with own_time, standing:
                try:
                    if self.here and self._is_users_own(ran.strike, caught):
                        raise self._presentable(caught, ran.strike)
                    with room():
                        self._readings(ran, end, caught, watch)
                finally:
                    together.finish(befores, listening=True)
                    ran.lost_in = self._outside_of(finalizers)

    def _caught(self, ran: RunResult, catching: Catching) -> Catcher | None:
        """Return who caught the interrupt, if it was caught."""
        handling = catching.catcher()
        if handling is None:
            dropped = catching.dropped() if not ran.lost and ran.raised is None else None
            if dropped is None:
                return None
            frame = self.names.frame(dropped.code, dropped.line)
            return Catcher(frame, by=CaughtBy.FINALIZER if dropped.finalizing else CaughtBy.C)
        code, line = handling.code, handling.line
        in_scope = self.in_scope(code.co_filename)
        if is_expecting(handling.module) or (not in_scope and is_expecting(handling.home)):
            frame = self.names.frame(*(handling.site or (code, line)))
            return Catcher(self.names.frame(code, line) if in_scope else frame, by=CaughtBy.TEST)
        # The ``with`` of a test is its own. An ``__exit__`` in scope that decides there is code under test, unless it is written in the test.
        mine = id(code) in self.own or code is catching.outermost
        decides = handling.decides
        mine = mine and (decides is None or id(decides) in self.own or not self.in_scope(decides.co_filename))
        frame = self.names.frame(code, line)
        return Catcher(
            frame, by=CaughtBy.TEST if mine else CaughtBy.CODE, package="" if in_scope else package_of(frame)
        )

    def _outside_of(self, codes: list[CodeType]) -> Frame | None:
        """Return the beginning of the first of these functions if none is in scope."""
        if not codes or any(self.in_scope(code.co_filename) for code in codes):
            return None
        return self.names.frame(codes[0], codes[0].co_firstlineno)

    def _is_users_own(self, strike: Strike, caught: list[BaseException]) -> bool:
        """Tell whether somebody else than the strike interrupted the run."""
        error = caught[0] if caught else None
        came = self.outside is not None and self.outside.came()
        strikes = [one for one in strike.in_turn() if one.fired]
        if error is not None and count_interrupts(error) > sum(map(self.mechanism.may_be_users, strikes)):
            return True
        if came and error is None and not strikes:
            self._sends_itself = True  # part of the test
        sent = any(one.sent and one.signum == signal.SIGINT for one in strikes)
        return came and bool(strikes) and not sent and not self._sends_itself

    def _presentable(self, caught: list[BaseException], strike: Strike) -> KeyboardInterrupt:
        """Return the user's own interrupt with a traceback that pytest can show: one in which every entry has a line."""
        error = caught[0] if caught else None
        if error is None or not is_a(error, KeyboardInterrupt):
            return KeyboardInterrupt()
        for item in list(chain(error)):
            with_traceback(item, traceback_of(self._entries(item, strike)))
        return cast("KeyboardInterrupt", error)

    def _readings(self, ran: RunResult, end: _End, caught: list[BaseException], watch: Watch | None = None) -> None:
        """Fill in what came out of the run, what does not hold, and what is left at its end, dropping what was ``caught`` on the way."""
        befores = end.befores
        if watch is not None:
            ran.places = {name: tuple(places) for name, places in watch.places.items()}
            ran.passed_by, ran.outlasting = watch.passed_by, watch.outlasting
        first = self._read(befores)
        if first:
            others = threading.active_count() > 1  # which may be about to close what is theirs
            ending = {kind.name for kind in self.kinds if kind.ends or (others and kind.owns)}
            ending |= self._settling() if others else set()
            first = self._settled(befores, ending)
        returned = not caught
        with their_time:  # with the frames go their objects, whose finalizers are the test's
            test = self._let_go_of(caught, ran)
        asked = self.guarantees is not None and self.guarantees.asked
        settling = self._settling()
        second: list[Leftover] = []
        if first:
            self._let_go()
            second = self._settled(befores, settling)
        with their_time:
            del test
        if second or asked:
            self._let_go()
        made: set[Identity] = set()
        if asked:
            first, made = self._checked(ran, befores, first, returned=returned)
        if not first:
            return
        last = [found for found in self._settled(befores, settling) if found.identity not in made] if second else []
        gone = {kind.name for kind in self.kinds if kind.dies_with_frames}
        end.kept = {leftover.identity for leftover in last}
        if not returned:  # else there was no frame
            end.kept |= {leftover.identity for leftover in second if leftover.kind in gone}
        found = {leftover.identity: leftover for leftover in [*first, *second, *last]}
        end.described, end.last = self._described(ran, found, end.kept, watch), last
        self._repair([leftover for leftover in last if self._comes_first(leftover)], ran.strike)

    def _let_go_of(self, caught: list[BaseException], ran: RunResult) -> FrameType | None:
        """Let go of what came out of the body, having noted what it is; return the test's own frame."""
        if not caught:
            return None
        error = caught.pop()
        entries = self._entries(error, ran.strike)
        ran.raised = self._raised(error, entries, ran.strike)
        if self.keep:
            self.exception = with_traceback(error, traceback_of(entries))
        else:
            drop(error)
        return entries[0].frame if entries else None

    def _comes_first(self, leftover: Leftover) -> bool:
        """Tell whether a leftover is to be undone before fixtures are torn down."""
        return leftover.altered or any(kind.blocks for kind in self.kinds if kind.name == leftover.kind)

    def _after_fixtures(self, ran: RunResult, ends: list[_End]) -> Iterator[Exception]:
        """Fill in ``leaked`` and ``dropped``, and undo what is left, now that fixtures were torn down; yield errors of ours."""
        for end in ends:
            with own_time, standing, room():
                try:
                    if end.described:
                        self._tell(ran, end)
                    later = [leftover for leftover in end.last if not self._comes_first(leftover)]
                    self._repair(later, ran.strike, end)
                except Exception as error:  # noqa: BLE001  (see run)
                    yield error
                finally:
                    self.together().finish(end.befores, listening=False)
                    standing.disarm({leftover.key for leftover in end.last if leftover.kind == IntervalTimers.name})

    def _tell(self, ran: RunResult, end: _End) -> None:
        described, kept = end.described, end.kept
        parts = self._parts(ran, end) if ran.strike.in_turn()[0].fired else {}
        for owner, some in parts.items():
            described[owner] = _with(described[owner], [described[part] for part in described if part in some])
            kept -= some
        gone = {kind.name for kind in self.kinds if kind.dies_with_frames}
        dropped = [
            leftover for identity, leftover in described.items() if identity not in kept and leftover.kind not in gone
        ]
        dropped = [leftover for leftover in dropped if not any(leftover.identity in some for some in parts.values())]
        told = self._told_with(dropped, described.values())
        ran.leaked = tuple(leftover for identity, leftover in described.items() if identity in kept - told)
        ran.dropped = tuple(leftover for leftover in dropped if leftover.identity not in told)

    def _raised_at(self, error: BaseException) -> str:
        """Return in words where an exception was raised."""
        entries = entries_of(error)
        if not entries:
            return ""
        frame = self.names.frame(entries[-1].code, entries[-1].line)
        return f", at {frame.path}:{frame.line} in {frame.function}"

    def _described(
        self, ran: RunResult, found: dict[Identity, Leftover], kept: Collection[Identity], watch: Watch | None
    ) -> dict[Identity, Leftover]:
        """Return leftovers under the best names that can be found; note in a watched run how they came to be."""
        kinds = {kind.name: kind for kind in self.kinds}
        with at_once:
            described = {identity: kinds[leftover.kind].describe(leftover) for identity, leftover in found.items()}
            if watch is None:
                return described
            for identity, leftover in described.items():
                if sighting := watch.sighting(leftover, at_once=not ran.strike.in_turn()[0].waits):
                    held = held_by(kinds[leftover.kind].thing(leftover)) if identity in kept else ""
                    ran.sightings[leftover.kind, leftover.key] = sighting.held(held)
        return described

    def _told_with(self, dropped: list[Leftover], others: Iterable[Leftover]) -> set[Identity]:
        """Return what need not be told besides what reference counting released: its descriptors, and the warnings about it."""
        warns = {kind.name: kind.warns for kind in self.kinds if kind.warns}
        texts = [warns[leftover.kind] for leftover in dropped if leftover.kind in warns]
        descriptors = {descriptor for leftover in dropped for descriptor in leftover.descriptors}
        return {
            other.identity
            for other in others
            if (other.kind == "fd" and isinstance(other.token, tuple) and other.token[0] in descriptors)
            or (other.kind == "implicit" and any(text in str(other.token) for text in texts))
        }

    def _parts(self, ran: RunResult, end: _End) -> dict[Identity, set[Identity]]:
        """Undo what may own other leftovers, one after the other; return what vanished with each.

        What a fixture has ended vanished with others: only what is known to be a part is taken for one.
        """
        owners = {kind.name: kind for kind in self.kinds if kind.owns}
        if len(end.last) < 2 or not any(leftover.kind in owners for leftover in end.last):
            return {}
        parts: dict[Identity, set[Identity]] = {}
        remaining = self.together().lasting(end.befores, end.last)
        for leftover in end.last:
            if leftover.kind in owners and leftover.identity not in remaining:
                if some := _known_parts(end.described[leftover.identity], end, owners[leftover.kind].files):
                    parts[leftover.identity] = some
            elif leftover.kind in owners and len(remaining) > 1:
                with their_time:
                    owners[leftover.kind].repair(leftover)
                with _finalizers_time():
                    collect_garbage()
                vanished = remaining - self._still(end, remaining)
                remaining -= vanished
                parts[leftover.identity] = vanished - {leftover.identity}
                ran.folded = True
        return parts

    def _still(self, end: _End, remaining: Collection[Identity]) -> set[Identity]:
        """Return which leftovers are there still, when those that vanish by themselves had time to."""
        leftovers = [leftover for leftover in end.last if leftover.identity in remaining]
        settling = self._settling()
        found = self.together().lasting(end.befores, leftovers)
        for pause in _PATIENCE:
            if not any(name in settling for name, _ in found):
                break
            time.sleep(pause)
            found = self.together().lasting(end.befores, leftovers)
        return found

    def _checked(
        self, ran: RunResult, befores: list[object], first: list[Leftover], *, returned: bool
    ) -> tuple[list[Leftover], set[Identity]]:
        """Check the guarantees and let go of them.

        Returns:
            ``first`` without what nothing but the guarantees kept, if no traceback kept it; and what the checks left behind.
        """
        assert self.guarantees is not None
        before = {found.identity for found in self._read(befores)} if first else set()
        if not self.keep:
            with their_time:
                ran.broken = self.guarantees.check(returned=returned)
        made = {found.identity for found in self._read(befores)} - before if first else set()
        self.guarantees.forget()
        if first and returned:
            there = {found.identity for found in self._read(befores)}
            first = [found for found in first if found.identity in there or found.identity not in before]
        if first:
            self._let_go()
        return first, made

    def _let_go(self) -> None:
        """Collect what is garbage, and what only notes about it kept alive: a warning that it was not closed has it as its source."""
        with _finalizers_time():
            collect_garbage()
            self.target.forget()
            collect_garbage()

    def _repair(self, leftovers: list[Leftover], strike: Strike, end: _End | None = None) -> None:
        """Undo what is left; of what the process takes with it only where the process stays.

        What serves later runs stays if nothing was interrupted: it was started for the first time in this process.

        Parameters:
            leftovers: what is left.
            strike: of the run.
            end: fixtures were torn down: what they have ended stays as it is.
        """
        kinds = {kind.name: kind for kind in self.kinds if self.here or kind.outlives}
        if not strike.in_turn()[0].fired:
            kinds = {name: kind for name, kind in kinds.items() if not kind.serves}
        leftovers = [leftover for leftover in leftovers if leftover.kind in kinds]
        if leftovers and end is not None:
            lasting = self.together().lasting(end.befores, leftovers)
            leftovers = [leftover for leftover in leftovers if leftover.identity in lasting]
        for leftover in leftovers:
            with their_time:
                kinds[leftover.kind].repair(leftover)

    def _read(self, befores: list[object]) -> list[Leftover]:
        return self.together().compare(befores)

    def together(self) -> KindSet:
        """Return what drives the kinds; best made before the heap is frozen, or it would be looked at in every run."""
        if self._together is None or self._together.kinds is not self.kinds:
            self._together = KindSet(self.kinds)
        return self._together

    def _settling(self) -> set[str]:
        """Return the kinds of which something may vanish by itself now."""
        alone = not has_other_threads()
        return {kind.name for kind in self.kinds if kind.settles and not (alone and kind.settled_by_threads)}

    def _settled(self, befores: list[object], settling: Collection[str]) -> list[Leftover]:
        """Return what is left when what may vanish by itself, of these kinds, has had the time to.

        Meanwhile only those kinds are asked of which something is left; then all, as other threads may have closed something else.
        """
        found = self._read(befores)
        waited_for = self._waited_for(found, settling)
        if not waited_for:
            return found
        for pause in _PATIENCE:
            time.sleep(pause)
            waited_for = self._waited_for(self.together().compare_some(befores, waited_for), waited_for)
            if not waited_for:
                break
        return self._read(befores)

    def _waited_for(self, found: Collection[Leftover], settling: Collection[str]) -> set[str]:
        """Return those of some kinds of which something was found that may vanish by itself."""
        kinds = {kind.name: kind for kind in self.kinds if kind.name in settling}
        return {
            leftover.kind for leftover in found if leftover.kind in kinds and not kinds[leftover.kind].stays(leftover)
        }

    def _raised(self, error: BaseException, entries: list[Entry], strike: Strike) -> Raised:
        frames = tuple(self.names.frame(entry.code, entry.line) for entry in entries)
        with their_time:
            text = last_line(error)
        return Raised(
            type=name_of(type(error)),
            text=self.surroundings.named(text),
            interrupt=self.mechanism.is_interrupt(error, strike),
            over=any(self.mechanism.is_interrupt(item, strike) for item in chain(error) if item is not error),
            frames=frames,
            late=not frames,
        )

    def _entries(self, error: BaseException, strike: Strike) -> list[Entry]:
        """Return the traceback from the test's body to the interrupted line, frames of this package left out."""
        entries = entries_of(error)
        scoped = (at for at, entry in enumerate(entries) if self.in_scope(entry.code.co_filename))
        entries = entries[next(scoped, 0) :]
        begins = self.mechanism.begins_delivery
        deliveries = [at for at, entry in enumerate(entries) if begins(entry.code, entry.frame, strike)]
        entries = entries[: deliveries[-1]] if deliveries else entries
        return [entry for entry in entries if not is_harness(entry.frame)]


@dataclass(slots=True, repr=False)
class _End:
    """The end of the body of a test, until its fixtures were torn down.

    Parameters:
        befores: the snapshots from before the body.
        described: what was there at any reading.
        last: what was there at the last one.
        kept: what counts as leaked.
    """

    befores: list[object]
    described: dict[Identity, Leftover] = field(default_factory=dict)
    last: list[Leftover] = field(default_factory=list)
    kept: set[Identity] = field(default_factory=set)


def _known_parts(owner: Leftover, end: _End, files: tuple[str, ...]) -> set[Identity]:
    """Return which descriptors are those of ``owner``: it told them, or they are of the file that it is named after, or of those beside it."""
    names = {owner.key + ending for ending in files}
    return {
        leftover.identity
        for leftover in end.last
        if leftover.kind == "fd"
        and isinstance(leftover.token, tuple)
        and (leftover.token[0] in owner.descriptors or end.described[leftover.identity].key in names)
    }


OUTERMOST.add(id(Runner._body.__code__))  # noqa: SLF001  (the frame above which there is only the harness)


def _with(owner: Leftover, parts: list[Leftover]) -> Leftover:
    """Return a leftover that tells of its parts, each sort once."""
    counts = Counter(f"{part.kind} {part.key}" for part in parts)
    told = ", ".join(name + (f" ({number} times)" if number > 1 else "") for name, number in counts.items())
    return replace(owner, detail=f"{owner.detail}; with it {told}") if told else owner


def _finalizers_time() -> AbstractContextManager[None]:
    """Return what garbage is collected in: finalizers are the test's, and may hang.

    But where the heap is not frozen, it is the size of that which takes the time.
    """
    return their_time if gc.get_freeze_count() else nullcontext()


@contextmanager
def _quiet(ran: RunResult, codes: list[CodeType], mechanism: Mechanism[Any]) -> Iterator[None]:
    """Note interrupts that CPython drops in finalizers, with the code of these, and keep exceptions of finalizers from the terminal."""
    lost: list[str] = []

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if unraisable.exc_value is not None and mechanism.is_interrupt(unraisable.exc_value, ran.strike):
            lost.append(finalizer_of(unraisable))
            if unraisable.exc_traceback is not None:
                codes.append(unraisable.exc_traceback.tb_frame.f_code)

    before = sys.unraisablehook
    sys.unraisablehook = hook
    try:
        yield
    finally:
        if sys.unraisablehook is hook:
            sys.unraisablehook = before
        ran.lost = tuple(lost)
