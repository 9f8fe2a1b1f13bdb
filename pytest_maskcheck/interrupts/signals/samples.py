"""Where signals land that come at random moments of a run: for places that come too often to be watched.

A timer of the process expires again and again, after a random time. Its handler notes the innermost line in scope and returns, so that
the run goes on. No event is watched: the run is slowed down by the handler alone, which does not run while the timer does. While a call of
C code lasts, no handler runs: the sample that comes at its end counts for all that would have come meanwhile.

What does not work: code that uses SIGALRM or that timer itself. Before the run it is seen, and nothing is noted. If it begins in the midst
of the run, the run may fail, or there are few samples; both are seen by whoever asked for them.
"""

from __future__ import annotations

import random
import resource
from collections import Counter
from typing import TYPE_CHECKING

from pytest_maskcheck.interrupts.arming import arming
from pytest_maskcheck.interrupts.cpython import facts
from pytest_maskcheck.interrupts.places import context_of, near, site_of
from pytest_maskcheck.interrupts.strike import Strike
from pytest_maskcheck.interrupts.timing import Landing
from pytest_maskcheck.system.unpatched import signal, time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from pytest_maskcheck.interrupts.places import InScope


_WHOSE = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)


class Samples:
    """Takes samples in runs; see :class:`pytest_maskcheck.interrupts.timing.Samples`.

    Parameters:
        in_scope: whether the code of a file is watched.
        every: seconds between two samples, on average.
    """

    def __init__(self, in_scope: InScope, every: float) -> None:
        self.landings: Counter[Landing | None] = Counter()
        self.waiting: Counter[Landing | None] = Counter()
        self._in_scope = in_scope
        self._every = every
        self._random = random.Random(0)  # a generator of our own: the test may have seeded the common one
        self._begun, self._after = self._now(), 0.0

    @property
    def is_possible(self) -> bool:
        """Whether nobody else uses the timer."""
        return (
            hasattr(signal, "setitimer")
            and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
            and not any(signal.getitimer(signal.ITIMER_REAL))
            and signal.SIGALRM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        )

    @arming
    def run(self) -> Iterator[Strike]:
        """Take samples of the run in the body of the ``with`` statement."""
        signal.signal(signal.SIGALRM, self._take)
        self._arm()
        try:
            yield Strike()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def _arm(self) -> None:
        self._after = self._every * self._random.uniform(0.5, 1.5)
        self._begun = self._now()
        signal.setitimer(signal.ITIMER_REAL, self._after)

    @staticmethod
    def _now() -> tuple[float, float, int]:
        """Return the time, that for which this thread has run, and how often it gave up the processor of its own accord."""
        return time.perf_counter(), time.thread_time(), resource.getrusage(_WHOSE).ru_nvcsw

    def _take(self, _: int, frame: FrameType | None) -> None:
        passed, ran, waits = (now - before for now, before in zip(self._now(), self._begun, strict=True))
        running = site_of(frame, self._in_scope)
        landing = None
        if running is not None:
            beyond = running is not frame
            offset = (facts.calling if beyond else facts.landing)(running.f_code, running.f_lasti)
            landing = Landing(running.f_code, offset, near(context_of(running, self._in_scope)), beyond=beyond)
        # A thread that gave up the processor waited; else, where it did not run, others had the processor.
        waited = bool(waits) and ran < passed / 2
        number = 1 + max(0, int(((passed if waited else ran) - self._after) / self._every))
        self.landings[landing] += number
        if waited:
            self.waiting[landing] += number
        self._arm()
