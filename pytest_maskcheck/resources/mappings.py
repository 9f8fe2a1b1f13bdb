"""Memory maps that are open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pytest_maskcheck.resources.heap import Family
from pytest_maskcheck.resources.objects import Objects


class Mappings(Objects):
    """``mmap`` objects that were not closed."""

    name = "mmap"
    owns = True
    family = Family("mmap:mmap")

    def is_open(self, thing: Any) -> bool:
        return not thing.closed

    def told(self, thing: Any) -> tuple[str, str]:
        return type(thing).__qualname__, f"a map of {len(thing)} bytes was not closed"

    def close(self, thing: Any) -> None:
        thing.close()

    @contextmanager
    def canary(self) -> Iterator[None]:
        import mmap

        with mmap.mmap(-1, 1):
            yield
