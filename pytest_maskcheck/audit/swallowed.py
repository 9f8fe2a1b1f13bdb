"""Interrupts that did not come out of the test, and who caught them: the test, the code under test, a finalizer or code in C."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pytest_maskcheck.results import Finding, Origin, Verdict
from pytest_maskcheck.runs.requests import Catch, Catcher, CaughtBy, alone

if TYPE_CHECKING:
    from pytest_maskcheck.results import Point
    from pytest_maskcheck.runs.requests import Executor, RunResult

_TRIES = 3
"""Maximum number of watched runs of one point; some may take another path and not reach it."""

EXCEPTION = "exception"
"""The kind of findings about what came out of a test."""

FINALIZER = "finalizer"
"""The kind of findings about what a finalizer lost."""


@dataclass(slots=True, repr=False)
class Catchers:
    """Who caught the interrupt at each point, as far as watched runs show.

    Parameters:
        executor: makes the watched runs.

    Attributes:
        unseen: ids of points where nothing shows that the signal arrived.
        watching: an interrupt was caught at some point of this test. That is likely at further points, too, so each run is watched.
    """

    executor: Executor
    unseen: set[str] = field(default_factory=set)
    watching: bool = False
    _known: dict[str, Catcher] = field(default_factory=dict)  # by id of the point

    def of(self, point: Point, ran: RunResult) -> Catcher | None:
        """Return who caught the interrupt in a run, ``None`` if that is unknown."""
        return ran.caught or self._known.get(point.id)

    def take(self, point: Point, caught: Catcher) -> None:
        """Record who caught the interrupt at a point."""
        self._known[point.id] = caught
        self.watching = True

    def find(self, point: Point, findings: tuple[Finding, ...]) -> RunResult | None:
        """Make watched runs if the point needs any; return the one that shows who caught the interrupt, or ``None``."""
        unseen = point.id in self.unseen
        if point.id in self._known or not (unseen or any(map(may_be_caught, findings))):
            return None
        watched = (alone(self.executor, Catch(point))[0] for _ in range(_TRIES))
        ran = next((ran for ran in watched if ran.caught is not None or _did_not_come_out(ran)), None)
        if ran is None or ran.caught is None:
            return None
        self.take(point, ran.caught)
        return ran


def _did_not_come_out(ran: RunResult) -> bool:
    """Return whether a run shows that the interrupt was sent and did not come out."""
    return ran.strike.in_turn()[0].fired and not ran.died and not (ran.raised and ran.raised.interrupt)


def swallowed(caught: Catcher | None, then: str = "") -> Finding:
    """Return the finding that an interrupt did not come out.

    Parameters:
        caught: who caught it, if that is known.
        then: what the test did afterwards, in words.
    """
    if caught is None:
        detail = "the interrupt was raised but did not come out of the test"
        return Finding(Verdict.SWALLOWED, EXCEPTION, "", detail)
    frame = caught.frame
    if caught.by is CaughtBy.C:
        detail = f"code in C had called {frame.function}, and dropped the interrupt that came out of it"
        return Finding(Verdict.SWALLOWED, EXCEPTION, frame.function, detail + then)
    who = "the test itself caught the interrupt" if caught.by is CaughtBy.TEST else "the interrupt was caught"
    return Finding(
        Verdict.SWALLOWED,
        EXCEPTION,
        frame.function,
        f"{who}, at {frame.path}:{frame.line} in {frame.function}{then}",
        fails=caught.by is not CaughtBy.TEST,
        origin=Origin((), frame),
        package=caught.package,
    )


def lost(finalizers: tuple[str, ...], caught: Catcher | None, *, fails: bool) -> Finding | None:
    """Return the finding that a finalizer lost the interrupt, ``None`` if none did.

    Parameters:
        finalizers: the finalizers where CPython printed and dropped it.
        caught: who caught it, if that is known.
        fails: the finding makes the test fail.
    """
    if finalizers:
        where = finalizers[0]
        detail = f"the interrupt arrived in {where}, a finalizer: CPython prints it and goes on"
    elif caught is not None and caught.by is CaughtBy.FINALIZER:
        where = caught.frame.function
        detail = f"the interrupt arrived in {where}, which a finalizer written in C calls: that drops it and goes on"
    else:
        return None
    return Finding(Verdict.SWALLOWED, FINALIZER, where, detail, fails)


def without_lone_finalizer(findings: tuple[Finding, ...], *, strict: bool) -> tuple[Finding, ...]:
    """Return confirmed findings; an interrupt lost in a finalizer fails only if another confirmed finding fails."""
    alone = (Verdict.SWALLOWED, FINALIZER)
    if strict or any(each.fails and (each.verdict, each.kind) != alone for each in findings):
        return findings
    return tuple(replace(each, fails=False) for each in findings)


def may_be_caught(finding: Finding) -> bool:
    """Return whether a finding depends on who caught the interrupt."""
    return finding.kind == EXCEPTION and finding.verdict in {Verdict.SWALLOWED, Verdict.REPLACED}
