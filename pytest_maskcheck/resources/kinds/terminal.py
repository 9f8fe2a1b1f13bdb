"""The terminal: its settings, the modes that output has switched on, and curses.

While pytest captures output, the code under test writes to files or buffers. What it writes during a run is searched for the escape
sequences that switch modes of a terminal on and off.

If pytest is in the background, other programs use the terminal, and its settings are not compared.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.process_state import ProcessState
from pytest_maskcheck.resources.surroundings import Surroundings
from pytest_maskcheck.system.foreground import TERMINAL, is_others
from pytest_maskcheck.system.unpatched import io, os
from pytest_maskcheck.system.untrusted import attempt, is_a

_STANDARD = (0, 1, 2)
_OUTPUT = (1, 2)
_UNINTERRUPTED = 2  # how many runs after ``prepare`` are not interrupted
_SEQUENCE = re.compile(rb"\x1b\[\?([\d;]+)([hl])|\x1b(c)")
_MODES = {
    **dict.fromkeys((b"47", b"1047", b"1049"), "alternate screen"),
    **dict.fromkeys((b"9", b"1000", b"1001", b"1002", b"1003"), "mouse reporting"),
    b"1004": "focus reporting",
    b"2004": "bracketed paste",
    b"1": "application cursor keys",
    b"25": "hidden cursor",
}
_module = sys.modules.get
HAS_BLOCKING = hasattr(os, "get_blocking")


_Blocking = tuple["bool | None", ...]


@dataclass(slots=True, frozen=True)
class _Output:
    """Where the output of a run begins: positions in files, lengths of the buffers of ``sys.stdout`` and ``sys.stderr``."""

    files: tuple[int, ...]
    buffers: tuple[tuple[io.BytesIO, int], ...]


_Reading = tuple[_Blocking, "dict[str, Any] | None", bool, "_Output | None"]


class Terminal(ProcessState[_Reading]):
    """Settings of the terminal, modes that output has switched on, curses, non-blocking standard descriptors.

    Output is searched only if one of the first runs, which are not interrupted, switches modes.
    """

    name = "terminal"
    available = HAS_BLOCKING
    repeatable = False  # ``compare`` must be called after each of the first runs, to search their output
    outlives = True

    def __init__(self, surroundings: Surroundings | None = None) -> None:
        super().__init__(surroundings)
        self.switches = False
        self._unsure = 0
        self._terminals: tuple[str, ...] = _NAMES

    def prepare(self) -> None:
        self._unsure = _UNINTERRUPTED
        self._terminals = _NAMES if _module("termios") is None else tuple(_settings(_NAMES))

    def compare(self, before: object) -> list[Leftover]:
        if self._unsure:
            self._unsure -= 1
            output = cast("_Reading", before)[3]
            self.switches = self.switches or (output is not None and any(map(_SEQUENCE.search, _texts(output))))
        return super().compare(before)

    def read(self) -> _Reading:
        try:
            blocking: _Blocking = (os.get_blocking(0), os.get_blocking(1), os.get_blocking(2))
        except OSError:
            blocking = tuple(map(_blocking, _STANDARD))
        settings = None if _module("termios") is None else _settings(self._terminals)
        return (
            blocking,
            settings,
            _module("_curses") is None or _ended(),
            _output() if self.switches or self._unsure else None,
        )

    def differences(self, before: _Reading, now: _Reading) -> Iterator[Leftover]:
        for fd, was, blocks in zip(_STANDARD, before[0], now[0], strict=True):
            if was is not None and blocks is not None and was != blocks:
                detail = f"descriptor {fd} is {'' if blocks else 'non-'}blocking now"
                yield self.altered(f"blocking {fd}", detail, fd, was)
        there = now[1] or {}
        for name, settings in (before[1] or {}).items():
            if name in there and there[name] != settings:
                yield self.altered("settings", f"the settings of the terminal ({name}) changed", name, settings)
        if before[2] and not now[2]:
            yield self.altered("curses", "curses was started and not ended (curses.endwin)", "curses", None)
        for mode in sorted(_left_on(before[3])) if before[3] else ():
            yield self.altered(mode, f"{mode} was switched on in the output and not off again", mode, None)

    def put_back(self, of: Hashable, value: object) -> None:
        if isinstance(of, int):
            os.set_blocking(of, cast("bool", value))
        elif of == "curses":
            cast("Any", _module("_curses")).endwin()
        elif cast("str", of) in _MODES.values():
            msg = "output cannot be taken back"
            raise ValueError(msg)
        else:
            termios: Any = _module("termios")
            with _opened(cast("str", of)) as fd:
                termios.tcsetattr(fd, termios.TCSANOW, value)

    @contextmanager
    def canary(self) -> Iterator[None]:
        fd = next(fd for fd in _STANDARD if _blocking(fd) is not None)
        old = _blocking(fd)
        os.set_blocking(fd, not old)
        try:
            yield
        finally:
            os.set_blocking(fd, bool(old))


def _blocking(fd: int) -> bool | None:
    try:
        return os.get_blocking(fd)
    except OSError:
        return None


_NAMES = (TERMINAL, *map(str, _STANDARD))


def _settings(names: tuple[str, ...]) -> dict[str, Any]:
    """Return the settings of the terminals among the standard descriptors and the controlling terminal."""
    termios: Any = _module("termios")
    found: dict[str, Any] = {}
    for name in names:
        with suppress(OSError, termios.error), _opened(name) as fd:
            if os.isatty(fd) and not is_others(fd):
                found[name] = termios.tcgetattr(fd)
    return found


@contextmanager
def _opened(name: str) -> Iterator[int]:
    if name != TERMINAL:
        yield int(name)
        return
    fd = os.open(TERMINAL, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        yield fd
    finally:
        os.close(fd)


def _ended() -> bool:
    """Return whether curses is not running: it was never started, or was ended."""
    curses: Any = _module("_curses")
    try:
        return bool(curses.isendwin())
    except curses.error:
        return True


def _output() -> _Output:
    # Only position and length are recorded here; the text is read only if it is needed.
    streams = (vars(sys).get(name) for name in ("stdout", "stderr"))
    # A test may put anything there.
    buffers = (attempt(partial(getattr, stream, "buffer", None), None) for stream in streams)
    lengths = ((each, each.tell()) for each in buffers if is_a(each, io.BytesIO) and not each.closed)
    return _Output(tuple(map(_position, _OUTPUT)), tuple(lengths))


def _position(fd: int) -> int:
    try:
        return os.lseek(fd, 0, os.SEEK_CUR)
    except OSError:
        return -1


def _texts(output: _Output) -> list[bytes]:
    """Return what was written since ``output`` was recorded."""
    texts = [_from_file(fd, start) for fd, start in zip(_OUTPUT, output.files, strict=True) if start >= 0]
    return texts + [each.getvalue()[_start(at, each.tell()) :] for each, at in output.buffers if not each.closed]


def _left_on(output: _Output) -> set[str]:
    """Return the modes left on by what was written since ``output`` was recorded."""
    return {mode for text in _texts(output) for mode in _modes(text)}


def _start(before: int, now: int) -> int:
    """Return where to begin to read: at the start if the file or buffer was emptied since."""
    return before if before <= now else 0


def _from_file(fd: int, before: int) -> bytes:
    now = _position(fd)
    start = _start(before, now)
    if now <= start:
        return b""
    with suppress(OSError):
        return os.pread(fd, now - start, start)
    return b""


def _modes(text: bytes) -> set[str]:
    # A run may switch a mode on and off again: only its state at the end counts.
    on: set[str] = set()
    for numbers, action, reset in _SEQUENCE.findall(text):
        if reset:
            on.clear()
        for number in numbers.split(b";"):
            mode = _MODES.get(number)
            if mode is None:
                continue
            # Mode 25 shows the cursor, so "hidden cursor" is on while mode 25 is off.
            if (action == b"h") == (number != b"25"):
                on.add(mode)
            else:
                on.discard(mode)
    return on
