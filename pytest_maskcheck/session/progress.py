"""The progress of an audit: one line on a terminal, or now and then a line of a log.

The line on a terminal is drawn below the cursor, and the cursor keeps its place, so whatever is written next appears where it would
without the line. That needs the control sequences of the VT100, which all terminals have, and a terminal that nobody else writes to: if
the reporter is not pytest's own, or the output of a test may get there, nothing is shown.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from pytest_maskcheck.audit.snapshots import Struck
from pytest_maskcheck.audit.stage import Stage
from pytest_maskcheck.points.plan import Plan
from pytest_maskcheck.reasons import count
from pytest_maskcheck.results import PointResult
from pytest_maskcheck.system.unpatched import os, time

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

REDRAWN = 0.1
"""Seconds from one drawing of the line to the next, and before the first."""

LOGGED = 10.0
"""Seconds from one line of a log to the next, and before the first."""

_RECENT = 5.0
"""Seconds over which the rate is measured: points near the end of a long test take longer than those at its start."""

_FINDING, _AUDITING = "finding points", "auditing"
"""What is being done, besides the stages that an audit announces."""

_BELOW = "\x1bD\x1b[A\x1b7\x1b[B\r\x1b[K"
"""Make sure that there is a line below, save the cursor, go to that line and clear it."""

_BACK = "\x1b8"
"""Restore the cursor."""

_LEAST = 20
"""Width of a terminal, in columns, below which nothing is shown."""


class Progress:
    """Shows how far the audits of a session have come, according to their messages.

    Parameters:
        config: that of the session.
        clock: returns the time in seconds.

    Attributes:
        wanted: how many tests the session audits; 0 if that is not known.
        ended: how many of them it is done with.
    """

    def __init__(self, config: pytest.Config, clock: Callable[[], float] = time.perf_counter) -> None:
        self._config = config
        self._clock = clock
        self._logged = clock()
        self.wanted = 0
        self.ended = 0
        self._way = ""
        self._drawn = False

    def begin(self, test: str, *, here: bool, deadline: float = float("inf")) -> None:
        """Begin to show the audit of a test.

        Parameters:
            test: its node id.
            here: its runs are made in this process.
            deadline: when the time budget ends, by the clock.
        """
        self._way = _way(self._config, here=here)
        self._test = test
        self._deadline = deadline
        self._total = 0
        self._doing = _FINDING
        self._done: set[str] = set()
        self._defects: set[object] = set()
        self._began = self._shown = self._clock()
        self._recent = deque([(self._began, 0)])

    def take(self, message: object) -> None:
        """Take one message of the audit, and show how far it has come, if that is due."""
        match message:
            case Plan():
                self._total += len(message.points)
                self._doing = _AUDITING
            case Struck():
                self._done.add(message.point)
            case Stage():
                self._doing = message.value
            case PointResult():
                self._doing = _AUDITING
                self._done.add(message.point)
                self._defects.update(finding.identity for finding in message.findings if finding.fails)
        now = self._clock()
        if self._way == "line" and now - self._shown >= REDRAWN:
            self._shown = now
            self._draw(self._text(now))
        elif self._way == "log" and now - max(self._logged, self._began) >= LOGGED:
            self._logged = now
            reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
            with self._to_the_user():
                before, after = self._text(now)
                reporter.write_line(f"{before}{self._test}{after}")
                reporter.flush()

    def end(self) -> None:
        """Remove the line."""
        if self._drawn:
            with self._to_the_user():
                self._write(_BELOW + _BACK)
            self._drawn = False
        self._way = ""

    def _text(self, now: float) -> tuple[str, str]:
        """Return what stands before and after the name of the test: how far the session has come, and what is being done."""
        before = f"maskcheck: {self._share()}"
        if not self._total:
            return before, f": {self._doing}"
        done = len(self._done)
        parts = [f": {self._doing}, {done}/{count(self._total, 'point')}", count(len(self._defects), "defect")]
        rate = round(self._rate(now, done), 1)
        if rate and done < self._total:
            parts.append(f"{_duration(min((self._total - done) / rate, self._deadline - now))} left")
        return before, ", ".join(parts)

    def _share(self) -> str:
        """Return the part of the session's tests that is done, with the part of this test's points, as pytest shows it."""
        if not self.wanted:
            return ""
        points = len(self._done) / self._total if self._total else 0.0
        return f"[{min(100.0, 100 * (self.ended + points) / self.wanted):3.0f}%] "

    def _rate(self, now: float, done: int) -> float:
        """Return the points per second over the last :data:`_RECENT` seconds."""
        since, before = self._recent[0]
        self._recent.append((now, done))
        while self._recent[1][0] <= now - _RECENT:
            self._recent.popleft()
        return (done - before) / (now - since) if now > since else 0.0

    def _draw(self, text: tuple[str, str]) -> None:
        """Show a line, unless there is no room for it, or the cursor is past the last column, where terminals differ.

        Of a name that is too long the end is shown, which tells tests of one file apart.
        """
        with self._to_the_user():
            columns, rows = _size()
            if columns < _LEAST or rows < 2 or self._hangs(columns):
                return
            self._drawn = True
            before, after = text
            name, room = self._test, columns - 1 - len(before) - len(after)
            if len(name) > room:
                name = f"...{name[3 - room :]}" if room > len("...") else ""
            shown = f"{before}{name}{after}".encode("ascii", "replace").decode("ascii")  # characters of one column each
            self._write(_BELOW + shown[: columns - 1] + _BACK)

    def _hangs(self, columns: int) -> bool:
        """Return whether the cursor is past the last column, about to wrap."""
        width = self._config.get_terminal_writer().width_of_current_line
        return width > 0 and width % columns == 0

    def _write(self, text: str) -> None:
        self._config.get_terminal_writer().write_raw(text, flush=True)

    def _to_the_user(self) -> AbstractContextManager[None]:
        """Return a context in which output is not captured."""
        capture: Any = self._config.pluginmanager.get_plugin("capturemanager")
        disabled: AbstractContextManager[None] = capture.global_and_fixture_disabled() if capture else nullcontext()
        return disabled


def _way(config: pytest.Config, *, here: bool) -> str:
    """Return how progress is shown: as a ``line``, in a ``log``, or not at all (``""``)."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    kind: type = type(reporter)  # the reporters of other plugins have classes of their own, derived or not
    if hasattr(config, "workerinput") or not isinstance(reporter, pytest.TerminalReporter):
        return ""
    if not bool(reporter.isatty) or _on_ci() or os.environ.get("TERM", "dumb") == "dumb":
        return "log" if config.get_verbosity() >= 0 else ""
    alone = kind is pytest.TerminalReporter and os.name == "posix"
    debugged = config.getoption("usepdb", False) or config.getoption("trace", False)
    captured = config.getoption("capture", "no") in ({"fd"} if here else {"fd", "no"})
    return "line" if alone and captured and not debugged else ""


def _on_ci() -> bool:
    """Return whether this is a CI system, by the variables that pytest reads."""
    return any(os.environ.get(name) for name in ("CI", "BUILD_NUMBER"))


def _size() -> tuple[int, int]:
    """Return columns and rows of the terminal; 0 where there is none."""
    try:
        return os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else 1)
    except (OSError, ValueError):
        return 0, 0


def _duration(seconds: float) -> str:
    """Return a duration in words, such as ``3 min 20 s``."""
    whole = max(0, math.ceil(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
