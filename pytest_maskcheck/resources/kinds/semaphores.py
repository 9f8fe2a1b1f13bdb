"""Semaphores that were acquired and not released."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from pytest_maskcheck.resources.acquisitions import Acquisitions
from pytest_maskcheck.resources.heap import Family
from pytest_maskcheck.system.unpatched import threading
from pytest_maskcheck.system.untrusted import name_of, read


class Semaphores(Acquisitions):
    """Semaphores whose value is lower than before, and new bounded ones whose value is lower than their initial one."""

    name = "semaphore"
    noun = "semaphore"
    dies_with_frames = True
    family = Family("threading:Semaphore")

    def count(self, thing: Any) -> int:
        return cast("int", object.__getattribute__(thing, "_value"))

    def more(self, thing: Any, former: Any) -> int:
        before = (
            read(thing, "_initial_value", 0) if former is None else former
        )  # a new semaphore without a bound does not show its initial value
        return cast("int", before - self.count(thing))

    def detail(self, thing: Any, times: int) -> str:
        return f"a {name_of(type(thing))} was acquired and not released ({times})"

    @contextmanager
    def canary(self) -> Iterator[None]:
        semaphore = threading.BoundedSemaphore()
        with semaphore:
            yield
