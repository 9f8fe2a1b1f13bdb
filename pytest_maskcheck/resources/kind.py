"""The protocol of a kind, and the leftovers that it reports.

A *kind* looks at one sort of thing that a run can leave behind. The audit calls its methods in this order:

1. ``prepare()`` once in the audited process, after the uninterrupted warm-up runs and *before* the heap is frozen
   (:func:`gc.freeze`).
2. ``snapshot()`` as the last act before a run of the test's body.
3. ``compare(before)`` one to three times after it.
4. ``describe(leftover)`` for each leftover that is reported.
5. ``finish(before)`` exactly once after the last comparison, whatever happened.
6. ``repair(leftover)`` for each leftover that stayed. What a fixture may own, and end itself, is repaired only if it is
   still there after the fixtures were torn down.

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
        key: what it is, the same in every run (paths and numbers normalised), such as ``<tmp_path>/a.lock``.
        detail: one line for people: what exactly was found this time.
        token: identifies the thing within this process, so that two comparisons can be matched.
        altered: true for process state that changed, false for a resource that is still held.
        descriptors: the descriptors that it is known to own. They are reported as part of it, not by themselves.
    """

    kind: str
    key: str
    detail: str
    token: Hashable
    altered: bool = False
    descriptors: tuple[int, ...] = ()

    @property
    def identity(self) -> Identity:
        """Equal for the same leftover in two comparisons of one run."""
        return self.kind, self.token


class Kind(ABC):
    """One kind of resource. Apart from what ``snapshot`` returns, subclasses keep no state of a run.

    Parameters:
        surroundings: names for directories that differ from run to run; the audit updates this object before every run.
    """

    name: ClassVar[str]
    """The word used in reports and in ``allow`` globs (``name:key``)."""

    default: ClassVar[bool] = True
    """False if the kind is looked for only where the setting ``kinds`` names it: it costs too much, or is no defect for most."""

    available: ClassVar[bool] = True
    """False if this platform lacks the things, or any means to find them."""

    settles: ClassVar[bool] = False
    """True if a leftover may vanish by itself within milliseconds (threads, children), so that a second look is worthwhile."""

    settled_by_threads: ClassVar[bool] = False
    """True if only another thread could make such a leftover vanish (descriptors)."""

    ends: ClassVar[bool] = False
    """True if a leftover may vanish by itself whatever refers to it (threads): reference counting does not end it then."""

    dies_with_frames: ClassVar[bool] = False
    """True if a leftover that dies together with the frames of the interrupted code harmed nobody (locks)."""

    outlives: ClassVar[bool] = False
    """True if a leftover outlives the process (children, files), and so is repaired even where the process ends."""

    serves: ClassVar[bool] = False
    """True if what one run leaves may serve all later runs (children, such as a resource tracker)."""

    owns: ClassVar[bool] = False
    """True if leftovers of other kinds may be mere parts of one of this kind, as the descriptor of a socket is. Whatever
    vanishes when ``repair`` undoes this one is reported with it and not by itself. ``repair`` must not block then."""

    files: ClassVar[tuple[str, ...]] = ()
    """Suffixes to the key of a leftover that is named after a file. Descriptors with such keys are parts of it, even where a
    fixture, and not ``repair``, ends it."""

    warns: ClassVar[str] = ""
    """Text found in the ResourceWarning about a leftover that reference counting releases; the warning adds nothing then."""

    blocks: ClassVar[bool] = False
    """True if whoever acquires a leftover waits for ever (locks)."""

    traced: ClassVar[bool] = True
    """False if comparing while the body runs finds nothing out."""

    repeatable: ClassVar[bool] = False
    """True if nothing is left wherever a second snapshot, taken in place of ``compare``, is equal to the first."""

    absent: Callable[[Collection[type]], bool] | None = None
    """Return whether no new object of these types is of this kind: its snapshot is an empty dict then, and need not be taken."""

    pulse: Callable[[], object] | None = None
    """Return, at next to no cost, a value that changes when one of this kind comes or goes. Needed where comparing takes long."""

    listens: ClassVar[bool] = False
    """True if others meet what ``snapshot`` installs (a hook, a filter), so that ``finish`` must precede the teardown of fixtures."""

    complaint: str = ""
    """Why this kind is not used any more, as a sentence. Only kinds of other plugins can fail so."""

    def __init__(self, surroundings: Surroundings | None = None) -> None:
        self.surroundings = Surroundings() if surroundings is None else surroundings

    def prepare(self) -> None:  # noqa: B027  (most kinds need none)
        """Get ready, once in the audited process, before the heap is frozen."""

    def learning(self) -> AbstractContextManager[None]:
        """Watch an uninterrupted run closely, at any cost, to find out where to look later."""
        return nullcontext()

    @abstractmethod
    def snapshot(self) -> object:
        """Return what is there now, in whatever form ``compare`` needs."""

    @abstractmethod
    def compare(self, before: object) -> list[Leftover]:
        """Return what is there now and was not in ``before``. May be called several times."""

    def stays(self, leftover: Leftover) -> bool:  # noqa: ARG002  (most kinds cannot say)
        """Return whether ``leftover``, of a kind that settles, is certain not to vanish while this process only waits."""
        return False

    def unused(self, before: object) -> Collection[Identity]:  # noqa: ARG002  (most count as soon as they are made)
        """Return the identities of things made since that may count later, on their first use, in whatever thread that is."""
        return ()

    def describe(self, leftover: Leftover) -> Leftover:
        """Return ``leftover`` under the best name that can be found. Called once, after the last comparison; may be slow."""
        return leftover

    def is_named(self, leftover: Leftover) -> bool:  # noqa: ARG002  (most kinds find names at once)
        """Return whether the key of ``leftover`` is final; if not, ``describe`` may replace it."""
        return True

    def thing(self, leftover: Leftover) -> object | None:  # noqa: ARG002  (kinds without objects)
        """Return the Python object that ``leftover`` is, or that owns it, if there is one. May be slow."""
        return None

    def finish(self, before: object) -> None:  # noqa: B027  (most kinds need none)
        """Give back what ``snapshot`` installed (hooks, filters)."""

    def repair(self, leftover: Leftover) -> bool:  # noqa: ARG002  (kinds without a cure)
        """Undo ``leftover``; return whether the process is as it was. Never raises."""
        return False

    @abstractmethod
    def canary(self) -> AbstractContextManager[None]:
        """Return a context manager whose body contains one leftover of this kind; its end undoes it.

        Call this method before ``snapshot``, and enter the context manager after it.

        The audit proves with it, on the machine at hand, that the kind detects what it is there to detect.
        """
