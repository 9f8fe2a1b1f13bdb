"""The protocol of a kind, and the leftovers that it reports.

A *kind* looks at one sort of thing that a run can leave behind. The audit calls its methods in this order:

1. ``prepare()`` once in the audited process, after the uninterrupted warm-up runs and *before* the heap is frozen
   (:func:`gc.freeze`).
2. ``snapshot()`` as the last act before a run of the test's body.
3. ``compare(before)`` after it, as often as a reading needs it; in a watched run also while the body runs.
4. ``describe(leftover)`` for each leftover that is reported.
5. ``finish(before)`` exactly once, whatever happened.
6. ``repair(leftover)`` for each leftover that stayed. A leftover that a fixture may own, and clean up itself, is repaired only
   if it is still there after the fixtures were torn down.

Detection must be cheap and must not run code under test. Description may be slow.

To add a kind: write its class in ``kinds/``, add the class to the table in ``registry.py`` and a row to ``docs/kinds.md``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import ClassVar

from pytest_maskcheck.resources.surroundings import Surroundings

Identity = tuple[str, Hashable]
"""Kind and token of a leftover."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """One thing that is there after a run and was not there before it.

    Parameters:
        kind: the name of the kind that found it, such as ``fd``.
        key: what it is, as text that is the same in every run (paths and numbers normalised), such as ``<tmp_path>/a.lock``.
        detail: one line for people: what exactly was found this time.
        token: identifies the thing within this process, so that two comparisons can be matched.
        altered: true for process state that changed, false for a resource that is still held.
        descriptors: the descriptors that it is known to own. They are reported as part of it, not separately.
    """

    kind: str
    key: str
    detail: str
    token: Hashable
    altered: bool = False
    descriptors: tuple[int, ...] = ()

    @property
    def identity(self) -> Identity:
        """The same for one leftover in two comparisons of one run."""
        return self.kind, self.token


class Kind(ABC):
    """One kind of resource. What a run is compared with is in what ``snapshot`` returns, and nowhere else.

    Parameters:
        surroundings: names for directories that differ from run to run; the audit updates this object before every run.
    """

    name: ClassVar[str]
    """The word used in reports and in ``allow`` globs (``name:key``)."""

    default: ClassVar[bool] = True
    """False if the kind is off unless the setting ``kinds`` names it: it costs too much, or most users see no defect in it."""

    available: ClassVar[bool] = True
    """False if this platform has no resources of this kind, or no means to find them."""

    settles: ClassVar[bool] = False
    """True if a leftover may vanish by itself within milliseconds (threads, children), so that a second look is worthwhile."""

    settled_by_threads: ClassVar[bool] = False
    """True if only another thread could make such a leftover vanish (descriptors)."""

    ends: ClassVar[bool] = False
    """True if a leftover may vanish by itself although it is referred to (threads). Reference counting did not end it then."""

    dies_with_frames: ClassVar[bool] = False
    """True if a leftover that is freed together with the frames of the interrupted code does no harm (locks)."""

    outlives: ClassVar[bool] = False
    """True if a leftover outlives the process (children, files), and so is repaired even if the process is about to end."""

    serves: ClassVar[bool] = False
    """True if all later runs may use what one run leaves (children, such as a resource tracker)."""

    owns: ClassVar[bool] = False
    """True if leftovers of other kinds may be parts of one of this kind, as a descriptor is part of a socket. Whatever vanishes
    when ``repair`` undoes the owner is reported with it, not separately. ``repair`` must not block then."""

    files: ClassVar[tuple[str, ...]] = ()
    """Suffixes to the key of a leftover that is named after a file. Descriptors with such keys are parts of the leftover, even
    if a fixture, not ``repair``, cleans it up."""

    warns: ClassVar[str] = ""
    """Text of the ResourceWarning about a leftover that reference counting released. That warning is not reported separately."""

    blocks: ClassVar[bool] = False
    """True if acquiring a leftover blocks for ever (locks)."""

    traced: ClassVar[bool] = True
    """False if comparing while the body runs does not help to find a leftover's origin."""

    repeatable: ClassVar[bool] = False
    """True if a second snapshot that is equal to the first one proves that nothing is left; ``compare`` is then not called."""

    passable: ClassVar[bool] = False
    """True if a process can make further runs after such a leftover: it stays and does not affect them (descriptors), or it blocks and
    ``repair`` undoes all of it (locks)."""

    absent: Callable[[Collection[type]], bool] | None = None
    """Return whether none of these types of new objects is of this kind. Its snapshot is then an empty dict, and is not taken."""

    pulse: Callable[[], object] | None = None
    """Return, at next to no cost, a value that changes when a resource of this kind appears or vanishes. Needed if comparing is slow."""

    listens: ClassVar[bool] = False
    """True if ``snapshot`` installs what other code can see (a hook, a filter): ``finish`` must precede the teardown of fixtures."""

    complaint: str = ""
    """Why this kind is not used any more, as a sentence; ``""`` if it is used. Only kinds of other plugins can fail like this."""

    def __init__(self, surroundings: Surroundings | None = None) -> None:
        self.surroundings = Surroundings() if surroundings is None else surroundings

    def prepare(self) -> None:  # noqa: B027  (most kinds need none)
        """Prepare for the runs. Called once in the audited process, before the heap is frozen."""

    def learning(self) -> AbstractContextManager[None]:
        """Return a context manager that watches an uninterrupted run closely, at any cost, to find out where to look later."""
        return nullcontext()

    @abstractmethod
    def snapshot(self) -> object:
        """Return what is there now, in whatever form ``compare`` needs."""

    @abstractmethod
    def compare(self, before: object) -> list[Leftover]:
        """Return what is there now and was not in ``before``. May be called several times."""

    def stays(self, leftover: Leftover) -> bool:  # noqa: ARG002  (most kinds cannot find out)
        """Return whether ``leftover``, of a kind that settles, is certain not to vanish while this process only waits."""
        return False

    def unused(self, before: object) -> Collection[Identity]:  # noqa: ARG002  (most count as soon as they are made)
        """Return the identities of things made since ``before`` that become leftovers only on their first use, in any thread."""
        return ()

    def describe(self, leftover: Leftover) -> Leftover:
        """Return ``leftover`` under the best name that can be found. Called once for a leftover; may be slow."""
        return leftover

    def is_named(self, leftover: Leftover) -> bool:  # noqa: ARG002  (most kinds find names at once)
        """Return whether the key of ``leftover`` is final; if not, ``describe`` may replace it."""
        return True

    def thing(self, leftover: Leftover) -> object | None:  # noqa: ARG002  (kinds without objects)
        """Return the Python object that ``leftover`` is, or that owns it, if there is one. May be slow."""
        return None

    def finish(self, before: object) -> None:  # noqa: B027  (most kinds need none)
        """Remove what ``snapshot`` installed (hooks, filters)."""

    def repair(self, leftover: Leftover) -> bool:  # noqa: ARG002  (kinds without a cure)
        """Undo ``leftover``; return whether the process is as it was. Never raises."""
        return False

    @abstractmethod
    def canary(self) -> AbstractContextManager[None]:
        """Return a context manager that makes one leftover of this kind, and undoes it at its end.

        Call this method before ``snapshot``, and enter the context manager after it.

        The self-test uses it to prove, on the machine at hand, that the kind detects its leftovers.
        """
