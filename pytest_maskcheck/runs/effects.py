"""What a run does outside its own process: such runs cannot share their beginning, as snapshots do.

Two ways to see it. While an uninterrupted run is watched, CPython's audit events tell of files that are written, created or
removed, of sockets, children, threads and mappings. What no event tells (pipes, timers, shared semaphores, threads up to 3.11) is looked for at each
point before the process forks there. Files that are only read do no harm: a child gets a position of its own in them.
"""

from __future__ import annotations

import _thread
import reprlib
import stat
import sys
import termios
from collections.abc import Callable
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_maskcheck.resources.audit_events import listening
from pytest_maskcheck.system.descendants import processes
from pytest_maskcheck.system.unpatched import io, os, signal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

_FDS = "/proc/self/fd"
HAS_PROC = sys.platform == "linux" and os.path.isdir(_FDS) and os.path.exists("/proc/self/maps")
"""Whether this system tells what a process has open."""

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
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


def watching(heard: Callable[[str], object]) -> AbstractContextManager[None]:
    """Call ``heard`` with what is done outside this process, in words."""

    def hear(event: str, args: tuple[Any, ...]) -> None:
        heard(event + (f"({reprlib.repr(args[0])})" if args else ""))

    def hear_open(_: str, args: tuple[Any, ...]) -> None:
        path, _mode, flags = args
        if flags & _WRITES and path != os.devnull:
            heard(f"open({reprlib.repr(path)}) for writing")

    def hear_kill(event: str, args: tuple[Any, ...]) -> None:
        if args[0] != os.getpid():
            hear(event, args)

    return listening({**dict.fromkeys(_EVENTS, hear), "open": hear_open, "os.kill": hear_kill})


def descriptors() -> frozenset[int]:
    """Return the open descriptors, without the one by which they are listed."""
    return frozenset(filter(_is_open, map(int, os.listdir(_FDS)))) if HAS_PROC else frozenset()


class ForkHazards:
    """What a process shares with others, compared with what it shared at the beginning."""

    def __init__(self) -> None:
        """Look for the first time."""
        self._before = descriptors()
        self._count = os.stat(_FDS).st_size
        self._threads = _thread._count()  # noqa: SLF001
        self._terminal = _terminal()

    def reason(self) -> str:
        """Return what a fork would share, or lose, that was not there at the beginning; ``""`` if there is nothing."""
        if _thread._count() != self._threads:  # noqa: SLF001
            return "another thread is running"
        if any(signal.getitimer(timer) != (0.0, 0.0) for timer in _TIMERS):
            return "a timer is running"
        if signal.sigpending():
            return "a signal is pending"
        if self._terminal != _terminal():
            return "the mode of a standard stream differs"
        if memory := shared_memory():
            return memory
        return next(filter(None, map(shared, self.new())), "")

    def new(self) -> list[int]:
        """Return the descriptors that were opened since the beginning."""
        if self._count and os.stat(_FDS).st_size == self._count:
            return []
        return list(descriptors() - self._before)

    def own_positions(self) -> None:
        """Give this process, a child, a position of its own in each file that it shares with its parent."""
        for fd in self.new():
            with suppress(OSError):
                own = os.open(f"{_FDS}/{fd}", os.O_RDONLY)
                os.lseek(own, os.lseek(fd, 0, os.SEEK_CUR), os.SEEK_SET)
                os.dup2(own, fd, inheritable=os.get_inheritable(fd))
                os.close(own)


class Opened:
    """What this process shares with others since this was made: what a fixture opened.

    Parameters:
        numbered: the directory in which pytest numbers directories of its own, ``""`` if there is none yet.
    """

    _watching: ClassVar[list[Opened]] = []
    """Those whose fixtures are being set up, the innermost last."""

    def __init__(self, numbered: Callable[[], str] = lambda: "") -> None:
        self._descriptors = descriptors()
        self._processes = processes()
        self._memory = shared_memory() if HAS_PROC else ""
        self._numbered = numbered
        self._made: list[tuple[str, Any]] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note which names are made up while the fixture is set up; those of a fixture within it are not its own."""
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
        """Return the descriptors that are open since, of what is shared."""
        new = descriptors() - self._descriptors if HAS_PROC else ()
        return frozenset(fd for fd in new if shared(fd))

    def shared(self) -> str:
        """Return what outlives a run and is seen by others than this process in words; ``""`` if there is nothing."""
        if found := self.descriptors():
            return shared(min(found))
        if children := processes() - self._processes:
            return f"child {min(child.pid for child in children)} is running"
        memory = shared_memory() if HAS_PROC else ""
        return memory if memory != self._memory else ""

    def is_fixed(self) -> bool:
        """Tell whether a file is among it that the fixture, set up again in another process, would open, too.

        Names that ``tempfile`` or ``tmp_path_factory`` made up during the set-up are others each time. What begins
        like such a name, or lies in a directory that was there before, is not.
        """
        own = tuple(map(self._made_up, self._made))
        places = filter(None, map(_place, self.descriptors()))
        return not all(
            any(place == each or place.startswith(each + os.sep) for each in own if each) for place in places
        )

    def _made_up(self, made: tuple[str, Any]) -> str:
        """Return a path as the kernel shows it, if another process would have made another one; else ``""``."""
        event, given = made
        path = os.path.realpath(os.fsdecode(given))
        if event != "os.mkdir":
            return path
        numbered = self._numbered()
        is_numbered = bool(numbered) and os.path.dirname(path) == os.path.realpath(numbered) and path[-1:].isdigit()
        return path if is_numbered else ""


def _place(fd: int) -> str:
    """Return the path of a regular file that is open; ``""`` if it is another thing, or removed."""
    path = os.readlink(f"{_FDS}/{fd}") if stat.S_ISREG(os.fstat(fd).st_mode) else ""
    return "" if path.endswith(" (deleted)") else path


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def shared(fd: int) -> str:
    """Return what is shared by way of a descriptor in words; ``""`` if it is a file that is only read, or closed."""
    try:
        if stat.S_ISREG(os.fstat(fd).st_mode) and _flags(fd) & os.O_ACCMODE == os.O_RDONLY:
            return ""
    except OSError:
        return ""
    target = os.readlink(f"{_FDS}/{fd}")
    return "" if target == os.devnull else f"descriptor {fd} is open: {target}"


def _flags(fd: int) -> int:
    """Return the flags with which a file was opened; ``fcntl`` would raise an audit event."""
    with io.open(f"/proc/self/fdinfo/{fd}", encoding="utf-8") as lines:
        return next(int(line.split()[1], 8) for line in lines if line.startswith("flags:"))


def _terminal() -> list[tuple[bool, object]]:
    """Return the state of standard input and output, which all processes share."""
    found: list[tuple[bool, object]] = []
    for fd in (0, 1, 2):
        with suppress(OSError):
            found.append((os.get_blocking(fd), termios.tcgetattr(fd) if os.isatty(fd) else None))
    return found


def shared_memory() -> str:
    """Return what memory is shared by name, as semaphores of ``multiprocessing`` are, in words; ``""`` if there is none."""
    if "_multiprocessing" not in sys.modules:
        return ""
    with io.open("/proc/self/maps", encoding="utf-8", errors="replace") as lines:
        shared = [line.split(maxsplit=5) for line in lines if " rw-s " in line]
    names = [words[5].strip() for words in shared if len(words) > 5 and not words[5].startswith("/dev/zero")]
    return f"memory is shared: {names[0]}" if names else ""
