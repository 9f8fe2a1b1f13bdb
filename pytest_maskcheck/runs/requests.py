"""Requests for runs, the protocols of what makes runs, and the results.

A request is a small frozen value; :data:`Request` is the closed union of them. Where one is handled, ``match`` ends in
``assert_never``, so that mypy reports the places where a new request has to be added.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeAlias

from pytest_maskcheck.results import Packed

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from pytest_maskcheck.interrupts import Strike
    from pytest_maskcheck.resources import Leftover
    from pytest_maskcheck.results import Exposure, Finding, Frame, Point, Story
    from pytest_maskcheck.runs.fingerprint import Fingerprint
    from pytest_maskcheck.runs.raised import Raised
    from pytest_maskcheck.runs.sightings import Sighting, Stretch
    from pytest_maskcheck.system.breakdown import Breakdown


@dataclass(frozen=True, slots=True)
class Trace:
    """A request for a run that is watched call by call, to find where leftovers come from.

    Parameters:
        point: where to interrupt the run; ``None``: nowhere.
        kinds: names of the kinds to watch.
        stretch: calls to look at, if they are known.
        passing: ids of points that an uninterrupted run passes; what is there at each is recorded.
    """

    point: Point | None
    kinds: frozenset[str]
    stretch: Stretch | None = None
    passing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PastDefect:
    """A request for a run that is interrupted past a defect of CPython at a point, as if CPython did not have it.

    Parameters:
        point: one with a ``defect``.
    """

    point: Point


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A request for a run whose interrupt comes at one point, and is held back until another one.

    Parameters:
        begins: where it comes.
        after: where it is let through; ``None``: it is held back until the test is over.
    """

    begins: Point
    after: Point | None


@dataclass(frozen=True, slots=True)
class Catch:
    """A request for a run that is interrupted at a point and also finds out who catches the interrupt.

    Parameters:
        point: where to interrupt the run.
        retells: the run also records what it does from the interrupt on.
    """

    point: Point
    retells: bool = False


@dataclass(frozen=True, slots=True)
class Timed:
    """A request for several uninterrupted runs that are timed, to measure the exposure of points.

    Parameters:
        points: ids of the points.
        laps: the number of runs that count.
        samples: points that come too often to be watched may be sampled, by a timer of the process; else they are left out.
    """

    points: tuple[str, ...]
    laps: int
    samples: bool = False


Request: TypeAlias = "Point | Trace | PastDefect | HeldBack | Catch | Timed | None"
"""What a run is made for: a point to interrupt at, one of the above, or ``None`` for a run without an interrupt."""


class CaughtBy(StrEnum):
    """Who caught an interrupt."""

    TEST = "the test itself, or a tool such as pytest.raises"
    CODE = "the code under test"
    FINALIZER = "code in C that ended an object, and had called a Python function"
    C = "other code in C that had called a Python function"


@dataclass(frozen=True, slots=True)
class Catcher(Packed):
    """Who caught an interrupt that did not come out.

    Parameters:
        frame: the line of the ``except`` clause, the ``with`` or the ``finally``. Where a test tool caught it, the line that used
            the tool; where code in C did, the Python function that this had called.
        by: who caught it.
        package: the package or module of that code if it is out of scope; else ``""``.
    """

    frame: Frame
    by: CaughtBy = CaughtBy.CODE
    package: str = ""


@dataclass(slots=True)
class RunResult(Packed):
    """What one run did, as plain data.

    Attributes:
        strike: what became of the interrupt; code objects are left out.
        raised: what came out, ``None`` if the body returned.
        leaked: what was there at the last reading, and locks that were still held once the interrupted frames were gone.
        dropped: what was there only at an earlier reading.
        passable: all that was left is of kinds that need not affect further runs in the process; see :attr:`.Kind.passable`.
        folded: a resource was undone to see which others are parts of it, so the process must not be used further.
        sightings: kind and key of what is left -> how it came to be, if the run was watched.
        places: name, or kind and key -> all places where such a leftover came to be in the run, if the run was watched.
        passed_by: id of a point that the run passed -> kind and key (``""`` if it has no final key yet) of what was there
            -> how each of them came to be.
        outlasting: id of a point that the run passed -> kind and key of what was there, and still was when the call under way returned.
        named: names of objects that are older than the process; see :attr:`.Census.found`.
        broken: guarantees that do not hold.
        caught: who caught the interrupt, if that was watched and is known.
        story: what it did from the interrupt on, if that was recorded.
        lost: finalizers where CPython printed and dropped the interrupt.
        lost_in: where such a finalizer begins, if none of them is in scope.
        late: the interrupt came out of a fixture, after the body.
        trouble: what went wrong outside the body.
        seconds: duration of the body.
        died: how the process ended within this run, with ``detail`` and ``stack`` (see :class:`.watchdog.Death`); ``""`` if it lives.
        complaints: kinds that can no longer be read -> the reason.
        state: what modules kept afterwards, if the runner was set to record it.
        whole: the run was not to be interrupted.
        spoiled: the whole run with which a process begins failed, so the request was not run.
        error: the audit itself failed: the run proves nothing.
        changed: modules keep something else than after a whole run, or may do so.
        exposures: id of a point -> its exposure, if runs were timed.
        since: file and number of the lines in scope that ran from the interrupt on, as far as no earlier run in the process has reported
            them and such lines are noted; ``None`` if they could not be seen.
    """

    strike: Strike
    raised: Raised | None = None
    leaked: tuple[Leftover, ...] = ()
    dropped: tuple[Leftover, ...] = ()
    passable: bool = False
    folded: bool = False
    sightings: dict[tuple[str, str], Sighting] = field(default_factory=dict)
    places: dict[str | tuple[str, str], tuple[Frame, ...]] = field(default_factory=dict)
    passed_by: dict[str, dict[tuple[str, str], tuple[Sighting, ...]]] = field(default_factory=dict)
    outlasting: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    named: dict[int, str] = field(default_factory=dict)
    broken: tuple[Finding, ...] = ()
    caught: Catcher | None = None
    story: Story | None = None
    lost: tuple[str, ...] = ()
    lost_in: Frame | None = None
    late: bool = False
    trouble: str = ""
    seconds: float = 0.0
    died: str = ""
    detail: str = ""
    stack: tuple[Frame, ...] = ()
    complaints: dict[str, str] = field(default_factory=dict)
    state: Fingerprint = field(default_factory=dict)
    whole: bool = False
    spoiled: bool = False
    error: Breakdown | None = None
    changed: bool = False
    exposures: dict[str, Exposure] = field(default_factory=dict)
    since: frozenset[tuple[str, int]] | None = frozenset()

    @property
    def passed(self) -> bool:
        """Whether the test did what it does uninterrupted."""
        return not (self.died or self.raised or self.late or self.trouble or self.broken or self.error)


class Conditions:
    """Prepares a process for runs, checks it between them, and cleans up after them. This class itself does nothing.

    Attributes:
        wary: a whole run follows each interrupted one, whatever modules keep.
    """

    wary: bool = False

    @property
    def renewing(self) -> bool:
        """Whether each process makes its own instance of what it would otherwise share with others."""
        return False

    def begin(self) -> None:
        """Prepare this process for runs of its own."""

    def settle(self) -> bool:
        """Record what modules keep now as usual; return whether they kept just that before, too."""
        return True

    def is_usual(self) -> bool:
        """Return whether modules keep what they keep after a whole run."""
        return True

    def end(self) -> None:
        """Undo what this process made as its own instance."""


Last = Callable[["Request", "RunResult"], bool]
"""Whether a run is to be the last of its process."""


class MakesRuns(Protocol):
    """Makes one run in this process."""

    def __call__(self, request: Request, struck: Callable[[], None], /) -> RunResult:
        """Make the run for a request; call ``struck`` when the interrupt is sent."""
        ...


class Executor(Protocol):
    """A way to make sequences of runs; :mod:`.isolation` lists the implementations.

    After a run that leaves modules in another state than a whole one does (:class:`Conditions`), a whole run is made. If that
    fails, its result takes the place of the next one, and is the last.
    """

    @property
    def clean(self) -> bool:
        """Whether each sequence of runs has a process of its own."""
        ...

    def runs(self, requests: Sequence[Request], last: Last) -> Generator[RunResult, None, None]:
        """Make one run for each request, in order, all in one process that is clean at the start.

        Parameters:
            requests: what the runs are made for.
            last: returns, in the process that made a run, whether it is to be the last one. The process then ends by
                itself: if it were killed from outside, it might hold a lock that other processes share.

        Returns:
            The results. If the process dies, the result of the run in which it died shows that, and is the last. Closing the
            generator ends the process.
        """
        ...


def alone(executor: Executor, *requests: Request) -> list[RunResult]:
    """Make these runs in a clean process of their own."""
    return list(executor.runs(requests, lambda _, __: False))
