"""A second way to make runs: one run goes forward, and the process forks at each point; the child is interrupted there.

The way to the points is paid for only once, however long it is. Three kinds of processes take part: the one that receives the
results (here), the one that goes forward (:mod:`.forward_parent`), and its children, one for each point (:mod:`.forward_child`). Rules:

1. A child must not disturb the run that goes forward, nor the other way round. Where that run has an effect outside its process
   (:mod:`.effects`), snapshots end, and later points are reached by running the test from the beginning. The run ends at the last
   point, as effects may follow. If a child has an effect, none of the results counts, as other children ran beside it.
2. The next run is the retry, as in every way to make runs. But it goes the whole way once more, so a child first compares what
   modules keep. If that is as after an uninterrupted run, the retry would be one, too, and is left out. If not, the child makes it:
   to the end, or only to the last point if effects may follow.
3. As many children run side by side as there are cores. While there is no room for another one, the run that goes forward waits.
4. All descriptors that are needed are open before the run begins: one that appeared later would be a leftover of the test.
5. A child ends by sending itself SIGKILL. So does the process that goes forward, when it is through or cannot go on.
6. Functions that are called while the test runs are looked up before it: the test may patch ``os`` or ``time``.

What does not work: in each child, the process-wide random generator has a new seed (CPython seeds it after a fork), and locks that
libraries reset after a fork are free. Timers and pending signals do not survive a fork, so they are looked for before it. Of what
modules out of scope keep, only a part is compared (:mod:`.library_state`).
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_maskcheck.reasons import Reason, Strategy
from pytest_maskcheck.runs.child import OWN_GROUPS, in_child
from pytest_maskcheck.runs.forward_child import ForwardChild, Snapshot, Turns
from pytest_maskcheck.runs.forward_parent import Ended, ForwardParent
from pytest_maskcheck.system.breakdown import AuditBrokeError
from pytest_maskcheck.system.stopwatch import Page
from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from pytest_maskcheck.results import Point
    from pytest_maskcheck.runs.forward_parent import GoesForward
    from pytest_maskcheck.runs.requests import Last, RunResult
    from pytest_maskcheck.runs.watchdog import Death


@dataclass(slots=True, repr=False)
class Snapshots:
    """Makes runs by snapshots.

    Parameters:
        forward: makes the run that goes forward, and, in children, those that are interrupted.
        again: makes the run after one that was interrupted.
        is_usual: returns whether modules keep what they keep after an uninterrupted run.
        limit: seconds that one run may take.
        name: shortens file names.
        cores: how many children run side by side.

    Attributes:
        ended: why not all points were taken, or ``""``.
    """

    forward: GoesForward
    again: Callable[[], RunResult]
    is_usual: Callable[[], bool]
    limit: float
    name: Callable[[str], str] = str
    cores: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    ended: str = ""

    def take(self, points: Sequence[Point], last: Last) -> Generator[Snapshot, None, None]:
        """Interrupt at each point; a point without a result has to be reached in another way.

        Parameters:
            points: in the order the run reaches them.
            last: returns whether a run must be the last in its process.
        """
        page = Page()

        def work(say: Callable[[object], None]) -> None:
            turns = Turns(say)
            child = ForwardChild(points, last, self.is_usual, self.again, turns)
            ForwardParent(points, self.forward, child, turns, page, self.limit, self.name, self.cores).go()

        messages = in_child(work, page, lambda: self.limit, leader=OWN_GROUPS, name=self.name)
        try:
            with closing(messages):
                while True:
                    try:
                        message = next(messages)
                    except AuditBrokeError as error:
                        # The points will be reached in another way, which shows whose fault it was.
                        self.ended = Reason(Strategy.FORWARD_FAILED, error=error.breakdown.reason)
                        return
                    except StopIteration as end:
                        death: Death | None = end.value
                        if death is not None:
                            self.ended = Reason(Strategy.FORWARD_ENDED, detail=death.detail)
                        return
                    if isinstance(message, Ended):
                        self.ended = message.reason
                        return
                    yield message
        finally:
            page.close()
