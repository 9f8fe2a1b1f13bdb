"""Standard streams: the objects that ``sys.stdout`` and its like are."""

from __future__ import annotations

import io
import sys
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from operator import attrgetter, is_
from typing import cast

from pytest_maskcheck.resources.base import Leftover
from pytest_maskcheck.resources.state import State

_NAMES = ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__")
_STREAMS = attrgetter(*_NAMES)


class StandardStreams(State["tuple[object, ...]"]):
    """The six stream variables of ``sys``, by identity."""

    name = "stdio"
    repeatable = False

    def read(self) -> tuple[object, ...]:
        return cast("tuple[object, ...]", _STREAMS(sys))

    def compare(self, before: object) -> list[Leftover]:
        old, now = cast("tuple[object, ...]", before), self.read()
        return [] if all(map(is_, old, now)) else list(self.differences(old, now))

    def differences(self, before: tuple[object, ...], now: tuple[object, ...]) -> Iterator[Leftover]:
        for name, old, new in zip(_NAMES, before, now, strict=True):
            if old is not new:
                kind = type(new).__qualname__
                yield self.altered(f"sys.{name}", f"sys.{name} is another object now, of type {kind}", name, old)

    def put_back(self, of: Hashable, value: object) -> None:
        setattr(sys, cast("str", of), value)

    @contextmanager
    def canary(self) -> Iterator[None]:
        old = sys.__stdin__
        sys.__stdin__ = io.StringIO()  # type: ignore[misc, assignment]
        try:
            yield
        finally:
            sys.__stdin__ = old  # type: ignore[misc]
