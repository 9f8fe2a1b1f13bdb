"""Find the interrupt that left the code unusable, when a later run fails that should have passed.

The next run in a process is the retry. If it fails, hangs or strays before its own point, the run before it, or an earlier one, may
have left the code unusable.

Rules:

1. In a clean process, the point is interrupted once more and a full run follows. If the full run fails, the point is to blame.
2. If there are many points, halving finds the one to blame.
3. Where all runs share a process or a channel, there is no clean process to try the point in. If a full run fails there, the run
   before it is to blame, and the points after it are not audited.
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
"""How often in one audit a process that did not begin well is replaced by another one."""

_ORDINARY = 3
"""Number of uninterrupted runs with which the state after an interrupt is compared; state that differs among them is ignored."""


@dataclass(slots=True, repr=False)
class Blame:
    """Finds the interrupts that left the code unusable.

    Parameters:
        executor: makes the runs.
        results: results of points; a point that is to blame gets one more finding.
        late: returns whether no more than the given number of seconds is left.
        looking: runs made within it record the state of modules.
        common: a description of what all processes share, which an interrupt may have spoiled for all of them.

    Attributes:
        spoiled: why no further point can be audited, or ``""``.
        unfollowed: points with no finding of their own, after which no full run was made in their process.
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
    _ordinary: tuple[fingerprint.Fingerprint, ...] | None = None

    def suspect(self, points: Sequence[Point], result: PointResult, after: RunResult) -> None:
        """Find which of several points left the code unusable: the run after the last one did not reach its own point.

        Parameters:
            points: the points that were run in one process.
            result: the result of the last one; the others already have a result.
            after: the run after it.
        """
        *earlier, point = points
        # Try the last point first: it is to blame most often, and one process is enough to find out.
        finding, repeated = self._unusable(point, after)
        if finding is not None:
            self.unfollowed += earlier
            result = replace(result, findings=(*result.findings, finding))
        elif repeated and not self._halve(earlier):
            result = replace(result, note=Reason(Note.ONCE, trouble=trouble(after)))
        self.results.take(result)

    def follow_up(self) -> None:
        """Make the missing full run after points with no finding of their own, and find the points that break it."""
        points, self.unfollowed = self.unfollowed, []
        if not self.spoiled:
            self._halve(points)

    def retry(self, ran: RunResult) -> None:
        """Start another process in place of one that did not begin well; if that fails too, audit no further point."""
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
        """Audit no further point, because an uninterrupted run fails in any process."""
        since = f" since the interrupt at {point.id}" if point is not None else ""
        common = f"; {self.common}" if self.common else ""
        self.spoiled = Reason(NotAudited.SPOILED, trouble=trouble(ran), since=since, common=common)

    def spoiled_by(self, ran: RunResult) -> RunResult | None:
        """Return a full run that fails as well, if that is why ``ran`` did not reach its point.

        Where all runs share a process, no other run can show a finding again. So the finding of the first run stands.
        """
        if ran.spoiled:
            return ran
        if self.executor.clean or not strayed(ran):
            return None
        whole = alone(self.executor, None)[-1]
        return None if whole.passed else whole

    def _unusable(self, point: Point, after: RunResult | None = None) -> tuple[Finding | None, bool]:
        """Interrupt at a point and make a full run; return what is wrong with that run, and whether it could be made.

        Parameters:
            point: the point.
            after: the run that followed the point earlier, and failed.
        """
        if after is not None and after.whole and not self.executor.clean:
            again = alone(self.executor, None)[-1]
            if not again.passed:  # no other run will pass either: trying the point again is no use
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
            # Does the code also break when the interrupt goes past CPython's defect? If not, CPython broke it.
            ran, *then = alone(self.executor, PastDefect(point), None)
            if went_past(point, ran) and then and then[-1].passed:
                finding = excused(point, finding)
        return finding, True

    def _halve(self, points: Sequence[Point]) -> bool:
        """Find by halving the points after which a full run fails, while there is time; return whether there are any."""
        if self.late(0.0):
            return False
        if len(points) > 1:
            middle = len(points) // 2
            # A list, not a generator: both halves must be searched, as each may contain a point that is to blame.
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
        """Describe how the state after a run differs from that after an uninterrupted run."""
        if not ran.state:
            return ""
        if self._ordinary is None:
            with self.looking():
                # The first run in a process may leave a different state than the second one.
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
