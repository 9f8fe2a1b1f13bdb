"""Fixtures shared by the tests of masks: handlers that record their calls, programs in processes of their own, and a check for leftovers."""

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
"""``program(source)`` runs a source in a process of its own."""

CATCHABLE = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
NOTED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGRTMIN)


def state() -> dict[str, object]:
    """Return the state that masks change while they are in force."""
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
    """Fail a test that leaves a handler, a mask, a counter or a signal behind, and clean up for the next one."""
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
    """A handler in Python for several signals, which records each call."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        """The signals it was called for, in order."""
        self.raising: dict[int, BaseException] = {}
        """The exceptions that it raises, by signal."""
        self.also: Callable[[], object] = lambda: None
        """A function that it also calls."""

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        self.calls.append(signum)
        self.also()
        if signum in self.raising:
            raise self.raising[signum]


@pytest.fixture
def handlers() -> Iterator[Handlers]:
    """Yield one handler that is installed for SIGINT, SIGTERM, SIGUSR1, SIGUSR2 and a real-time signal."""
    handlers = Handlers()
    before = {signum: signal.signal(signum, handlers) for signum in NOTED}
    yield handlers
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.fixture(params=["raise_signal", "kill", "other thread"])
def send(request: pytest.FixtureRequest) -> Callable[[int], None]:
    """Return a function that sends this process a signal, in one of three ways."""
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
    """Return a function that runs a program with this package in a process of its own, with text as output."""

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
