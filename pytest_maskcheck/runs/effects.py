"""Effects: what a run does outside its own process. Runs with effects cannot share their beginning, as snapshots do.

CPython's audit events announce files that are written, created or removed, sockets, children, threads and mappings. What has no
event is looked for in another way (:mod:`.fork_hazards`). Files that are only read do no harm, as a child gets file positions of
its own.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.resources.audit_events import listening
from pytest_maskcheck.system.unpatched import os

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_EVENTS = (
    "fcntl.fcntl",
    "fcntl.flock",
    "fcntl.ioctl",
    "fcntl.lockf",
    "mmap.__new__",
    "os.chflags",
    "os.chmod",
    "os.chown",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.killpg",
    "os.link",
    "os.lockf",
    "os.mkdir",
    "os.posix_spawn",
    "os.remove",
    "os.removexattr",
    "os.rename",
    "os.rmdir",
    "os.setxattr",
    "os.spawn",
    "os.symlink",
    "os.system",
    "os.truncate",
    "os.utime",
    "pty.spawn",
    "_posixshmem.shm_open",
    "_posixshmem.shm_unlink",
    "_thread.start_joinable_thread",
    "_thread.start_new_thread",
    "socket.__new__",
    "socket.connect",
    "socket.sendmsg",
    "socket.sendto",
    "sqlite3.connect",
    "subprocess.Popen",
    "syslog.openlog",
    "syslog.syslog",
)


def watching(effect: Callable[[str], object]) -> AbstractContextManager[None]:
    """Return a context manager within which ``effect`` is called with a description of each effect outside this process."""

    def hear(event: str, args: tuple[Any, ...]) -> None:
        effect(event + (f"({reprlib.repr(args[0])})" if args else ""))

    def hear_open(_: str, args: tuple[Any, ...]) -> None:
        path, _mode, flags = args
        if flags & _WRITES and path != os.devnull:
            effect(f"open({reprlib.repr(path)}) for writing")

    def hear_kill(event: str, args: tuple[Any, ...]) -> None:
        if args[0] != os.getpid():  # a signal to itself stays within the process
            hear(event, args)

    return listening({**dict.fromkeys(_EVENTS, hear), "open": hear_open, "os.kill": hear_kill})
