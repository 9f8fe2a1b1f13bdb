"""Kinds cope with objects whose ``__init__`` was interrupted, and with objects whose methods all raise."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import dis
import gc
import io
import logging
import mmap
import multiprocessing
import multiprocessing.connection
import multiprocessing.managers
import multiprocessing.pool
import multiprocessing.queues
import multiprocessing.shared_memory
import multiprocessing.synchronize
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from pytest_maskcheck.resources import Kind, Surroundings, all_kinds
from pytest_maskcheck.resources.heap import at_once
from pytest_maskcheck.system.frozen_heap import FrozenHeap

_FORK = multiprocessing.get_context("fork")

MAKERS: dict[str, tuple[type, Callable[[type], object]]] = {
    "lock": (threading.Semaphore, lambda kind: kind(1)),
    "bounded": (threading.BoundedSemaphore, lambda kind: kind(1)),
    "condition": (threading.Condition, lambda kind: kind()),
    "thread": (threading.Thread, lambda kind: kind(target=len, args=("x",))),
    "process lock": (multiprocessing.synchronize.Lock, lambda kind: kind(ctx=_FORK)),
    "process semaphore": (multiprocessing.synchronize.BoundedSemaphore, lambda kind: kind(1, ctx=_FORK)),
    "process queue": (multiprocessing.queues.Queue, lambda kind: kind(ctx=_FORK)),
    "executor": (concurrent.futures.ThreadPoolExecutor, lambda kind: kind(1)),
    "process executor": (concurrent.futures.ProcessPoolExecutor, lambda kind: kind(1, mp_context=_FORK)),
    "thread pool": (multiprocessing.pool.ThreadPool, lambda kind: kind(1)),
    "manager": (multiprocessing.managers.BaseManager, lambda kind: kind(ctx=_FORK)),
    "shared memory": (multiprocessing.shared_memory.SharedMemory, lambda kind: kind(create=True, size=1)),
    "socket": (socket.socket, lambda kind: kind()),
    "file": (io.FileIO, lambda kind: kind(os.devnull)),
    "popen": (subprocess.Popen, lambda kind: kind(["true"])),
    "temporary directory": (tempfile.TemporaryDirectory, lambda kind: kind()),
    "spooled file": (tempfile.SpooledTemporaryFile, lambda kind: kind(max_size=1)),
    "connection": (sqlite3.Connection, lambda kind: kind(":memory:")),
    "loop": (asyncio.SelectorEventLoop, lambda kind: kind()),
    "async lock": (asyncio.Lock, lambda kind: kind()),
    "async semaphore": (asyncio.BoundedSemaphore, lambda kind: kind(1)),
    "logger": (logging.Logger, lambda kind: kind("half made")),
    "map": (mmap.mmap, lambda kind: kind(-1, 1)),
}
"""Types that kinds inspect, each with a function that makes an instance of it or of a subclass."""

POP_EXCEPT = dis.opmap["POP_EXCEPT"]
LEAST = 1
MOST = 40
"""The fewest and the most lines of Python after which ``__init__`` is cut short."""


class _CutError(Exception):
    pass


@contextlib.contextmanager
def cut(lines: int) -> Iterator[None]:
    """Raise after this many lines of ``__init__`` methods. Other code is not cut: a module's lock would stay held for good."""
    left = lines

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename == __file__ or frame.f_code.co_name != "__init__":
            return None
        left -= event == "line"
        # Not at the end of an ``except`` clause: what it handled would count as being handled for good.
        if left < 0 and frame.f_code.co_code[frame.f_lasti] != POP_EXCEPT:
            raise _CutError
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def subclass(base: type) -> type:
    """Return a subclass whose methods all raise once it is armed."""

    class Raising(base):  # type: ignore[misc]
        armed = False

        def __getattribute__(self, name: str) -> Any:
            if Raising.armed:
                raise ZeroDivisionError(name)
            return super().__getattribute__(name)

        def __eq__(self, other: object) -> bool:
            raise ZeroDivisionError

        def __bool__(self) -> bool:
            if Raising.armed:
                raise ZeroDivisionError
            return True

        def __repr__(self) -> str:
            if Raising.armed:
                raise ZeroDivisionError
            return "raising"

        __hash__ = object.__hash__

    return Raising


def look(kinds: list[Kind], befores: list[object], *, closely: bool = False) -> None:
    """Call everything on all kinds that the audit calls, except ``repair``; ``closely`` takes long.

    ``repair`` would close objects that belong to other tests.
    """
    with at_once:
        found = [(kind, kind.compare(before)) for kind, before in zip(kinds, befores, strict=True)]
        for kind in kinds:
            kind.snapshot()
    for kind, leftovers in found:
        for leftover in leftovers:
            assert leftover.key
            assert "\n" not in leftover.key
            if closely:
                kind.describe(leftover)
                kind.thing(leftover)


@pytest.fixture
def kinds(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[list[Kind], list[object]]]:
    """Yield all kinds but two, and their snapshots from before the test."""
    asked = [kind for kind in all_kinds(Surroundings()) if kind.name not in {"implicit", "double_close"}]
    with at_once:
        for kind in asked:
            kind.prepare()
    gc.collect()
    FrozenHeap.freeze()
    befores = [kind.snapshot() for kind in asked]
    yield asked, befores
    for kind, before in zip(asked, befores, strict=True):
        kind.finish(before)
    FrozenHeap.thaw()
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    with warnings.catch_warnings(action="ignore"):
        gc.collect()  # a half-made object warns when it is collected


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MAKERS)
def test_no_kind_stumbles_over_what_is_half_made(name: str, kinds: tuple[list[Kind], list[object]]) -> None:
    """No kind raises, whichever line of the constructor raised, for the type itself and for a subclass."""
    base, make = MAKERS[name]
    for kind in (base, type("Derived", (base,), {})):
        for lines in range(LEAST, MOST):
            things: list[Any] = []

            def keeping(self: Any, *args: Any, things: list[Any] = things, **named: Any) -> None:
                things.append(self)
                if base is not mmap.mmap:  # its ``__new__`` makes it
                    base.__init__(self, *args, **named)

            watched = type(kind.__name__, (kind,), {"__init__": keeping})
            done = False
            with contextlib.suppress(_CutError), cut(lines):
                make(watched)
                done = True
            look(*kinds)
            for thing in things:
                for end in ("shutdown", "close", "cleanup", "terminate", "unlink"):
                    with contextlib.suppress(Exception):
                        getattr(thing, end)()
            if done:
                break


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MAKERS)
def test_no_kind_stumbles_over_what_raises(name: str, kinds: tuple[list[Kind], list[object]]) -> None:
    """Kinds describe an object whose class raises in every method."""
    base, make = MAKERS[name]
    kind = subclass(base)
    thing: Any = make(kind)
    kind.armed = True  # type: ignore[attr-defined]
    try:
        look(*kinds, closely=True)
    finally:
        kind.armed = False  # type: ignore[attr-defined]
        for end in ("shutdown", "close", "cleanup", "terminate", "unlink", "wait"):
            with contextlib.suppress(Exception):
                getattr(thing, end)()


def test_what_raises_is_seen_all_the_same(kinds: tuple[list[Kind], list[object]]) -> None:
    """A held semaphore, an open socket and an open map are found although their classes raise."""
    made = []
    for base, make in (MAKERS["bounded"], MAKERS["socket"], MAKERS["map"]):
        kind: Any = subclass(base)
        made.append((kind, make(kind)))
    semaphore: Any = made[0][1]
    semaphore.acquire()
    for kind, _ in made:
        kind.armed = True
    try:
        found = {one.kind for kind, before in zip(*kinds, strict=True) for one in kind.compare(before)}
    finally:
        for kind, thing in made:
            kind.armed = False
            with contextlib.suppress(AttributeError):
                thing.close()
    assert {"semaphore", "socket", "mmap"} <= found


class _Unhashable(type):  # noqa: PLW1641  (this is what is tested)
    def __eq__(cls, other: object) -> bool:
        return False


class _Raising(type):
    def __hash__(cls) -> int:
        raise ZeroDivisionError


@pytest.mark.parametrize("meta", [_Unhashable, _Raising])
def test_objects_whose_class_has_no_hash(meta: type, kinds: tuple[list[Kind], list[object]]) -> None:
    """Objects of unhashable classes, whose metaclass defines ``__eq__`` alone or a raising ``__hash__``, are found like others."""
    thing = meta("Thing", (), {})()
    made: socket.socket = meta("Socket", (socket.socket,), {})()
    try:
        look(*kinds)
        with at_once:
            seen = {left.kind for kind, before in zip(*kinds, strict=True) for left in kind.compare(before)}
        assert "socket" in seen
    finally:
        made.close()
    look(*kinds)
    assert thing is not None
