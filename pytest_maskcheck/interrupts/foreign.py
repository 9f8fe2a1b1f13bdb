"""Distinguishes a signal that somebody else sent from the one that a strike leaves pending.

Python keeps one flag for each signal: if the user presses Ctrl-C while a strike's signal is pending, one
``KeyboardInterrupt`` comes of both, and looks like the strike's. But a signal left pending by ``_thread.interrupt_main``
never came from the kernel. So ``faulthandler`` writes to a file, in C, when the kernel delivers a signal, and passes it on.

What does not work: once the code under test installs a handler itself, the kernel's signals leave no trace to the end of the run. Windows has no ``faulthandler.register``.
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
    """Keeps a note of each signal that the kernel delivers while the body of a ``with noting():`` runs."""

    def __init__(self, signum: int) -> None:
        self._signum = signum
        self._notes = tempfile.TemporaryFile()

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Keep notes of signals; handlers run as ever."""
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
        """Close the file."""
        self._notes.close()
