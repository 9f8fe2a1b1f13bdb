"""What docs/interrupt-safe-python.md says of ``with open(path)``."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.newest,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts descriptors in /proc"),
]

_NUMBER = 300


@contextmanager
def _no_collector() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _interrupted(function: Callable[[], object], number: int) -> list[KeyboardInterrupt]:
    """Call a function again and again until so many real signals have interrupted it; return the exceptions, with their tracebacks."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    kept: list[KeyboardInterrupt] = []
    turn = 0
    try:
        while len(kept) < number:
            turn += 1
            try:
                signal.setitimer(signal.ITIMER_REAL, 2e-5 + turn % 97 * 4e-7)
                while True:
                    function()
            except KeyboardInterrupt as interrupt:
                kept.append(interrupt)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return kept


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_with_open_loses_no_file(tmp_path: Path) -> None:
    """Without the garbage collector, and with all tracebacks kept, each file is closed as unwinding drops its only reference."""
    path = str(tmp_path / "file")
    Path(path).touch()

    def use() -> None:
        with open(path) as file:
            file.fileno()

    before = _descriptors()
    with _no_collector():
        kept = _interrupted(use, _NUMBER)
        assert len(kept) == _NUMBER
        assert _descriptors() == before


def test_a_kept_traceback_keeps_a_variable(tmp_path: Path) -> None:
    """The same with a file that is bound to a variable and not closed: its frame, and so the traceback, keeps it open."""
    path = str(tmp_path / "file")
    Path(path).touch()

    def use() -> None:
        file = open(path)
        while not file.closed:
            pass

    before = _descriptors()
    with _no_collector():
        kept = _interrupted(use, 20)
        assert _descriptors() > before + 10
        kept.clear()
        assert _descriptors() == before
