"""Open file descriptors, by number and by what they refer to."""

from __future__ import annotations

import _socket
import gc
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from operator import itemgetter
from typing import cast

from pytest_maskcheck.resources.base import Kind, Leftover, Surroundings

Identity = tuple[int, int]

_identity = itemgetter(2, 1)  # device and inode of a ``stat_result``
_LISTING = next((path for path in ("/proc/self/fd", "/dev/fd") if os.path.isdir(path)), None)
HAS_LISTING = _LISTING is not None


def _count() -> int:
    """Return the number of open descriptors as the system counts them (Linux 6.2 and later), else 0."""
    return os.stat(_LISTING).st_size if _LISTING == "/proc/self/fd" else 0


class Descriptors(Kind):
    """Descriptors opened, closed, or pointed elsewhere. The token is (descriptor, device, inode)."""

    name = "fd"
    settles = True

    def __init__(self, surroundings: Surroundings) -> None:
        self.surroundings = surroundings
        self._counts = HAS_LISTING and _count() > 0

    def snapshot(self) -> object:
        return _open()

    def compare(self, before: object) -> list[Leftover]:
        known = cast("dict[int, Identity]", before)
        if self._counts and _count() == len(known):
            with suppress(OSError):
                if list(map(_identity, map(os.fstat, known))) == list(known.values()):
                    return []
        now = _open()
        found = [self._opened(fd, now[fd]) for fd in now if fd not in known]
        return found + [self._changed(fd, now.get(fd)) for fd in known if now.get(fd) != known[fd]]

    def _opened(self, fd: int, identity: Identity) -> Leftover:
        target = _target(fd)
        return Leftover(self.name, self._key(target), f"descriptor {fd} is still open: {target}", (fd, *identity))

    def _changed(self, fd: int, identity: Identity | None) -> Leftover:
        detail = "was closed" if identity is None else f"now refers to {_target(fd)}"
        return Leftover(self.name, str(fd), f"descriptor {fd} {detail}", (fd, identity), altered=True)

    def _key(self, target: str) -> str:
        name, number, _ = target.partition(":[")
        if number and name != "anon_inode":
            return name  # pipe:[123]
        return self.surroundings.key(target.removesuffix(" (deleted)"))

    def thing(self, leftover: Leftover) -> object | None:
        fd = cast("tuple[int, object]", leftover.token)[0]
        return next((thing for thing in gc.get_objects() if _has(thing, fd)), None)

    def repair(self, leftover: Leftover) -> bool:
        """Close a new descriptor; what was closed cannot be opened again."""
        if leftover.altered:
            return False
        fd, *identity = cast("tuple[int, int, int]", leftover.token)
        with suppress(OSError):
            if _identity(os.fstat(fd)) == tuple(identity):
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
    """Tell whether ``thing`` is a file or a socket that believes that ``fd`` is its own."""
    try:
        return isinstance(thing, (io.RawIOBase, _socket.socket)) and thing.fileno() == fd
    except (OSError, ValueError):
        return False


def _open() -> dict[int, Identity]:
    """Return the open descriptors. The one that listing them takes is closed again by the time it is asked."""
    found: dict[int, Identity] = {}
    for fd in map(int, os.listdir(_LISTING)):
        try:
            found[fd] = _identity(os.fstat(fd))
        except OSError:
            continue
    return found


def _target(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return _sort(fd)


def _sort(fd: int) -> str:
    """Return the sort of file where the system does not tell its name."""
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return "closed"
    sorts = {stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket", stat.S_IFDIR: "directory", stat.S_IFCHR: "device"}
    return sorts.get(stat.S_IFMT(mode), "file")
