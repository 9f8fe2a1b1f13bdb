"""Which processes are present: each holds locks on files of its own as long as it lives.

These are POSIX record locks. They belong to one process: forked children neither inherit nor release them, and they end with the
process, however that ends. If a process opened its own file a second time, it would release the lock by closing the file; so no process
checks its own locks.
"""

from __future__ import annotations

from contextlib import suppress

from pytest_maskcheck.system.unpatched import fcntl, os

_SESSION = "session"


class Attendance:
    """The locks of one process, and a view of those of the others.

    Parameters:
        path: the directory of the lock files.
        name: the name of this process.
    """

    def __init__(self, path: str, name: str) -> None:
        self._path = path
        self._name = name
        self._locks: dict[str, int] = {}

    def open_session(self) -> None:
        """Announce that the session is open, until this process closes it or ends.

        Raises:
            OSError: no lock can be taken.
        """
        self._hold(_SESSION)

    def close_session(self) -> None:
        """Announce that the session has ended."""
        self._release(_SESSION)

    def attend(self) -> None:
        """Announce that this process is present and runs tests.

        Raises:
            OSError: the directory is gone.
        """
        self._hold(f"{self._name}.alive")
        self._hold(f"{self._name}.runs")

    def rest(self) -> None:
        """Announce that this process has no more tests to run."""
        self._release(f"{self._name}.runs")

    def leave(self) -> None:
        """Announce that this process leaves."""
        self.rest()
        self._release(f"{self._name}.alive")

    def is_open(self) -> bool:
        """Return whether the session is open."""
        return self._is_held(_SESSION)

    def lives(self, name: str) -> bool:
        """Return whether another process is still present."""
        return self._is_held(f"{name}.alive")

    def others_run(self) -> bool:
        """Return whether any other process has tests to run."""
        with suppress(OSError):
            for entry in os.listdir(self._path):
                if entry.endswith(".runs") and entry != f"{self._name}.runs" and self._is_held(entry):
                    return True
        return False

    def _hold(self, name: str) -> None:
        descriptor = os.open(os.path.join(self._path, name), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        self._locks[name] = descriptor

    def _release(self, name: str) -> None:
        descriptor = self._locks.pop(name, None)
        if descriptor is not None:
            os.close(descriptor)

    def _is_held(self, name: str) -> bool:
        """Return whether another process holds a lock."""
        try:
            descriptor = os.open(os.path.join(self._path, name), os.O_RDWR)
        except OSError:
            return False
        try:
            # A shared lock, as several processes may check at once: each of them must get the lock if the holder is gone.
            fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        else:
            return False
        finally:
            os.close(descriptor)
