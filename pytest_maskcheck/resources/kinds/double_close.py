"""Objects whose descriptor was closed, or belongs to another object by now: closing them would close what is not theirs."""

from __future__ import annotations

import stat
import sys
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from pytest_maskcheck.resources.census import Census
from pytest_maskcheck.resources.heap import made, want
from pytest_maskcheck.resources.open_objects import OpenObjects
from pytest_maskcheck.resources.surroundings import Surroundings
from pytest_maskcheck.system.unpatched import io, os, select, tempfile
from pytest_maskcheck.system.untrusted import read

HAS_POLL = hasattr(select, "poll")
_INVALID = getattr(select, "POLLNVAL", 0)
_OTHERS = (("socket", "socket"), ("ssl", "SSLSocket"), ("multiprocessing.connection", "Connection"))


class DoubleCloses(OpenObjects):
    """Open files, sockets and connections whose descriptor was closed behind their back; sockets whose descriptor is no longer one.

    Objects that the run made are inspected one by one. For all older ones, a single ``poll`` shows which descriptors are closed.
    """

    name = "double_close"
    available = HAS_POLL

    def __init__(self, surroundings: Surroundings | None = None) -> None:
        super().__init__(surroundings)
        self._census = Census(lambda: made(self.types()))
        self._poll: Any = None
        self._old: dict[int, list[Any]] = {}
        self._types: tuple[type, ...] = ()
        self._modules = 0  # how many there were when ``types`` was last called
        want(self.types())  # now: types wanted only amid ``prepare`` would cost another walk of the whole heap

    def prepare(self) -> None:
        self._census.take()
        self._poll, self._old = select.poll(), {}
        for ref in self._census.references():
            fd = _descriptor(ref())
            if fd >= 0:
                self._old.setdefault(fd, []).append(ref)
                self._poll.register(fd, 0)

    def types(self) -> Collection[type]:
        # A test may have imported ``ssl`` or the like since.
        if len(sys.modules) != self._modules:
            self._modules = len(sys.modules)
            modules = ((sys.modules.get(module), name) for module, name in _OTHERS)
            others = (read(module, name) for module, name in modules)  # a test may have put anything in sys.modules
            self._types = (io.FileIO, *(found for found in others if type(found) is type))
        return self._types

    def is_open(self, thing: Any) -> bool:
        fd = _descriptor(thing)
        if fd < 0:
            return False
        try:
            mode = os.fstat(fd).st_mode
        except OSError:
            return True
        return type(thing).__name__.endswith("ocket") and not stat.S_ISSOCK(mode)

    def _made(self) -> Collection[object]:
        """Return what was made since the heap was frozen, and older objects that hold a closed descriptor."""
        found = made(self.types())
        for fd, events in self._polled():
            # POLLNVAL marks a closed descriptor; registered with no events, others report nothing.
            if events & _INVALID:
                known = set(map(id, found))
                found = [*found, *(thing for thing in self._stale(fd) if id(thing) not in known)]
        return found

    def _polled(self) -> list[tuple[int, int]]:
        if self._poll is None:
            return []
        try:
            polled: list[tuple[int, int]] = self._poll.poll(0)
        except OSError:  # more descriptors than the test's RLIMIT_NOFILE
            return [(fd, _INVALID) for fd in self._old]
        return polled

    def _stale(self, fd: int) -> list[object]:
        """Return the older objects that hold ``fd``, which is closed. If there are none, stop polling it."""
        things = [thing for ref in self._old[fd] if (thing := ref()) is not None and _descriptor(thing) == fd]
        if not things:
            del self._old[fd]
            self._poll.unregister(fd)
        return things

    def key_and_detail(self, thing: Any) -> tuple[str, str]:
        fd = _descriptor(thing)
        name = thing.name if isinstance(thing, io.FileIO) else None
        key = self.surroundings.key(os.fsdecode(name)) if isinstance(name, str | bytes) else type(thing).__name__
        state = "is closed"
        with suppress(OSError):
            os.fstat(fd)
            state = "is something else by now"
        return (
            key,
            f"a {type(thing).__name__} ({key}) holds descriptor {fd}, which {state}: to close it is to close another's",
        )

    def close(self, thing: Any) -> None:
        fd = _descriptor(thing)
        # The descriptor is duplicated, so that closing the object does not close its present owner's file for good.
        kept = None
        with suppress(OSError):
            kept = os.dup(fd)
        try:
            with suppress(OSError):
                thing.close()
        finally:
            if kept is not None:
                os.dup2(kept, fd)
                os.close(kept)

    def canary(self) -> AbstractContextManager[None]:
        """See the base class. This call opens the file that the canary then closes behind its back."""
        return self._canary(tempfile.TemporaryFile(buffering=0))

    @contextmanager
    def _canary(self, file: Any) -> Iterator[None]:
        os.close(file.fileno())
        try:
            yield
        finally:
            self.close(file)


def _descriptor(thing: Any) -> int:
    """Return the descriptor that ``thing`` owns, -1 if there is none."""
    if thing is None or (isinstance(thing, io.FileIO) and (thing.closed or not thing.closefd)):
        return -1
    with suppress(OSError, ValueError):
        return int(thing.fileno())
    return -1
