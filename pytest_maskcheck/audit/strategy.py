"""By which way a test comes to its points, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_maskcheck.reasons import count
from pytest_maskcheck.runs import effects
from pytest_maskcheck.runs.isolation import CAN_FORK
from pytest_maskcheck.system.unpatched import os, signal, threading, time

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pytest_maskcheck.audit.auditor import Baseline
    from pytest_maskcheck.results import Point

_WORTH = 0.005
"""Seconds that an uninterrupted test takes from which on it is asked whether snapshots are faster."""

_CHILD = 3
"""What a child costs, in bare forks: it also unwinds, is looked at, and its pages are copied as it touches them."""

_SHARED = {"capfd", "capfdbinary"}
"""Fixtures that read what a child writes."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """How runs are made.

    Parameters:
        snapshots: the points for snapshots, in the order in which they come.
        text: the strategy, and why so.
    """

    snapshots: tuple[Point, ...]
    text: str

    def ended(self, reason: str, left: int) -> str:
        """Return the text if snapshots have ended early, with so many points left."""
        return f"{self.text}; rerun for {left} of them: {reason}" if left else self.text


def why_rerun(asked: str, isolation: str, fixtures: Collection[str], seconds: float, known: frozenset[int]) -> str:
    """Return why snapshots are out of the question before anything is known of the points, or ``""``.

    Parameters:
        asked: the setting.
        isolation: ``fork`` or ``none``.
        fixtures: names of those that the test uses.
        seconds: how long the test took.
        known: the descriptors that were open when the session began.
    """
    used = _SHARED.intersection(fixtures)
    reasons = {
        "as asked": asked == "rerun",
        "runs share the process of the session": isolation != "fork",
        "this platform does not tell what processes share": not (CAN_FORK and effects.HAS_PROC),
        "the test is short": asked == "auto" and seconds < _WORTH,
        f"{min(used, default='')} would read what other processes write": used,
        "a fork would lose running threads": threading.active_count() > 1,
    }
    if reason := next((reason for reason, holds in reasons.items() if holds), ""):
        return reason
    open_files = map(effects.shared, sorted(effects.descriptors() - known))
    return next(filter(None, open_files), "") or effects.shared_memory()


def choose(asked: str, points: Sequence[Point], baseline: Baseline) -> Strategy:
    """Choose, knowing what the uninterrupted test does."""
    rehearsal = baseline.rehearsal
    if rehearsal.fixture:
        return Strategy((), f"rerun: a fixture has an effect outside the process: {rehearsal.effect}")
    before = tuple(point for position, point in enumerate(points) if position in rehearsal.reached)
    if not before:
        why = rehearsal.effect or "no point is reached again"
        return Strategy((), f"rerun: an effect outside the process comes before the first point: {why}")
    if asked == "auto":
        cost = _CHILD * _fork_seconds()
        if baseline.seconds / 2 < cost:
            return Strategy((), f"rerun: the way to a point is shorter than a fork, {1000 * cost:.0f} ms")
    text = f"snapshot for {count(before, 'point')}"
    if len(before) < len(points):
        why = f"after an effect outside the process: {rehearsal.effect}" if rehearsal.effect else "not reached again"
        text += f", rerun for {count(len(points) - len(before), 'point')}: {why}"
    return Strategy(before, text)


def _fork_seconds() -> float:
    """Return what it takes to fork this process."""
    started = time.perf_counter()
    pid = os.fork()
    if not pid:
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    return time.perf_counter() - started
