"""Standard streams: the objects in ``sys.stdout`` and the like."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from operator import is_, itemgetter
from typing import cast

from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.process_state import ProcessState
from pytest_maskcheck.system.unpatched import io
from pytest_maskcheck.system.untrusted import name_of

_REMOVED = object()
_NAMES = ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__")
_STREAMS = itemgetter(*_NAMES)
_SYS = vars(sys)


class StandardStreams(ProcessState["tuple[object, ...]"]):
    """The six stream variables of ``sys``, by identity."""

    name = "stdio"
    repeatable = False

    def read(self) -> tuple[object, ...]:
        try:
            return cast("tuple[object, ...]", _STREAMS(_SYS))
        except KeyError:  # one was removed
            return tuple(_SYS.get(name, _REMOVED) for name in _NAMES)

    def compare(self, before: object) -> list[Leftover]:
        old, now = cast("tuple[object, ...]", before), self.read()
        return [] if all(map(is_, old, now)) else list(self.differences(old, now))

    def differences(self, before: tuple[object, ...], now: tuple[object, ...]) -> Iterator[Leftover]:
        for name, old, new in zip(_NAMES, before, now, strict=True):
            if old is not new:
                change = "was removed" if new is _REMOVED else f"is another object now, of type {name_of(type(new))}"
                yield self.altered(f"sys.{name}", f"sys.{name} {change}", name, old)

    def put_back(self, of: Hashable, value: object) -> None:
        if value is _REMOVED:
            del _SYS[cast("str", of)]
        else:
            setattr(sys, cast("str", of), value)

    @contextmanager
    def canary(self) -> Iterator[None]:
        old = sys.__stdin__
        sys.__stdin__ = io.StringIO()  # type: ignore[misc, assignment]
        try:
            yield
        finally:
            sys.__stdin__ = old  # type: ignore[misc]
