"""Shared memory: open objects of ``multiprocessing``, and named segments and semaphores that were not unlinked.

All processes of the machine share the names in ``/dev/shm``. They are listed only if

- an uninterrupted run created a segment, or
- names appeared or vanished during an uninterrupted run, and the module of multiprocessing's locks was imported, or
- no uninterrupted run has been watched yet, as in first use.

A new name is attributed to this process under four conditions:

1. It belongs to the same user.
2. It looks like the names that an uninterrupted run created, or it is a semaphore of ``multiprocessing`` and this process has
   loaded the module that creates semaphores. Without that module, a semaphore that another session lost would be reported here,
   and unlinked before that session finds it.
3. It still exists after a moment.
4. No process but this one and its children has it mapped.

A semaphore keeps its name as long as its object lives; that is no leak.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, cast

from pytest_maskcheck.resources.heap import Family
from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.open_objects import OpenObjects
from pytest_maskcheck.resources.random_names import are_alike, looks_random
from pytest_maskcheck.resources.surroundings import Surroundings
from pytest_maskcheck.system import descendants
from pytest_maskcheck.system.other_threads import has_other_threads
from pytest_maskcheck.system.proc import children_of
from pytest_maskcheck.system.unpatched import io, os, time
from pytest_maskcheck.system.untrusted import read

try:  # imported early: a test may leave a process that can import nothing any more
    import _posixshmem as _module  # type: ignore[import-not-found]
except ImportError:
    _module = None

_posixshmem: Any = _module
HAS_SHARED_MEMORY = _module is not None
_DIRECTORY = "/dev/shm"
_LISTED = os.path.isdir(_DIRECTORY)
_CANARY = "maskcheck_canary_"
_MADE_UP = re.compile(r"(psm_)[0-9a-f]+|(sem\.mp-)\w+")
_SEMAPHORE = "sem.mp-"
_MAKES_SEMAPHORES = "_multiprocessing"
_PAUSE = 0.005  # seconds after which a new name must still exist
_TICK = 0.1  # seconds; the times of files lag behind by less
_SEMAPHORES = Family("multiprocessing.synchronize:SemLock")


class SharedMemories(OpenObjects):
    """``SharedMemory`` objects that are open, and names in ``/dev/shm``, whose token is the name."""

    name = "shared_memory"
    available = HAS_SHARED_MEMORY
    owns = True
    outlives = True
    settles = ends = True
    family = Family("multiprocessing.shared_memory:SharedMemory")

    def __init__(self, surroundings: Surroundings | None = None) -> None:
        super().__init__(surroundings)
        self._learned: set[str] = set()
        self._semaphores = True  # true until a watched run shows that there are none

    @contextmanager
    def learning(self) -> Iterator[None]:
        """Record the names that the body creates, and look for such names from now on."""
        if not _LISTED:
            yield
            return
        self._semaphores = False
        create: Callable[..., int] = _posixshmem.shm_open

        def noting(path: str, *args: Any, **details: Any) -> int:
            self._learned.add(self._key(path.lstrip("/")))
            return create(path, *args, **details)

        _posixshmem.shm_open = noting
        began, before = time.time(), os.stat(_DIRECTORY).st_mtime
        try:
            yield
        finally:
            _posixshmem.shm_open = create
            changed = os.stat(_DIRECTORY).st_mtime
            # Neither test suffices alone: two changes within a tick have one time, and time-machine may have moved ``began``.
            if "multiprocessing.synchronize" in sys.modules and (changed != before or changed > began - _TICK):
                self._semaphores = True

    def is_open(self, thing: Any) -> bool:
        return read(thing, "_mmap") is not None or bool(read(thing, "_fd", -1) >= 0)

    def snapshot(self) -> object:
        return super().snapshot(), self._names()

    def _names(self) -> frozenset[str] | None:
        """Return the names in use; ``None`` while there is nothing to look for."""
        if self._semaphores or (self._learned and _LISTED):
            return frozenset(os.listdir(_DIRECTORY))
        return None

    def compare(self, before: object) -> list[Leftover]:
        known, names = cast("tuple[object, frozenset[str] | None]", before)
        found = super().compare(known)
        if names is not None:
            new = [name for name in self._names() or () if name not in names]
            if new:
                found += self._segments(new)
        return found

    def _segments(self, names: list[str]) -> list[Leftover]:
        """Return leftovers for those of the new names that are this process's, without the names of live objects."""
        used = {str(read(thing, "_name", "")).lstrip("/") for thing in self._open()}
        for semaphore in _SEMAPHORES.made():
            used.add(f"sem.{read(read(semaphore, '_semlock'), 'name', '')}".replace("/", "", 1))
        names = [name for name in names if name not in used and self._may_be_ours(name)]
        if names:  # other processes create and unlink such names, too, and for a moment do not have them mapped
            time.sleep(_PAUSE)
            others = _mapped_by_others()
            names = [name for name in names if self._may_be_ours(name) and _inode(name) not in others]
        return [
            Leftover(self.name, self._key(name), f"{_DIRECTORY}/{name} was created and not unlinked", name)
            for name in sorted(names)
        ]

    def _may_be_ours(self, name: str) -> bool:
        key = self._key(name)
        # A name that differs from those seen counts only if it looks random: an ordinary one may be another process's.
        known = key in self._learned or (looks_random(key) and any(are_alike(key, seen) for seen in self._learned))
        if not known and not (name.startswith(_SEMAPHORE) and _MAKES_SEMAPHORES in sys.modules):
            return False
        with suppress(OSError):
            return os.lstat(f"{_DIRECTORY}/{name}").st_uid == os.getuid()
        return False  # gone by now

    def _key(self, name: str) -> str:
        made_up = _MADE_UP.fullmatch(name)
        return f"{made_up[1] or made_up[2]}*" if made_up else self.surroundings.text(name)

    def stays(self, leftover: Leftover) -> bool:
        """Return whether nobody else can remove the name: there are no other threads, and all children end with this process."""
        named = isinstance(leftover.token, str)
        return named and not has_other_threads() and all(map(descendants.stays, children_of()))

    def key_and_detail(self, thing: Any) -> tuple[str, str]:
        name = str(read(thing, "_name", "")).lstrip("/")
        return self._key(name), f"shared memory {name} was not closed"

    def close(self, thing: Any) -> None:
        thing.close()
        if thing._flags & os.O_CREAT:  # noqa: SLF001
            with suppress(FileNotFoundError):
                thing.unlink()

    def repair(self, leftover: Leftover) -> bool:
        if not isinstance(leftover.token, str):
            return super().repair(leftover)
        try:
            os.unlink(f"{_DIRECTORY}/{leftover.token}")
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def canary(self) -> AbstractContextManager[None]:
        """See the base class. The kind looks for the canary from this call on, so the snapshot must be taken after it."""
        self._learned.add(_CANARY + "#")
        return self._canary()

    @contextmanager
    def _canary(self) -> Iterator[None]:
        from multiprocessing.shared_memory import SharedMemory

        # An object that creates its segment would start the resource tracker, a process that stays.
        name = f"/{_CANARY}{os.getpid()}"
        descriptor = _posixshmem.shm_open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode=0o600)
        memory: Any = SharedMemory.__new__(SharedMemory)
        if not _LISTED:
            memory._name, memory._fd = name, os.dup(descriptor)  # noqa: SLF001
        try:
            yield
        finally:
            memory.close()
            os.close(descriptor)
            self._learned.discard(_CANARY + "#")
            with suppress(OSError):
                _posixshmem.shm_unlink(name)


def _inode(name: str) -> int:
    """Return the inode of a segment, 0 if it is gone.

    A name will not do: a semaphore is mapped under another one before it gets its own.
    """
    with suppress(OSError):
        return os.lstat(f"{_DIRECTORY}/{name}").st_ino
    return 0


def _mapped_by_others() -> set[int]:
    """Return the inodes of the segments that are mapped by processes other than this one and those it started."""
    found = {0}  # the inode of a name that is gone
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            with io.open(f"/proc/{pid}/maps", "rb") as file:
                lines = [line for line in os.fsdecode(file.read()).splitlines() if _DIRECTORY in line]
            if lines and not _is_family(int(pid)):
                found.update(int(line.split()[4]) for line in lines)
    return found


def _is_family(pid: int) -> bool:
    """Return whether a process is this one or was started by it."""
    while pid > 1 and pid != os.getpid():
        try:
            with io.open(f"/proc/{pid}/stat", "rb") as file:
                pid = int(file.read().rpartition(b")")[2].split()[1])
        except OSError:
            return False
    return pid == os.getpid()
