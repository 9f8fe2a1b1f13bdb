"""How runs are made, and why: isolated in forked processes or not; all the way to each point again or by snapshots.

Choices and reasons are values. The sentences that reports show are made here alone, from the tables of reasons.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from typing import TYPE_CHECKING

from pytest_maskcheck.reasons import count
from pytest_maskcheck.runs import fork_sharing
from pytest_maskcheck.runs.child import CAN_FORK
from pytest_maskcheck.system.unpatched import os, signal, threading, time

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pytest_maskcheck.audit.rehearsal import Uninterrupted
    from pytest_maskcheck.results import Point

_WORTH = 0.005
"""Seconds that an uninterrupted test takes from which on snapshots may be faster."""

_CHILD = 3
"""Cost of a child, in bare forks: it also unwinds, is read, and its pages are copied as it touches them."""

_SHARED = {"capfd", "capfdbinary"}
"""Fixtures that read what a child writes."""


class WhyIsolation(Enum):
    """Why runs are isolated, or are not; ``{}`` stands for the detail."""

    ASKED = "as asked"
    CLEAN = "clean processes, so that hangs and crashes are caught"
    ONE_POINT = "one point, so that a debugger can look at it"
    DEBUGGER = "--pdb needs live frames"
    NO_FORK = "this platform cannot fork; hangs and crashes are not caught"
    THREADS = "a fork would lose running threads: {}; hangs and crashes are not caught"
    NEEDS_THREADS = (
        "a fork loses running threads, and the test does not end without them: {}; hangs and crashes are not caught"
    )


class WhyRerun(Enum):
    """Why points are reached by running the test again from its beginning; ``{}`` stands for the detail."""

    ASKED = "as asked"
    ONE_PROCESS = "runs share the process of the session"
    UNKNOWN = "this platform does not tell what processes share"
    SHORT = "the test is short"
    FIXTURE_READS = "{} would read what other processes write"
    THREADS = "a fork would lose running threads"
    SHARED = "{}"
    FIXTURE_EFFECT = "a fixture has an effect outside the process: {}"
    EARLY_EFFECT = "an effect outside the process comes before the first point: {}"
    EFFECT = "after an effect outside the process: {}"
    UNREACHED = "not reached again"
    NEAR = "the way to a point is shorter than a fork, {}"


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason with its detail.

    Parameters:
        why: the reason.
        detail: what it is about: threads, a fixture, an effect, in words.
    """

    why: WhyIsolation | WhyRerun
    detail: str = ""

    def sentence(self) -> str:
        """Return the reason in words."""
        template: str = self.why.value
        return template.format(self.detail)


class Isolation(StrEnum):
    """Where audited runs happen."""

    FORK = "fork"
    """In forked processes, each clean at its start."""

    NONE = "none"
    """All in the process of the session."""


@dataclass(frozen=True, slots=True)
class IsolationChoice:
    """The isolation of a test, and why.

    Parameters:
        how: the isolation.
        why: the reason.
    """

    how: Isolation
    why: Reason

    @classmethod
    def fork(cls, why: WhyIsolation) -> IsolationChoice:
        """Return the choice of forked processes."""
        return cls(Isolation.FORK, Reason(why))

    @classmethod
    def none(cls, why: WhyIsolation, detail: str = "") -> IsolationChoice:
        """Return the choice of one process."""
        return cls(Isolation.NONE, Reason(why, detail))


@dataclass(frozen=True, slots=True)
class Strategy:
    """Which points are audited by snapshots, and why others are not.

    Parameters:
        snapshots: the points for snapshots, in the order in which the test reaches them.
        rerun: number of other points that are reached by running the test again.
        why: the reason for those, or, without snapshots, for all; ``None`` if there are none.
        left: number of ``snapshots`` that are rerun nevertheless, as the snapshots ended early.
        ended: why they did, in words.
    """

    snapshots: tuple[Point, ...]
    rerun: int = 0
    why: Reason | None = None
    left: int = 0
    ended: str = ""

    def ended_early(self, reason: str, left: int) -> Strategy:
        """Return the strategy when snapshots have ended with so many points left."""
        return replace(self, left=left, ended=reason)

    def sentence(self) -> str:
        """Return the strategy in words, with the reason."""
        why = self.why.sentence() if self.why else ""
        if not self.snapshots:
            return f"rerun: {why}"
        text = f"snapshot for {count(len(self.snapshots), 'point')}"
        if self.rerun:
            text += f", rerun for {count(self.rerun, 'point')}: {why}"
        return f"{text}; rerun for {self.left} of them: {self.ended}" if self.left else text


def why_rerun(
    asked: str, isolation: str, fixtures: Collection[str], seconds: float, known: frozenset[int]
) -> Reason | None:
    """Return why snapshots are out of the question before anything is known of the points, ``None`` if they are not.

    Parameters:
        asked: the setting.
        isolation: see :class:`Isolation`.
        fixtures: names of those that the test uses.
        seconds: how long the test took.
        known: the descriptors that were open when the session began.
    """
    used = _SHARED.intersection(fixtures)
    # The first reason that holds is reported, so the settings come first.
    reasons = {
        WhyRerun.ASKED: asked == "rerun",
        WhyRerun.ONE_PROCESS: isolation != Isolation.FORK,
        WhyRerun.UNKNOWN: not (CAN_FORK and fork_sharing.HAS_PROC),
        WhyRerun.SHORT: asked == "auto" and seconds < _WORTH,
        WhyRerun.FIXTURE_READS: used,
        WhyRerun.THREADS: threading.active_count() > 1,
    }
    if reason := next((reason for reason, holds in reasons.items() if holds), None):
        return Reason(reason, min(used) if reason is WhyRerun.FIXTURE_READS else "")
    open_files = map(fork_sharing.shared, sorted(fork_sharing.descriptors() - known))
    shared = next(filter(None, open_files), "") or fork_sharing.shared_memory()
    return Reason(WhyRerun.SHARED, shared) if shared else None


def choose(asked: str, points: Sequence[Point], uninterrupted: Uninterrupted) -> Strategy:
    """Choose by what the uninterrupted test does."""
    rehearsal = uninterrupted.rehearsal
    if rehearsal.fixture:
        return Strategy((), why=Reason(WhyRerun.FIXTURE_EFFECT, rehearsal.effect))
    before = tuple(point for position, point in enumerate(points) if position in rehearsal.reached)
    if not before:
        return Strategy((), why=Reason(WhyRerun.EARLY_EFFECT, rehearsal.effect or "no point is reached again"))
    if asked == "auto":
        cost = _CHILD * _fork_seconds()
        # A rerun goes half the way through the test, on average.
        if uninterrupted.seconds / 2 < cost:
            return Strategy((), why=Reason(WhyRerun.NEAR, f"{1000 * cost:.0f} ms"))
    if len(before) == len(points):
        return Strategy(before)
    why = Reason(WhyRerun.EFFECT, rehearsal.effect) if rehearsal.effect else Reason(WhyRerun.UNREACHED)
    return Strategy(before, len(points) - len(before), why)


def _fork_seconds() -> float:
    """Return how long it takes to fork this process."""
    started = time.perf_counter()
    pid = os.fork()
    if not pid:
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    return time.perf_counter() - started
