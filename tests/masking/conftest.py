"""What the tests of masks share: handlers that note what they are called for, programs of their own, and a check of what each test left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from types import FrameType

import pytest

from pytest_maskcheck import masking

Program = Callable[..., "subprocess.CompletedProcess[str]"]
"""``program(source)``: run it in a process of its own."""

CATCHABLE = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
NOTED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGRTMIN)


def state() -> dict[str, object]:
    """What masks change while they are in force."""
    return {
        "handlers": {int(signum): signal.getsignal(signum) for signum in CATCHABLE},
        "mask of the kernel": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "masks": [*masking._stack],
        "nested masks": [*masking._nested],
        "pending": masking.pending_signals(),
        "tasks in a shield": (masking._Share._hold, masking._Share._count),
    }


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Fail a test that leaves a handler, a mask, a counter or a signal behind; the next one begins clean."""
    before = state()
    yield
    after = state()
    if after != before:
        signal.pthread_sigmask(signal.SIG_SETMASK, before["mask of the kernel"])  # type: ignore[arg-type]
        for signum, handler in before["handlers"].items():  # type: ignore[attr-defined]
            signal.signal(signum, handler)
        masking._stack.clear()
        masking._nested.clear()
        masking._queue.clear()
        masking._Share._hold, masking._Share._count = None, 0
    assert after == before


class Handlers:
    """Handlers in Python of several signals, which note each arrival."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        """The signals whose handlers were called, in that order."""
        self.raising: dict[int, BaseException] = {}
        """What they raise then."""
        self.also: Callable[[], object] = lambda: None
        """What they do beside."""

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        self.calls.append(signum)
        self.also()
        if signum in self.raising:
            raise self.raising[signum]


@pytest.fixture
def handlers() -> Iterator[Handlers]:
    """One handler of SIGINT, SIGTERM, SIGUSR1, SIGUSR2 and a real-time signal."""
    handlers = Handlers()
    before = {signum: signal.signal(signum, handlers) for signum in NOTED}
    yield handlers
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.fixture(params=["raise_signal", "kill", "other thread"])
def send(request: pytest.FixtureRequest) -> Callable[[int], None]:
    """Three ways in which a signal arrives at this process."""
    if request.param == "raise_signal":
        return signal.raise_signal
    if request.param == "kill":
        return lambda signum: os.kill(os.getpid(), signum)

    def send(signum: int) -> None:
        thread = threading.Thread(target=signal.raise_signal, args=(signum,))
        thread.start()
        thread.join()

    return send


@pytest.fixture
def program() -> Program:
    """Run a program with this package in a process of its own; its output is text."""

    def program(source: str, *options: str) -> subprocess.CompletedProcess[str]:
        root = Path(masking.__file__).parents[1]
        return subprocess.run(
            [sys.executable, *options, "-c", dedent(source)],
            env={**os.environ, "PYTHONPATH": str(root)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return program
