"""Locks on files (``flock``, ``lockf`` and the like), held through descriptors that were open before the run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, cast

from pytest_maskcheck.resources.audit_events import Use
from pytest_maskcheck.resources.kind import Kind, Leftover
from pytest_maskcheck.resources.surroundings import Surroundings
from pytest_maskcheck.system.unpatched import HAS_FCNTL, fcntl, io, os, tempfile

_INFO = "/proc/self/fdinfo"
HAS_FILE_LOCKS = HAS_FCNTL and os.path.isdir(_INFO)
# A line such as ``lock:	1: FLOCK  ADVISORY  WRITE 359 00:13:11691 0 EOF``.
_LOCK = re.compile(r"^lock:\t\d+: (\S+) +\S+ +(\S+) +\S+ \S+ (\S+ \S+)$", re.MULTILINE)
_COMMANDS = {getattr(fcntl, name, None) for name in ("F_SETLK", "F_SETLKW", "F_OFD_SETLK", "F_OFD_SETLKW")}

_Lock = tuple[str, str, str]
_Locks = dict[int, tuple[_Lock, ...]]


def _locks(event: str, args: tuple[Any, ...]) -> bool:
    return event != "fcntl.fcntl" or args[1] in _COMMANDS


class FileLocks(Kind):
    """Locks on files, compared only if the uninterrupted test takes one. The token is (descriptor, sort, mode, range).

    A lock held through a descriptor that the run opened is not reported: closing the descriptor releases the lock.
    """

    name = "file_lock"
    available = HAS_FILE_LOCKS
    repeatable = True

    def __init__(self, surroundings: Surroundings | None = None) -> None:
        super().__init__(surroundings)
        self.use = Use("fcntl.flock", "fcntl.lockf", "fcntl.fcntl", "os.lockf", counts=_locks)

    def learning(self) -> AbstractContextManager[None]:
        return self.use.learning()

    def snapshot(self) -> object:
        return _locked() if self.use.seen else {}

    def compare(self, before: object) -> list[Leftover]:
        known = cast("_Locks", before)
        if not known:
            return []
        now = _locked()
        return [
            *(self._held(fd, lock) for fd in now if fd in known for lock in now[fd] if lock not in known[fd]),
            *(self._lost(fd, lock) for fd in known if fd in now for lock in known[fd] if lock not in now[fd]),
        ]

    def _held(self, fd: int, lock: _Lock) -> Leftover:
        sort, mode, _ = lock
        path = _path(fd)
        detail = f"{path} is locked ({sort}, {mode.lower()}) by descriptor {fd}"
        return Leftover(self.name, self.surroundings.key(path), detail, (fd, *lock))

    def _lost(self, fd: int, lock: _Lock) -> Leftover:
        sort, mode, _ = lock
        path = _path(fd)
        detail = f"{path} is no longer locked ({sort}, {mode.lower()}) by descriptor {fd}"
        return Leftover(self.name, self.surroundings.key(path), detail, (fd, *lock, "lost"), altered=True)

    def repair(self, leftover: Leftover) -> bool:
        if leftover.altered:
            return False
        fd, sort, _, _ = cast("tuple[int, str, str, str]", leftover.token)
        with suppress(OSError):
            if sort == "FLOCK":
                fcntl.flock(fd, fcntl.LOCK_UN)
            elif sort == "POSIX":
                fcntl.lockf(fd, fcntl.LOCK_UN)
            else:
                return False
        return True

    def canary(self) -> AbstractContextManager[None]:
        """See the base class. This call opens the descriptor, and locks are compared from now on."""
        return self.use.assumed(self._canary(tempfile.TemporaryFile()))

    @contextmanager
    def _canary(self, file: Any) -> Iterator[None]:
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _locked() -> _Locks:
    """Return the locks that are held through each open descriptor."""
    found: _Locks = {}
    for fd in os.listdir(_INFO):
        with suppress(OSError), io.open(f"{_INFO}/{fd}", encoding="utf-8", errors="replace") as file:
            found[int(fd)] = tuple(_LOCK.findall(file.read()))
    return found


def _path(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}").removesuffix(" (deleted)")
    except OSError:
        return "closed"
