"""Fixtures for the tests of the engines. The scope is the file of the function that is run."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType

import pytest

from pytest_maskcheck.interrupts import Engine, Hit, Mode, Recording, Strike, choose

Task = Callable[[], object]
Record = Callable[..., Recording]
Interrupt = Callable[..., "Interrupted"]


@dataclass
class Interrupted:
    """What became of a run with one interrupt."""

    strike: Strike
    error: BaseException | None
    struck: int
    scope: str

    @property
    def place(self) -> tuple[CodeType, int] | None:
        """The innermost instruction of the file under test that the exception passed through."""
        found = None
        trace = self.error.__traceback__ if self.error else None
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == self.scope:
                found = (trace.tb_frame.f_code, trace.tb_lasti)
            trace = trace.tb_next
        return found


@pytest.fixture
def engine() -> Engine:
    """Return the engine of this interpreter."""
    return choose()[0].engine


@pytest.fixture
def record(engine: Engine) -> Record:
    """Return a function that records a run of a task."""

    def record(task: Task, mode: Mode = "checkpoint") -> Recording:
        scope = task.__code__.co_filename  # type: ignore[attr-defined]
        with engine.record(lambda file: file == scope, mode) as recording:
            task()
        return recording

    return record


@pytest.fixture
def interrupt(engine: Engine) -> Interrupt:
    """Return a function that runs a task with an interrupt at a hit."""

    def interrupt(hit: Hit, task: Task, mode: Mode = "checkpoint", signum: int = signal.SIGINT) -> Interrupted:
        scope = task.__code__.co_filename  # type: ignore[attr-defined]
        calls: list[int] = []
        error: BaseException | None = None
        with engine.strike(hit.trigger, lambda file: file == scope, mode, signum, lambda: calls.append(1)) as strike:
            try:
                task()
                os.getpid()  # a checkpoint for a signal that is still pending
            except BaseException as raised:
                error = raised
        return Interrupted(strike, error, len(calls), scope)

    return interrupt


@pytest.fixture(autouse=True)
def _garbage_kept() -> Iterator[None]:
    """Keep finalizers of earlier tests' garbage from running in a recording, where they may take a probe; an audit freezes the heap, too."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _handlers_restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
