"""Channels: what a longer-lived fixture opened that outlives a run and is shared with other processes.

Whatever an interrupted run leaves in such a channel is met by later runs, in other processes as well.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_maskcheck.reasons import Reason, Strategy
from pytest_maskcheck.resources.audit_events import listening
from pytest_maskcheck.runs.fork_sharing import FDS, HAS_PROC, descriptors, shared, shared_memory
from pytest_maskcheck.system.descendants import processes
from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from collections.abc import Iterator


class FixtureChannels:
    """What this process has begun to share with others since this object was made, as the setup of a fixture began.

    Parameters:
        numbered: returns the directory where pytest creates numbered directories, ``""`` if there is none yet.
    """

    _watching: ClassVar[list[FixtureChannels]] = []
    """The instances for fixtures that are being set up, innermost last."""

    def __init__(self, numbered: Callable[[], str] = lambda: "") -> None:
        self._descriptors = descriptors()
        self._processes = processes()
        self._memory = shared_memory() if HAS_PROC else None
        self._numbered = numbered
        self._made: list[tuple[str, Any]] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Record which names are made up while the fixture is set up, without those of a fixture set up within it."""
        self._watching.append(self)
        try:
            with listening(dict.fromkeys(("tempfile.mkdtemp", "tempfile.mkstemp", "os.mkdir"), self._hear)):
                yield
        finally:
            self._watching.remove(self)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if self._watching[-1] is self:
            self._made.append((event, args[0]))

    def descriptors(self) -> frozenset[int]:
        """Return the descriptors opened since then that refer to something shared."""
        new = descriptors() - self._descriptors if HAS_PROC else ()
        return frozenset(fd for fd in new if shared(fd))

    def shared(self) -> Reason | None:
        """Return what is new, outlives a run and is shared with other processes; ``None`` if there is nothing."""
        if found := self.descriptors():
            return shared(min(found))
        if children := processes() - self._processes:
            return Reason(Strategy.CHILD, pid=min(child.pid for child in children))
        memory = shared_memory() if HAS_PROC else None
        return memory if memory != self._memory else None

    def is_fixed(self) -> bool:
        """Return whether the fixture, set up again in another process, would open the same file.

        A name that ``tempfile`` or ``tmp_path_factory`` made up during the setup is a new one each time. A name that only begins
        like such a name, or lies in a directory that was there before, is the same.
        """
        own = tuple(map(self._made_up, self._made))
        places = filter(None, map(_place, self.descriptors()))
        return not all(
            any(place == each or place.startswith(each + os.sep) for each in own if each) for place in places
        )

    def _made_up(self, made: tuple[str, Any]) -> str:
        """Return the real path of what was made, if another process would have made another one; else ``""``."""
        event, given = made
        path = os.path.realpath(os.fsdecode(given))
        if event != "os.mkdir":
            return path
        numbered = self._numbered()
        is_numbered = bool(numbered) and os.path.dirname(path) == os.path.realpath(numbered) and path[-1:].isdigit()
        return path if is_numbered else ""


def _place(fd: int) -> str:
    """Return the path of an open regular file; ``""`` if the descriptor refers to anything else, or the file was removed."""
    path = os.readlink(f"{FDS}/{fd}") if stat.S_ISREG(os.fstat(fd).st_mode) else ""
    return "" if path.endswith(" (deleted)") else path
