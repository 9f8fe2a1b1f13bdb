"""Distinguishes a signal that another process or the user sent from the one that a strike leaves pending.

Python keeps one flag per signal. If the user presses Ctrl-C while a strike's signal is pending, the two produce a single
``KeyboardInterrupt``, which looks like the strike's. But a signal left pending by ``_thread.interrupt_main`` never came from the
kernel. So ``faulthandler`` is registered: when the kernel delivers a signal, it writes to a file, in C, and passes the signal on.

What does not work: once the code under test installs a handler itself, signals from the kernel leave no trace until the run ends.
Windows has no ``faulthandler.register``.
"""

from __future__ import annotations

import faulthandler
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_maskcheck.system.unpatched import os, tempfile

if TYPE_CHECKING:
    from collections.abc import Iterator

_CAN_NOTE = hasattr(faulthandler, "register")


class ForeignSignals:
    """Records each signal that the kernel delivers while the body of a ``with noting():`` statement runs."""

    def __init__(self, signum: int) -> None:
        self._signum = signum
        self._notes = tempfile.TemporaryFile()

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Record signals from the kernel; handlers run as usual."""
        if not _CAN_NOTE:
            yield
            return
        faulthandler.register(self._signum, self._notes, all_threads=False, chain=True)
        try:
            yield
        finally:
            faulthandler.unregister(self._signum)

    def came(self) -> bool:
        """Return whether the kernel delivered a signal since the last call."""
        descriptor = self._notes.fileno()
        came = os.fstat(descriptor).st_size > 0
        if came:
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
        return came

    def close(self) -> None:
        """Close the file that signals are recorded in."""
        self._notes.close()
