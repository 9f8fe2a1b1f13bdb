"""Files and directories that were created and still exist.

An audit hook written in Python could watch the calls that create files, but would add places where a signal can be handled. So
directories are listed before and after a run instead: those of the surroundings, recursively, and those where an uninterrupted run
created something.

In a directory that everybody may write to, such as ``/tmp``, only names like those that an uninterrupted run created count: other
files there may be another process's.

What does not work: a file created by an interrupted run in a directory where no uninterrupted run creates one.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, cast

from pytest_maskcheck.resources.audit_events import listening
from pytest_maskcheck.resources.kind import Kind, Leftover
from pytest_maskcheck.resources.random_names import are_alike
from pytest_maskcheck.resources.surroundings import Surroundings
from pytest_maskcheck.system.unpatched import io, os, shutil, tempfile

LIMIT = 2000
"""Once so many entries of a place are listed, its deeper directories are left out."""

_UNWATCHED = tuple(directory + os.sep for directory in ("/dev", "/proc", "/sys"))
_CACHE = "__pycache__"
_CANARY = "maskcheck canary"

_Listing = dict[str, frozenset[str]]


_CREATING = {
    "open": 0,
    "os.mkdir": 0,
    "os.rename": 1,
    "os.link": 1,
    "os.symlink": 1,
    "tempfile.mkstemp": 0,
    "tempfile.mkdtemp": 0,
    "sqlite3.connect": 0,
    "socket.bind": 1,
}
"""The audit events of calls that may create a path, and the position of the path among their arguments."""


def _creates(flags: object) -> bool:
    return isinstance(flags, int) and bool(flags & os.O_CREAT)


def _in_memory(database: object) -> bool:
    """Return whether a database is not a named file. If it were taken for one, the working directory would be watched."""
    text = str(database)
    return text in {"", ":memory:"} or (text.startswith("file:") and (":memory:" in text or "mode=memory" in text))


class Paths(Kind):
    """New entries of the watched directories. A new directory is reported without what it contains. The token is the path."""

    name = "path"
    outlives = True

    def __init__(self, surroundings: Surroundings | None = None) -> None:
        super().__init__(surroundings)
        self.unlisted: set[str] = set()
        """Places with more than ``LIMIT`` entries, whose deeper directories are not all watched."""
        self._learned: dict[str, set[str]] = {}
        self._last: _Listing = {}

    @contextmanager
    def learning(self) -> Iterator[None]:
        """Record the directories where the body creates something, and watch them from now on."""
        with listening(dict.fromkeys(_CREATING, self._hear)):
            yield

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        path = args[_CREATING[event]]
        if (event != "open" or _creates(args[2])) and (event != "sqlite3.connect" or not _in_memory(path)):
            self._learn(path)

    def _learn(self, path: object) -> None:
        try:
            absolute = os.path.abspath(os.fsdecode(cast("str", path)))
        except (TypeError, ValueError):
            return  # a descriptor, or an address of another family
        if os.path.lexists(absolute):
            return  # it is not new: the event is raised before the call does anything
        directory, name = os.path.split(absolute)
        if not (directory + os.sep).startswith(_UNWATCHED) and _CACHE not in directory:
            names = self._learned.setdefault(self._relative(directory), set())
            names.add(self.surroundings.text(name))

    def _relative(self, directory: str) -> str:
        """Return ``directory`` relative to the place it is in, as places differ from run to run."""
        for word, place in self.surroundings.ordered():
            if directory == place or directory.startswith(place + os.sep):
                return f"<{word}>" + directory[len(place) :]
        return directory

    def _absolute(self, directory: str) -> str:
        word, end, rest = directory.partition(">")
        return dict(self.surroundings.ordered()).get(word[1:], "") + rest if end and word[0] == "<" else directory

    def snapshot(self) -> object:
        last = self._last
        listing = self._last = {}
        for word, place in self.surroundings.places.items():
            # A place that was empty, and still is, needs no scan; after most runs that is so.
            if place in last and not last[place] and _is_empty(place):
                listing[place] = last[place]
            elif not _list_all(place, listing):
                self.unlisted.add(word)
        for learned in self._learned:
            _list(self._absolute(learned), listing)
        return listing

    def compare(self, before: object) -> list[Leftover]:
        found = []
        for directory, names in cast("_Listing", before).items():
            try:
                entries = os.listdir(directory)
            except OSError:
                continue
            if len(entries) != len(names) or not names.issuperset(entries):
                found += [os.path.join(directory, name) for name in entries if name not in names and name != _CACHE]
        return [self._leftover(path) for path in sorted(found) if not self._of_others(path)] if found else []

    def _of_others(self, path: str) -> bool:
        """Return whether ``path`` is not the test's: it is in a shared directory, and another user's or unlike what the test creates.

        A path that is gone by now counts as such, too.
        """
        directory, name = os.path.split(path)
        try:
            # The sticky bit marks a directory that everybody may write to.
            shared = os.stat(directory).st_mode & stat.S_ISVTX
            owner = os.lstat(path).st_uid
        except OSError:
            return True  # gone by now
        names = self._learned.get(self._relative(directory))
        if not shared or names is None:
            return False
        text = self.surroundings.text(name)
        return not any(are_alike(text, seen) for seen in names) or (hasattr(os, "getuid") and owner != os.getuid())

    def _known_as_ours(self, path: str) -> bool:
        """Return whether ``path`` may be removed: it is in one of the run's own places, or is like what the test creates.

        Other processes may create files beside the test's at the same time.
        """
        directory, name = os.path.split(path)
        if any(path.startswith(place + os.sep) for place in self.surroundings.places.values()):
            return True
        text = self.surroundings.text(name)
        return any(are_alike(text, seen) for seen in self._learned.get(self._relative(directory), ()))

    def _leftover(self, path: str) -> Leftover:
        noun = "directory" if os.path.isdir(path) and not os.path.islink(path) else "file"
        return Leftover(self.name, self.surroundings.key(path), f"{noun} {path} was created and is still there", path)

    def repair(self, leftover: Leftover) -> bool:
        path = cast("str", leftover.token)
        if not self._known_as_ours(path):
            return not os.path.lexists(path)
        try:
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def canary(self) -> AbstractContextManager[None]:
        """See the base class. This call adds a place for the canary, so the snapshot must be taken after it."""
        home = tempfile.mkdtemp()
        self.surroundings.places[_CANARY] = home
        return self._canary(home)

    @contextmanager
    def _canary(self, home: str) -> Iterator[None]:
        try:
            with io.open(os.path.join(home, "canary"), "x", encoding="ascii"):
                pass
            yield
        finally:
            self.surroundings.places.pop(_CANARY, None)
            shutil.rmtree(home, ignore_errors=True)


def _is_empty(directory: str) -> bool:
    try:
        return not os.listdir(directory)
    except OSError:
        return False


def _list(directory: str, listing: _Listing) -> None:
    if directory not in listing:
        try:
            listing[directory] = frozenset(os.listdir(directory))
        except OSError:
            return  # it does not exist in this run


def _list_all(place: str, listing: _Listing) -> bool:
    """List ``place`` and the directories below it; return false if ``LIMIT`` has left some of them out."""
    waiting, entries = [place], 0
    while waiting:
        directory = waiting.pop(0)
        if entries > LIMIT:
            return False
        if directory in listing:
            continue
        try:
            with os.scandir(directory) as found:
                inside = list(found)
        except OSError:
            continue
        listing[directory] = frozenset(entry.name for entry in inside)
        entries += len(inside)
        waiting += [entry.path for entry in inside if entry.name != _CACHE and entry.is_dir(follow_symlinks=False)]
    return True
