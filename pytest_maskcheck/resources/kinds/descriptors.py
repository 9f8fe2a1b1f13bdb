"""Open file descriptors, by number and by what they refer to."""

from __future__ import annotations

import _socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from operator import itemgetter
from typing import cast

from pytest_maskcheck.resources.kind import Kind, Leftover
from pytest_maskcheck.resources.surroundings import Surroundings
from pytest_maskcheck.system.unpatched import gc, io, os
from pytest_maskcheck.system.untrusted import attempt, is_a

Identity = tuple[int, int]

_identity = itemgetter(2, 1)  # (device, inode) of a ``stat_result``
_LISTING = next((path for path in ("/proc/self/fd", "/dev/fd") if os.path.isdir(path)), None)
HAS_LISTING = _LISTING is not None


def _count() -> int:
    """Return the number of open descriptors as the system counts them (Linux 6.2 and later), else 0."""
    return os.stat(_LISTING).st_size if _LISTING == "/proc/self/fd" else 0


class _Table:
    """The open descriptors, the files they refer to, and the sort of each anonymous inode, as all of those have one identity."""

    def __init__(self) -> None:
        self.identities, anonymous = _open()
        self.files = list(self.identities.values())
        self.anonymous = tuple(anonymous)
        self.sorts = tuple(map(_target, anonymous))

    def holds(self) -> bool:
        """Return whether these descriptors, and by the system's count no others, are open and refer to the same files."""
        if _count() != len(self.files):
            return False
        try:
            files = list(map(_identity, map(os.fstat, self.identities)))
        except OSError:
            return False
        return files == self.files and (not self.anonymous or tuple(map(_target, self.anonymous)) == self.sorts)

    def sort(self, fd: int) -> str:
        """Return the sort of an anonymous inode, ``""`` for other files."""
        return self.sorts[self.anonymous.index(fd)] if fd in self.anonymous else ""


class Descriptors(Kind):
    """Descriptors opened, closed, or redirected. The token is (descriptor, device, inode)."""

    name = "fd"
    available = HAS_LISTING
    repeatable = True
    passable = True
    settles = settled_by_threads = True

    def __init__(self, surroundings: Surroundings | None = None) -> None:
        super().__init__(surroundings)
        self._counts = HAS_LISTING and _count() > 0
        self.pulse = _count if self._counts else None
        self._last: _Table | None = None

    def snapshot(self) -> object:
        if self._last is None or not self._counts or not self._last.holds():
            self._last = _Table()
        return self._last

    def compare(self, before: object) -> list[Leftover]:
        known = cast("_Table", before)
        # In most runs, one ``stat`` and an ``fstat`` of each descriptor show that nothing has changed.
        if self._counts and known.holds():
            return []
        now = _Table()
        old, new = known.identities, now.identities
        changed = [fd for fd in old if new.get(fd) != old[fd] or known.sort(fd) != now.sort(fd)]
        found = [self._opened(fd, new[fd]) for fd in new if fd not in old]
        return found + [self._changed(fd, new.get(fd)) for fd in changed]

    def _opened(self, fd: int, file: Identity) -> Leftover:
        target = _target(fd)
        return Leftover(self.name, self._key(target), f"descriptor {fd} is still open: {target}", (fd, *file))

    def _changed(self, fd: int, file: Identity | None) -> Leftover:
        detail = "was closed" if file is None else f"now refers to {_target(fd)}"
        return Leftover(self.name, str(fd), f"descriptor {fd} {detail}", (fd, file), altered=True)

    def _key(self, target: str) -> str:
        name, number, _ = target.partition(":[")
        if number and name != "anon_inode":
            return name  # such as pipe:[123]
        return self.surroundings.key(target.removesuffix(" (deleted)"))

    def thing(self, leftover: Leftover) -> object | None:
        fd = cast("tuple[int, object]", leftover.token)[0]
        return next((thing for thing in gc.get_objects() if _has(thing, fd)), None)

    def repair(self, leftover: Leftover) -> bool:
        """Close a new descriptor. One that was closed cannot be opened again."""
        if leftover.altered:
            return False
        fd, *file = cast("tuple[int, int, int]", leftover.token)
        with suppress(OSError):
            # A later file may have this number by now.
            if _identity(os.fstat(fd)) == tuple(file):
                os.close(fd)
        return True

    @contextmanager
    def canary(self) -> Iterator[None]:
        fd = os.open(os.devnull, os.O_RDONLY)
        try:
            yield
        finally:
            os.close(fd)


def _has(thing: object, fd: int) -> bool:
    """Return whether ``thing`` is a file or a socket whose descriptor is ``fd``."""
    if not is_a(thing, io.RawIOBase, _socket.socket):
        return False
    return attempt(lambda: bool(cast("io.RawIOBase", thing).fileno() == fd), otherwise=False)


def _open() -> tuple[dict[int, Identity], list[int]]:
    """Return the open descriptors, and which of them are anonymous inodes. The one that served to list them is left out."""
    found: dict[int, Identity] = {}
    anonymous = []
    for fd in map(int, os.listdir(_LISTING)):
        with suppress(OSError):
            status = os.fstat(fd)
            found[fd] = _identity(status)
            if not stat.S_IFMT(status.st_mode):  # anonymous inodes have no file type
                anonymous.append(fd)
    return found, anonymous


def _target(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return _sort(fd)


def _sort(fd: int) -> str:
    """Return the sort of file, where the system does not show its name."""
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return "closed"
    sorts = {stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket", stat.S_IFDIR: "directory", stat.S_IFCHR: "device"}
    return sorts.get(stat.S_IFMT(mode), "file")
