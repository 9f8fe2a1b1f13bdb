"""What every kind of resource answers: snapshot, compare, describe, repair.

A *kind* looks at one sort of thing that a run can leave behind. The audit asks in this order:

1. ``prepare()`` once in the audited process, after the uninterrupted warm-up runs and *before* the
   heap is frozen with :func:`gc.freeze`;
2. ``snapshot()`` as the last act before a run of the test's body;
3. ``compare(before)`` one to three times after it (see "two readings" in ``audit.py``);
4. ``describe(leftover)`` for what is reported;
5. ``finish(before)`` exactly once after the last reading, whatever happened;
6. ``repair(leftover)`` for what stayed. What fixtures may own and end themselves is repaired after they were torn down, if it is there still.

Detecting must be cheap and must not run the code under test; describing may be slow.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import ClassVar

from pytest_maskcheck.system.unpatched import os

Identity = tuple[str, Hashable]
"""Kind and token of a leftover."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """One thing that is there after a run and was not there before it.

    Parameters:
        kind: the name of the kind that saw it, such as ``fd``.
        key: what it is, alike in every run (paths and numbers normalised), such as ``<tmp_path>/a.lock``.
        detail: one line for people: what exactly was found this time.
        token: identifies the thing within this process, to tell whether two readings saw the same one.
        altered: true for process state that changed, false for a resource that is still held.
        descriptors: those that it is known to have: they are told with it.
    """

    kind: str
    key: str
    detail: str
    token: Hashable
    altered: bool = False
    descriptors: tuple[int, ...] = ()

    @property
    def identity(self) -> Identity:
        """What is equal for one leftover at two readings of a run."""
        return self.kind, self.token


class Kind(ABC):
    """One kind of resource. Subclasses keep no state of a run outside what ``snapshot`` returns."""

    name: ClassVar[str]
    """The word used in reports and in ``allow`` globs (``name:key``)."""

    settles: ClassVar[bool] = False
    """True if a leftover may vanish by itself within milliseconds (threads, children): worth a second look."""

    settled_by_threads: ClassVar[bool] = False
    """True if nobody but another thread could make such a leftover vanish (descriptors)."""

    ends: ClassVar[bool] = False
    """True if a leftover may vanish by itself whatever refers to it (threads): no reference counting is at work then."""

    dies_with_frames: ClassVar[bool] = False
    """True if a leftover that dies together with the frames of the interrupted code harmed nobody (locks)."""

    outlives: ClassVar[bool] = False
    """True if a leftover stays when the process ends (children, files): to be repaired even then."""

    serves: ClassVar[bool] = False
    """True if what one run leaves may be there for all later ones (children, such as a resource tracker)."""

    owns: ClassVar[bool] = False
    """True if leftovers of other kinds may be mere parts of one of this kind, as the descriptor of a socket is: what
    vanishes when ``repair`` undoes this one is told with it and not by itself. ``repair`` must not block then."""

    files: ClassVar[tuple[str, ...]] = ()
    """What the keys of its descriptors have behind its own key, if it is named after a file: they are parts of it also where a fixture,
    and not ``repair``, ends it."""

    warns: ClassVar[str] = ""
    """What the ResourceWarning about a leftover that reference counting releases has in its text: it says nothing more then."""

    default: ClassVar[bool] = True
    """False if it is looked for only where the setting ``kinds`` names it: it costs too much, or is no defect for most."""

    blocks: ClassVar[bool] = False
    """True if whoever acquires what is left waits for ever (locks)."""

    traced: ClassVar[bool] = True
    """False if nothing can be learned by comparing while the body runs."""

    repeatable: ClassVar[bool] = False
    """True if nothing is left wherever a second snapshot, taken in place of ``compare``, is equal to the first."""

    absent: Callable[[Collection[type]], bool] | None = None
    """Tells of the types of new objects that none is of this kind: its snapshot then is an empty dict, and need not be taken."""

    pulse: Callable[[], object] | None = None
    """Returns at next to no cost what changes when one of this kind comes or goes; needed where looking takes long."""

    listens: ClassVar[bool] = False
    """True if what ``snapshot`` puts in place is met by others (a hook, a filter): ``finish`` comes before fixtures are torn down then."""

    complaint: str = ""
    """Why this kind cannot be asked any more, as a sentence; only those of other plugins can fail so."""

    def prepare(self) -> None:  # noqa: B027  (most kinds need none)
        """Get ready once in the audited process, before the heap is frozen."""

    def learning(self) -> AbstractContextManager[None]:
        """Watch an uninterrupted run from close by, at any cost, to know where to look later."""
        return nullcontext()

    @abstractmethod
    def snapshot(self) -> object:
        """Return what is there now, in whatever form ``compare`` wants it."""

    @abstractmethod
    def compare(self, before: object) -> list[Leftover]:
        """Return what is there now and was not in ``before``. May be called several times."""

    def stays(self, leftover: Leftover) -> bool:  # noqa: ARG002  (most kinds cannot tell)
        """Tell whether ``leftover``, of a kind that settles, is certain not to vanish while this process only waits."""
        return False

    def unused(self, before: object) -> Collection[Identity]:  # noqa: ARG002  (most count as soon as they are made)
        """Return the identities of what was made since and may count later, on its first use, in whatever thread that is."""
        return ()

    def describe(self, leftover: Leftover) -> Leftover:
        """Return ``leftover`` under the best name that can be found; asked once, after the last reading. May be slow."""
        return leftover

    def is_named(self, leftover: Leftover) -> bool:  # noqa: ARG002  (most kinds know names at once)
        """Tell whether ``leftover`` has its key for good; if not, ``describe`` may give it another one."""
        return True

    def thing(self, leftover: Leftover) -> object | None:  # noqa: ARG002  (kinds without objects)
        """Return the Python object that ``leftover`` is, or that has it, if there is one. May be slow."""
        return None

    def finish(self, before: object) -> None:  # noqa: B027  (most kinds need none)
        """Give back what ``snapshot`` took (hooks, filters)."""

    def repair(self, leftover: Leftover) -> bool:  # noqa: ARG002  (kinds without a cure)
        """Undo ``leftover``; return whether the process is as it was. Never raises."""
        return False

    @abstractmethod
    def canary(self) -> AbstractContextManager[None]:
        """Return a context manager whose body sees one leftover of this kind, undone at its end.

        Ask for it before ``snapshot`` and enter it after.

        The audit proves with it, on the machine at hand, that the kind sees what it is there to see.
        """


_DIGITS = re.compile(r"\d+")
_TEMPORARY = re.compile(r"tmp[a-z0-9_]{8}(?![a-z0-9_])")


@dataclass(slots=True, repr=False)
class Surroundings:
    """Names for the directories that differ from run to run, so that keys stay alike.

    Parameters:
        places: word -> absolute directory, such as ``{"tmp_path": "/tmp/pytest-0/test_a0"}``; the audit
            refreshes it before every run.
        in_scope: tells whether a file holds code that is audited.
        named_only: likewise, directories in which nobody looks for anything.
        others: directory -> word, of further directories that have the name of another one.
    """

    places: dict[str, str] = field(default_factory=dict)
    in_scope: Callable[[str], bool] = lambda _path: False
    named_only: dict[str, str] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)

    def ordered(self) -> Iterator[tuple[str, str]]:
        """Yield (word, directory), the longest directory first."""
        yield from sorted((self.named_only | self.places).items(), key=lambda place: -len(place[1]))

    def _all(self) -> list[tuple[str, str]]:
        others = [(word, directory) for directory, word in self.others.items()]
        return sorted([*others, *self.ordered()], key=lambda place: -len(place[1]))

    def key(self, path: str) -> str:
        """Return ``path`` as a key: volatile directories by name, random parts and numbers masked."""
        for word, directory in self._all():
            if path == directory or path.startswith(directory + os.sep):
                return f"<{word}>" + self.text(path[len(directory) :])
        return self.text(path)

    def text(self, text: str) -> str:
        """Return ``text`` with volatile directories by name, temporary names and numbers masked."""
        return _DIGITS.sub("#", _TEMPORARY.sub("tmp*", self.named(text)))

    def named(self, text: str) -> str:
        """Return ``text`` with volatile directories by name, for readers."""
        for word, directory in self._all():
            text = text.replace(directory, f"<{word}>")
        return text
