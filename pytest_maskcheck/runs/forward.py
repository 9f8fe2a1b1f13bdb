"""A second way to make runs: one goes forward, and at each point the process forks; the child is interrupted there.

Whatever the way to the points costs, it is gone once. Three processes take part: the one that takes the results (here), the one that
goes forward (:mod:`.forward_parent`), and its children, one for each point (:mod:`.forward_child`). Rules:

1. A child is not to disturb the run that goes on, nor the other way round. Where that run has an effect outside its process
   (:mod:`.effects`), snapshots end; what comes after it is run again from the beginning. The run ends at the last point, as effects
   may follow. If a child has an effect, then nothing that was found counts, as others ran beside it.
2. The next run is the retry, as in every way to make runs. But it takes the whole way once more, so a child first looks at what the
   modules in scope keep. If that is as after an uninterrupted run, the next run would be one; if not, the child makes it: through,
   or to the last point if effects may follow.
3. As many children run side by side as there are cores. One that finds no room makes the run that goes forward wait.
4. All descriptors that are needed are open before the run begins: what appears later would be a leftover of the test.
5. A child ends by SIGKILL from its own hand, and so does the process that goes forward, when it is through or cannot go on.
6. What is called while the test runs was looked up before: the test may have patched ``os`` or ``time``.

What does not work: a process-wide random generator is seeded anew in each child (CPython does so after a fork), locks that
libraries reset after a fork are free, timers and pending signals are gone (looked for before the fork), and what modules out of
scope keep is not compared.
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
        is_usual: tells whether modules keep what they keep after an uninterrupted run.
        limit: seconds that one run may take.
        name: shortens file names.
        cores: children that run side by side.

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
        """Interrupt at each point; what is not among the results has to be run in another way.

        Parameters:
            points: in the order in which they come.
            last: returns whether a run is the last that counts: the process is not to be used further.
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
                        # The points are run in another way, which shows whose fault it was.
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
