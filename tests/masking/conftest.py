"""Fixtures shared by the tests of masks: handlers that record their calls, programs in processes of their own, and a check for leftovers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from textwrap import dedent
from types import FrameType
from typing import Any, Self

import pytest

from pytest_maskcheck import masking
from pytest_maskcheck.masking import bracket, shield

Program = Callable[..., "subprocess.CompletedProcess[str]"]
"""``program(source)`` runs a source in a process of its own."""

CATCHABLE = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGRTMIN)
"""The signals that handlers of these tests are installed for."""

WHOLE = ["entering", "entered", "leaving", "left"]
"""The events of a manager that was entered and left."""


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


class Stop(BaseException):
    """The exception that a handler of these tests raises."""


def in_thread(function: Callable[[], object]) -> BaseException | None:
    """Call ``function`` in another thread; return what it raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised[0] if raised else None


def chain(error: BaseException | None) -> list[BaseException]:
    """Return the error and its chain of contexts."""
    found = []
    while error is not None:
        found.append(error)
        error = error.__context__
    return found


def checkpoint() -> None:
    """Do nothing: CPython checks for signals as a Python function is entered."""


class Manager:
    """A context manager that records events and calls the given functions."""

    def __init__(self, *, enter: Callable[[], Any] = checkpoint, leave: Callable[[], object] = checkpoint) -> None:
        self.events: list[str] = []
        self.details: list[tuple[Any, ...]] = []
        self.enter, self.leave = enter, leave

    def __enter__(self) -> Self:
        self.events.append("entering")
        self.enter()
        checkpoint()
        self.events.append("entered")
        return self

    def __exit__(self, *details: object) -> object:
        self.events.append("leaving")
        self.details.append(details)
        answer = self.leave()
        checkpoint()
        self.events.append("left")
        return answer


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
    before = {signum: signal.signal(signum, handlers) for signum in ALL}
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


def by_shield(manager: Manager) -> AbstractContextManager[Manager]:
    return shield(lambda: manager)


def by_bracket(manager: Manager) -> AbstractContextManager[Manager]:
    return bracket(manager.__enter__, lambda value: manager.__exit__())


@pytest.fixture(params=[by_shield, by_bracket])
def guard(request: pytest.FixtureRequest) -> Callable[[Manager], AbstractContextManager[Manager]]:
    """Return a function that makes a shield or a bracket around a manager."""
    return request.param
