"""Which interrupt left the code unusable, when a later run fails that should not.

The next run of a process is the retry: a run that fails, hangs or strays before its own point raises the suspicion that the one
before it left the code unusable, or one before that.

Rules:

1. In clean processes: the point is interrupted once more, and a full run follows. If that fails, the point is to blame.
2. Which of many points it is, halving finds.
3. Where all runs share a process or a channel, no clean process exists to find out in: the run that was followed by a full run that
   fails is to blame, and what comes after it is not audited.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pytest_maskcheck.audit.excuses import excused, went_past
from pytest_maskcheck.audit.failed_runs import strayed, trouble, where
from pytest_maskcheck.reasons import NotAudited, Note, Reason
from pytest_maskcheck.results import Finding, Verdict
from pytest_maskcheck.runs import fingerprint
from pytest_maskcheck.runs.requests import PastDefect, alone

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from pytest_maskcheck.audit.final_results import FinalResults
    from pytest_maskcheck.results import Point, PointResult
    from pytest_maskcheck.runs.requests import Executor, RunResult

_RETRIES = 3
"""How often a process that did not begin well is tried again."""

_ORDINARY = 3
"""Uninterrupted runs whose states an interrupted run's is compared with; state that differs among them says nothing."""


@dataclass(slots=True, repr=False)
class Blame:
    """Finds the interrupts that left the code unusable.

    Parameters:
        executor: makes the runs.
        results: results of points; a point that is to blame gets one more finding.
        late: returns whether the time is up.
        looking: runs made within it record the state of modules.
        common: what all processes share and an interrupt may have spoiled for them, in words.

    Attributes:
        spoiled: why no further point can be audited, or ``""``.
        unfollowed: points that are clean themselves, but after which no full run was made in their process.
        latest: the point that was interrupted last.
        was_followed: another run came after it in its process.
    """

    executor: Executor
    results: FinalResults
    late: Callable[[float], bool]
    looking: Callable[[], AbstractContextManager[None]] = nullcontext
    common: str = ""
    spoiled: str = ""
    unfollowed: list[Point] = field(default_factory=list)
    latest: Point | None = None
    was_followed: bool = True
    _retries: int = 0
    _ordinary: tuple[dict[str, str], ...] | None = None

    def suspect(self, points: Sequence[Point], result: PointResult, after: RunResult) -> None:
        """Find which of several points leaves the code unusable: the run after the last one did not get to its own point.

        Parameters:
            points: the points that were run in one process.
            result: the result of the last one; the others have theirs already.
            after: the run after it.
        """
        *earlier, point = points
        # The last one first: most often it is to blame, and that takes one process.
        finding, repeated = self._unusable(point, after)
        if finding is not None:
            self.unfollowed += earlier
            result = replace(result, findings=(*result.findings, finding))
        elif repeated and not self._halve(earlier):
            result = replace(result, note=Reason(Note.ONCE, trouble=trouble(after)))
        self.results.take(result)

    def follow_up(self) -> None:
        """Make the full run that is missing after the points that were clean themselves, and find those that break it."""
        points, self.unfollowed = self.unfollowed, []
        if not self.spoiled:
            self._halve(points)

    def retry(self, ran: RunResult) -> None:
        """Begin another process in place of one that did not begin well; if that fails too, no further point can be audited."""
        self._retries += 1
        again = alone(self.executor, None)[0] if self._retries <= _RETRIES else ran
        if not again.spoiled:
            return
        point = self.latest
        self.give_up(again, point)
        result = self.results.by_point.get(point.id) if point is not None and not self.was_followed else None
        if result is not None and not result.reason and not any(each.kind == "test" for each in result.findings):
            self.results.take(replace(result, findings=(*result.findings, unusable(again))))

    def give_up(self, ran: RunResult, point: Point | None) -> None:
        """Audit no further point: an uninterrupted run fails in whatever process it is made."""
        since = f" since the interrupt at {point.id}" if point is not None else ""
        common = f"; {self.common}" if self.common else ""
        self.spoiled = Reason(NotAudited.SPOILED, trouble=trouble(ran), since=since, common=common)

    def spoiled_by(self, ran: RunResult) -> RunResult | None:
        """Return the full run that fails in whatever process it is made, if that is why ``ran`` did not come to its point.

        Where all runs share a process, no other one can show a finding again: the finding of the first run stands.
        """
        if ran.spoiled:
            return ran
        if self.executor.clean or not strayed(ran):
            return None
        whole = alone(self.executor, None)[-1]
        return None if whole.passed else whole

    def _unusable(self, point: Point, after: RunResult | None = None) -> tuple[Finding | None, bool]:
        """Return what is wrong with a full run after an interrupt at a point, and whether there could be such a run.

        Parameters:
            point: the point.
            after: the run that came after it before, and failed.
        """
        if after is not None and after.whole and not self.executor.clean:
            again = alone(self.executor, None)[-1]
            if not again.passed:  # nor will any other run: no use in trying the point again
                self.give_up(again, point)
                return unusable(after), True
        with self.looking():
            runs = alone(self.executor, point, None)
        last = runs[-1]
        if last.spoiled:
            self.give_up(last, point)
            return (unusable(after) if after is not None else None), True
        if len(runs) < 2 or last.passed:
            return None, len(runs) > 1
        finding = unusable(last, self._differs(runs[0]))
        if point.defect:
            # Does the code break, too, when the interrupt goes past CPython's defect? If not, CPython broke it.
            ran, *then = alone(self.executor, PastDefect(point), None)
            if went_past(point, ran) and then and then[-1].passed:
                finding = excused(point, finding)
        return finding, True

    def _halve(self, points: Sequence[Point]) -> bool:
        """Find by halving those of several points after which a full run fails, while there is time; return whether there are any."""
        if self.late(0.0):
            return False
        if len(points) > 1:
            middle = len(points) // 2
            # A list, not a generator: both halves are searched, as each may have a point that is to blame.
            return self._break(points) and any([self._halve(points[:middle]), self._halve(points[middle:])])
        for point in points:
            finding, _ = self._unusable(point)
            if finding is not None:
                result = self.results.by_point[point.id]
                self.results.take(replace(result, findings=(*result.findings, finding)))
                return True
        return False

    def _break(self, points: Sequence[Point]) -> bool:
        """Return whether a full run fails after interrupts at these points."""
        last = alone(self.executor, *points, None)[-1]
        if last.spoiled:
            self.give_up(last, self.latest)
            return False
        return bool(last.died) or (last.whole and not last.passed)  # else the process ended before the full run

    def _differs(self, ran: RunResult) -> str:
        """Return in words how the state that a run left differs from that after an uninterrupted run."""
        if not ran.state:
            return ""
        if self._ordinary is None:
            with self.looking():
                # The first run of a process may leave another state than the second one.
                runs = [*alone(self.executor, None, None), *alone(self.executor, None)]
            self._ordinary = tuple(run.state for run in runs if run.passed)
        if len(self._ordinary) < _ORDINARY:
            return ""
        text = fingerprint.differences(ran.state, *self._ordinary)
        return f"; differs: {text}" if text else ""


def unusable(after: RunResult, differs: str = "") -> Finding:
    """Return the finding that the run after an interrupt failed."""
    identity = after.died or (after.raised.type if after.raised else "fixture")
    detail = f"the next run of the test {trouble(after)}{where(after)}{differs}"
    return Finding(Verdict.UNUSABLE, "test", identity, detail)
