"""What runs are asked for, who makes them, and what they say."""

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
    from pytest_maskcheck.results import Finding, Frame, Point
    from pytest_maskcheck.runs.origins import Sighting, Stretch
    from pytest_maskcheck.runs.raised import Raised
    from pytest_maskcheck.system.breakdown import Breakdown


@dataclass(frozen=True, slots=True)
class Trace:
    """A request for a run that is watched.

    Parameters:
        point: where it is to be interrupted; ``None``: nowhere.
        kinds: names of the kinds to watch.
        stretch: calls to look at, if they are known.
        passing: ids of points that a run which is not interrupted goes by; what is there at each is noted.
    """

    point: Point | None
    kinds: frozenset[str]
    stretch: Stretch | None = None
    passing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Inside:
    """A request for a run in which the interrupt comes at a point as it would without the defect of CPython that is known there.

    Parameters:
        point: one with a ``defect``.
    """

    point: Point


@dataclass(frozen=True, slots=True)
class Catch:
    """A request for a run like that of its point, in which it is watched who catches the interrupt.

    Parameters:
        point: where it is to be interrupted.
    """

    point: Point


Request: TypeAlias = "Point | Trace | Inside | Catch | None"
"""What a run is made for: a point to interrupt at, a trace, or, for ``None``, nothing but to run."""


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
        frame: the line of the ``except`` clause, the ``with`` or the ``finally``; where a test tool did it, the line that used it;
            where code in C did it, the function that this had called.
        by: who did.
        package: of code out of scope, the package or module; else ``""``.
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
        leaked: there at the last reading, or a lock held by nobody's frame.
        dropped: there only at the first reading.
        folded: a resource was undone to see which others are parts of it: the process is not to be used further.
        sightings: kind and key -> how it came to be, of what is left, if the run was watched.
        places: name, and kind and key -> where it came to be in the run, each time, if the run was watched.
        passed_by: id of a point that the run went by -> kind and key (``""`` if only the end tells) of what was there -> how each of
            them came to be.
        outlasting: id of a point that the run went by -> kind and key of what was there, and still is as the call returns that was under way.
        broken: guarantees that do not hold.
        caught: who caught the interrupt, if that was watched and is known.
        lost: finalizers in which CPython printed and dropped the interrupt.
        lost_in: where such a finalizer begins, if none of them is in scope.
        late: the interrupt came out of a fixture, after the body.
        trouble: what went wrong outside the body.
        seconds: duration of the body.
        died: how the process ended within this run (see :class:`.isolation.Death`), and ``detail``; ``""`` if it lives.
        complaints: kinds that cannot be asked any more, each with the reason.
        state: what modules kept afterwards, if the runner was to look.
        whole: the run was not to be interrupted.
        spoiled: the run with which a process begins failed: what was asked for was not run.
        error: the audit itself failed: the run says nothing.
    """

    strike: Strike
    raised: Raised | None = None
    leaked: tuple[Leftover, ...] = ()
    dropped: tuple[Leftover, ...] = ()
    folded: bool = False
    sightings: dict[tuple[str, str], Sighting] = field(default_factory=dict)
    places: dict[str | tuple[str, str], tuple[Frame, ...]] = field(default_factory=dict)
    passed_by: dict[str, dict[tuple[str, str], tuple[Sighting, ...]]] = field(default_factory=dict)
    outlasting: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    broken: tuple[Finding, ...] = ()
    caught: Catcher | None = None
    lost: tuple[str, ...] = ()
    lost_in: Frame | None = None
    late: bool = False
    trouble: str = ""
    seconds: float = 0.0
    died: str = ""
    detail: str = ""
    stack: tuple[Frame, ...] = ()
    complaints: dict[str, str] = field(default_factory=dict)
    state: dict[str, str] = field(default_factory=dict)
    whole: bool = False
    spoiled: bool = False
    error: Breakdown | None = None

    @property
    def passed(self) -> bool:
        """The test did what it does uninterrupted."""
        return not (self.died or self.raised or self.late or self.trouble or self.broken or self.error)


class Conditions:
    """What is seen to in a process before, between and after runs; here nothing.

    Attributes:
        wary: the next run is to be a whole one after each run that was interrupted, whatever modules keep.
    """

    wary: bool = False

    @property
    def renewing(self) -> bool:
        """Whether each process makes anew what it would share with others."""
        return False

    def begin(self) -> None:
        """Prepare this process for runs of its own."""

    def settle(self) -> None:
        """Take what is kept now as usual."""

    def is_usual(self) -> bool:
        """Tell whether modules keep what they keep after a whole run."""
        return True

    def end(self) -> None:
        """Undo what was made anew."""


Last = Callable[["Request", "RunResult"], bool]


class Executor(Protocol):
    """A way to make runs.

    Where a run leaves modules otherwise than a whole one does (:class:`Conditions`), a whole run is made after it. If that
    fails, it stands among the runs in the place of the next one, and is the last.
    """

    @property
    def clean(self) -> bool:
        """Whether each sequence of runs has a process of its own."""
        ...

    def runs(self, requests: Sequence[Request], last: Last) -> Generator[RunResult, None, None]:
        """Make one run for each request, in order, all in one process that is clean at the start.

        Parameters:
            requests: a point to interrupt at; ``None`` for an uninterrupted run; a trace for one that is watched.
            last: tells, in the process that made a run, that it is to be the last one. The process ends of itself
                then: one that is killed from outside could take a lock with it that other processes share.

        Returns:
            The runs. The process may die: the run in which it does says so and is the last. Closing the generator
            ends the process.
        """
        ...


def alone(executor: Executor, *requests: Request) -> list[RunResult]:
    """Make these runs in a clean process of their own."""
    return list(executor.runs(requests, lambda _, __: False))
