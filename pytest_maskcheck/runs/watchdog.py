"""Watch one forked process: whether it is alive, stopped or hung, and how it died.

Theory of operation. The child writes the number of its run and the time on a page of shared memory
(:class:`~pytest_maskcheck.system.stopwatch.Page`), which survives any death. The parent compares that with a limit whenever it wakes up.
A child that hangs gets a SIGABRT first, so that faulthandler writes its stack into a file that the parent opened before the fork.

Rules:

1. Only the test's own time counts. While the audit looks at what a run left, the clock of the page stands still; such a look has a
   limit of its own.
2. A child that the terminal stopped has used the terminal in a way that the audit cannot allow (:mod:`.foreground`).
   A child that is stopped otherwise is waited for like any other: somebody may continue it.
3. Time in which this process itself did not run (Ctrl-Z) is not counted against the child.

What does not work: a child that blocks SIGABRT dies without a stack.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from pytest_maskcheck.results import Frame
from pytest_maskcheck.system import descendants, foreground, proc
from pytest_maskcheck.system.stopwatch import LOOK, Page, beat
from pytest_maskcheck.system.unpatched import os, select, signal, time

if TYPE_CHECKING:
    from collections.abc import Callable

GRACE = 1.0
"""Seconds that a hung child gets to write its stack."""

LOOKS = 0.25
"""Seconds after which a process that waits for a child checks whether the child is alive."""

_STOPS: int = getattr(os, "WUNTRACED", 0) | getattr(os, "WCONTINUED", 0)
_USES = {
    "SIGTTIN": "it reads from the terminal, which would wait for the user in each run",
    "SIGTTOU": "it changes the terminal with SIGTTOU handled by default, in the background",
}


@dataclass(frozen=True, slots=True)
class Death:
    """How a child ended before it had sent all its results.

    Parameters:
        how: ``hang``, ``crash``, ``terminal`` (it used the terminal) or ``look`` (the audit's own look at it took too long).
        detail: in words, such as ``killed by SIGSEGV``.
        stack: where its main thread was, innermost last, as far as known.
    """

    how: str
    detail: str
    stack: tuple[Frame, ...]


class Watchdog:
    """Watches one child of this process.

    Parameters:
        page: where the child writes its run and time.
        report: the file to which faulthandler writes the stack of the child.

    Attributes:
        pid: that of the child, 0 before the fork.
        stopped: the signal that stopped the child, 0 while it runs.
    """

    def __init__(self, page: Page, report: IO[bytes]) -> None:
        self.pid = 0
        self.stopped = 0
        self._page = page
        self._report = report
        self._status: int | None = None
        self._hung = 0.0
        self._lost = 0.0

    @property
    def is_reaped(self) -> bool:
        """Whether the child was waited for: its pid may be another process by now."""
        return self._status is not None

    def is_gone(self) -> bool:
        """Return whether the child has ended; record whether it is stopped."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG | _STOPS)
            if pid and os.WIFSTOPPED(status):
                self.stopped = os.WSTOPSIG(status)
            elif pid and os.WIFCONTINUED(status):
                self.stopped = 0
            elif pid:
                self._status = status
        return self._status is not None

    def remaining(self, limit: float) -> float:
        """Return the seconds that are left for what the child is doing."""
        return self._page.remaining(limit + self._lost)

    def note_hang(self) -> None:
        """Record that the child's time is up."""
        self._hung = self._page.seconds()

    def wait_for_data(self, descriptor: int, seconds: float) -> bool:
        """Wait at most ``seconds`` until the child has written to the pipe; return whether it has."""
        began = time.perf_counter()
        readable = wait_readable(descriptor, seconds)
        late = time.perf_counter() - began - seconds
        if late > LOOKS:  # this process was stopped, as by Ctrl-Z, and the child may have been
            self._lost += late
        return readable

    def death(self, name: Callable[[str], str]) -> Death:
        """Return how the child died; end it first if it hangs or is stopped.

        Parameters:
            name: shortens the names of files.
        """
        if self._status is None and self.stopped in foreground.STOPS:
            return Death("terminal", _USES[signal.Signals(self.stopped).name], self._stack(name))
        if not self._hung:
            self._wait(GRACE)
            status = os.waitstatus_to_exitcode(self._status) if self._status is not None else 0
            return Death("crash", ending(status), stack_of(self._report, name) if status < 0 else ())
        if self._page.looks:
            return Death("look", f"the audit's own look at what a run left took longer than {LOOK:.0f} s", ())
        detail = f"no end after {self._hung:.1f} s"
        if self.stopped:
            detail += f", stopped by {_name_of(self.stopped)}"
        elif stopped := [each.pid for each in descendants.below(self.pid) if proc.is_stopped(each.pid)]:
            detail += f", as its child {proc.program_of(stopped[0])} is stopped"
            # Where there is a terminal, that is the likeliest reason to be stopped.
            if foreground.settings() is not None:
                return Death("terminal", f"{detail}: it uses the terminal, or waits to be continued", self._stack(name))
        return Death("hang", detail, self._stack(name))

    def _stack(self, name: Callable[[str], str]) -> tuple[Frame, ...]:
        """End the child; return where it was."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGABRT)  # faulthandler writes the stack
            os.kill(self.pid, signal.SIGCONT)  # a stopped child gets the signal only when it is continued
        self._wait(GRACE)
        return stack_of(self._report, name)

    def _wait(self, seconds: float) -> None:
        until = time.perf_counter() + seconds
        while not self.is_gone() and time.perf_counter() < until:
            time.sleep(0.005)


class OrphanWatchdog(Watchdog):
    """Watches a process that is no child of this one, and so cannot be waited for."""

    def is_gone(self) -> bool:
        """Return whether the process has ended; record whether it is stopped."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        self.stopped = int(signal.SIGSTOP) if proc.is_stopped(self.pid) else 0
        return self.pid == 0  # 0: the second fork failed, and kill(0, 0) checked this process's own group


def wait_readable(descriptor: int, seconds: float) -> bool:
    """Wait at most ``seconds`` until a child has written to the pipe; return whether it has.

    This calls ``poll``, as ``select.select`` takes no descriptors from 1,024 on.
    """
    beat()  # here, where every wait begins: a process that is stopped is continued only if its page shows that it waits
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def ending(status: int) -> str:
    """Return in words how a process ended: by an exit status or, below 0, by a signal."""
    return f"the process exited with status {status}" if status >= 0 else f"killed by {_name_of(-status)}"


def _name_of(signum: int) -> str:
    with suppress(ValueError):
        return signal.Signals(signum).name
    return f"signal {signum}"


def stack_of(report: IO[bytes], name: Callable[[str], str]) -> tuple[Frame, ...]:
    """Return the stack of the main thread that faulthandler wrote."""
    report.seek(0)
    text = report.read().decode(errors="replace")
    stacks = re.split(r"^(?:Current thread|Thread) .*$", text, flags=re.MULTILINE)
    if len(stacks) < 2:
        return ()
    # The main thread comes last, and its innermost frame first.
    lines = re.findall(r'^  File "(.*)", line (\d+) in (.*)$', stacks[-1], re.MULTILINE)
    return tuple(Frame(name(path), int(line), function, path) for path, line, function in reversed(lines))
