"""How runs are made, and why: in forked processes or not, and by running the test again for each point or by snapshots.

Choices are values, and so are their reasons: a :class:`~pytest_maskcheck.reasons.Reason` has a code and the sentence that reports show.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_maskcheck.reasons import Isolation, NotAudited, Reason
from pytest_maskcheck.reasons import Strategy as Code
from pytest_maskcheck.runs import fork_sharing
from pytest_maskcheck.runs.child import CAN_FORK
from pytest_maskcheck.system.entered import ENTERED
from pytest_maskcheck.system.unpatched import os, signal, threading, time

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pytest_maskcheck.audit.rehearsal import Uninterrupted
    from pytest_maskcheck.results import Point

_WORTH = 0.005
"""Snapshots may be faster if the uninterrupted test takes at least this many seconds."""

_CHILD = 3
"""Cost of a child, in bare forks: the child also unwinds, is checked for leftovers, and copies the pages that it touches."""

_SHARED = {"capfd", "capfdbinary"}
"""Fixtures that read what a child writes."""


@dataclass(frozen=True, slots=True)
class IsolationChoice:
    """The isolation of a test, and why.

    Parameters:
        how: ``Isolation.FORK``, in forked processes, each clean at its start; or ``Isolation.NONE``, all in the process of the session.
        why: the reason.
    """

    how: Isolation
    why: Reason

    @classmethod
    def fork(cls, why: Isolation) -> IsolationChoice:
        """Return the choice of forked processes."""
        return cls(Isolation.FORK, Reason(why))

    @classmethod
    def none(cls, why: Isolation, **values: str) -> IsolationChoice:
        """Return the choice of one process; ``values`` are filled into the sentence."""
        return cls(Isolation.NONE, Reason(why, **values))


@dataclass(frozen=True, slots=True)
class Strategy:
    """Which points are audited by snapshots, and why others are not.

    Parameters:
        snapshots: the points for snapshots, in the order the test reaches them.
        rerun: number of other points that are reached by running the test again.
        why: the reason for those, or, without snapshots, for all; ``None`` if there are none.
        left: number of ``snapshots`` that are reached by rerunning nevertheless, because snapshots ended early.
        ended: why snapshots ended early, in words.
    """

    snapshots: tuple[Point, ...]
    rerun: int = 0
    why: Reason | None = None
    left: int = 0
    ended: str = ""

    def ended_early(self, reason: str, left: int) -> Strategy:
        """Return the strategy after snapshots have ended with so many points left."""
        return replace(self, left=left, ended=reason)

    def text(self) -> Reason:
        """Return the strategy with its reason, for the report."""
        chosen = self._chosen()
        return Reason(Code.SNAPSHOT_ENDED, chosen=chosen, left=self.left, why=self.ended) if self.left else chosen

    def _chosen(self) -> Reason:
        points = len(self.snapshots)
        if not points:
            return Reason(Code.RERUN, why=self.why)
        if self.rerun:
            return Reason(Code.SNAPSHOT_AND_RERUN, points=points, rest=self.rerun, why=self.why)
        return Reason(Code.SNAPSHOT, points=points)


def why_rerun(
    asked: str, isolation: str, fixtures: Collection[str], seconds: float, known: frozenset[int]
) -> Reason | None:
    """Return why snapshots are ruled out even before the points are known, ``None`` if they are not.

    Parameters:
        asked: the setting ``strategy``.
        isolation: see :class:`IsolationChoice`.
        fixtures: names of the fixtures that the test uses.
        seconds: how long the test took.
        known: the descriptors that were open when the session began.
    """
    used = _SHARED.intersection(fixtures)
    # The first reason that holds is reported, so the settings come first.
    reasons = {
        Reason(Isolation.AS_ASKED): asked == "rerun",
        Reason(Code.IN_SESSION): isolation != Isolation.FORK,
        Reason(Code.UNTOLD): not (CAN_FORK and fork_sharing.HAS_PROC),
        Reason(Code.SHORT): asked == "auto" and seconds < _WORTH,
        Reason(Code.READS_OUTPUT, fixture=min(used, default="")): used,
        Reason(Code.THREADS): threading.active_count() > 1,
    }
    if reason := next((reason for reason, holds in reasons.items() if holds), None):
        return reason
    open_files = map(fork_sharing.shared, sorted(fork_sharing.descriptors() - known))
    return next(filter(None, open_files), None) or fork_sharing.shared_memory()


def choose(asked: str, points: Sequence[Point], uninterrupted: Uninterrupted) -> Strategy:
    """Choose the strategy by what the uninterrupted test does."""
    rehearsal = uninterrupted.rehearsal
    if rehearsal.fixture:
        return Strategy((), why=Reason(Code.FIXTURE_EFFECT, effect=rehearsal.effect))
    before = tuple(point for position, point in enumerate(points) if position in rehearsal.reached)
    if not before:
        return Strategy((), why=Reason(Code.EFFECT_FIRST, effect=rehearsal.effect or Reason(Code.NOTHING_AGAIN)))
    if asked == "auto" and uninterrupted.seconds < _WORTH:
        return Strategy((), why=Reason(Code.SHORT))  # only the ordinary run took longer
    if asked == "auto":
        cost = _CHILD * _fork_seconds()
        # On average, a rerun reaches its point after half of the test.
        if uninterrupted.seconds / 2 < cost:
            return Strategy((), why=Reason(Code.FORK_COSTS, milliseconds=1000 * cost))
    if len(before) == len(points):
        return Strategy(before)
    effect = rehearsal.effect
    why = Reason(Code.AFTER_EFFECT, effect=effect) if effect else Reason(NotAudited.NOT_REACHED)
    return Strategy(before, len(points) - len(before), why)


def _fork_seconds() -> float:
    """Return how long it takes to fork this process."""
    started = time.perf_counter()
    pid = os.fork()
    if not pid:
        ENTERED.close()  # no run is under way
        os.kill(os.getpid(), signal.SIGKILL)  # no exit handler and no flush: both are the parent's
    os.waitpid(pid, 0)
    return time.perf_counter() - started
