"""Pools of threads and processes that were not shut down: executors, multiprocessing's pools and managers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pytest_maskcheck.resources.heap import Family
from pytest_maskcheck.resources.kinds.process_locks import fork_context
from pytest_maskcheck.resources.open_objects import OpenObjects
from pytest_maskcheck.system.unpatched import os, signal, threading
from pytest_maskcheck.system.untrusted import attempt, has, name_of, read

_SECONDS = 1.0  # seconds that ``terminate`` and ``shutdown`` get before processes are killed
_KILLED = 0.5  # seconds that a killed process gets to end


class Executors(OpenObjects):
    """``concurrent.futures`` executors that run threads or processes. A thread pool without threads holds nothing."""

    name = "executor"
    owns = True
    counts_later = True
    family = Family(
        "concurrent.futures.thread:ThreadPoolExecutor",  # base of the interpreter pool of 3.14, too
        "concurrent.futures.process:ProcessPoolExecutor",
    )

    def is_open(self, thing: Any) -> bool:
        if has(thing, "_shutdown_thread"):  # a process pool: its pipes exist before its processes begin
            return not read(thing, "_shutdown_thread")
        return not read(thing, "_shutdown", True) and bool(read(thing, "_threads", ()))

    def key_and_detail(self, thing: Any) -> tuple[str, str]:
        name = name_of(type(thing))
        return name, f"{name} was not shut down"

    def close(self, thing: Any) -> None:
        processes = list((read(thing, "_processes") or {}).values())
        thing.shutdown(wait=False, cancel_futures=True)
        _kill(processes)

    @contextmanager
    def canary(self) -> Iterator[None]:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as executor:
            executor.submit(int)
            yield


class Pools(OpenObjects):
    """``multiprocessing`` pools, of processes or threads, that were neither closed nor terminated."""

    name = "pool"
    owns = True
    warns = "unclosed running multiprocessing pool"
    family = Family("multiprocessing.pool:Pool")

    def is_open(self, thing: Any) -> bool:
        return bool(read(thing, "_state") == "RUN") and has(thing, "_terminate")

    def key_and_detail(self, thing: Any) -> tuple[str, str]:
        name = name_of(type(thing))
        return name, f"{name} was neither closed nor terminated"

    def close(self, thing: Any) -> None:
        if not within(_SECONDS, thing.terminate):  # ``terminate`` waits for a lock that was lost
            _kill([worker for worker in thing._pool if hasattr(worker, "kill")])  # noqa: SLF001
        thing._change_notifier.close()  # noqa: SLF001  (a pipe that would stay open as long as the object)

    @contextmanager
    def canary(self) -> Iterator[None]:
        from multiprocessing.pool import Pool, ThreadPool

        # ``ThreadPool.__init__`` takes no context, and the default one may start helpers that stay.
        pool = ThreadPool.__new__(ThreadPool)
        Pool.__init__(pool, 1, context=fork_context())
        try:
            yield
        finally:
            pool.terminate()
            pool.join()


class Managers(OpenObjects):
    """``multiprocessing`` managers whose server process was started and not shut down."""

    name = "manager"
    owns = True
    counts_later = True
    family = Family("multiprocessing.managers:BaseManager")

    def is_open(self, thing: Any) -> bool:
        process = read(thing, "_process")  # managers that merely connect have none
        state = read(thing, "_state")
        return process is not None and state is not None and state.value == 1  # State.STARTED

    def key_and_detail(self, thing: Any) -> tuple[str, str]:
        name = name_of(type(thing))
        return name, f"{name} was not shut down"

    def close(self, thing: Any) -> None:
        if not within(_SECONDS, thing.shutdown):
            _kill([thing._process])  # noqa: SLF001

    @contextmanager
    def canary(self) -> Iterator[None]:
        from multiprocessing.managers import BaseManager

        manager = BaseManager(ctx=fork_context())
        ends = os.pipe()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about a fork in a process with threads
                manager.start(_end_with, ends) if hasattr(os, "fork") else manager.start()
            try:
                yield
            finally:
                manager.shutdown()
        finally:
            for end in ends:
                os.close(end)


def _end_with(reader: int, writer: int) -> None:
    """Kill this process as soon as the other one, which holds the pipe open, has ended in whatever way."""
    os.close(writer)

    def wait() -> None:
        os.read(reader, 1)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def _kill(processes: list[Any]) -> None:
    """Kill processes and wait for them to end, but not for long."""
    with suppress(Exception):
        for process in processes:
            process.kill()
        for process in processes:
            process.join(_KILLED)


def within(seconds: float, function: Callable[[], object]) -> bool:
    """Call ``function`` in a thread; return whether it ended within ``seconds``."""
    thread = threading.Thread(target=_quietly, args=(function,), daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


def _quietly(function: Callable[[], object]) -> None:
    attempt(function, None)
