"""Hazards of a fork amid a run: what the processes would share, or what the child would lose.

No audit event announces most of them (pipes, timers, shared semaphores, threads up to 3.11), so they are looked for at each point
before the process forks there.
"""

from __future__ import annotations

import _thread
import termios
from contextlib import suppress

from pytest_maskcheck.reasons import Reason, Strategy
from pytest_maskcheck.runs.fork_sharing import FDS, descriptors, flags_of, shared, shared_memory
from pytest_maskcheck.system.unpatched import os, signal

_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)


class ForkHazards:
    """What a fork would share or lose. Descriptors, threads and the terminal are compared with what they were when this was made."""

    def __init__(self) -> None:
        self._before = descriptors()
        self._count = os.stat(FDS).st_size
        self._threads = _thread._count()  # noqa: SLF001
        self._terminal = _terminal()

    def reason(self) -> Reason | None:
        """Return the first thing found that a fork would share or lose; ``None`` if there is nothing."""
        if _thread._count() != self._threads:  # noqa: SLF001
            return Reason(Strategy.OTHER_THREAD)
        if any(signal.getitimer(timer) != (0.0, 0.0) for timer in _TIMERS):
            return Reason(Strategy.TIMER)
        if signal.sigpending():
            return Reason(Strategy.SIGNAL)
        if self._terminal != _terminal():
            return Reason(Strategy.STREAM)
        if memory := shared_memory():
            return memory
        return next(filter(None, map(shared, self.new())), None)

    def new(self) -> list[int]:
        """Return the descriptors that were opened since the beginning."""
        # Linux gives the number of descriptors as the size of the directory from 6.2 on, and 0 before.
        if self._count and os.stat(FDS).st_size == self._count:
            return []
        return list(descriptors() - self._before)

    def own_positions(self) -> None:
        """Give this process, a child, a file position of its own in each file that it shares with its parent."""
        for fd in self.new():
            with suppress(OSError):
                # A descriptor that a fork copied shares its position; one that is opened anew has its own.
                # /dev/null is shared while it is open for writing, too, and stays so.
                own = os.open(f"{FDS}/{fd}", flags_of(fd) & os.O_ACCMODE)
                os.lseek(own, os.lseek(fd, 0, os.SEEK_CUR), os.SEEK_SET)
                os.dup2(own, fd, inheritable=os.get_inheritable(fd))
                os.close(own)


def _terminal() -> list[tuple[bool, object]]:
    """Return the modes of the standard streams, which all processes share."""
    found: list[tuple[bool, object]] = []
    for fd in (0, 1, 2):
        with suppress(OSError):
            found.append((os.get_blocking(fd), termios.tcgetattr(fd) if os.isatty(fd) else None))
    return found
