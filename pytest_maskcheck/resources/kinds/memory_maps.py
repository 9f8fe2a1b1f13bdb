"""Open memory maps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pytest_maskcheck.resources.heap import Family
from pytest_maskcheck.resources.open_objects import OpenObjects
from pytest_maskcheck.system.untrusted import name_of


class Mappings(OpenObjects):
    """``mmap`` objects that were not closed."""

    name = "mmap"
    owns = True
    family = Family("mmap:mmap")

    def is_open(self, thing: Any) -> bool:
        return not _own(thing, "closed")

    def key_and_detail(self, thing: Any) -> tuple[str, str]:
        return name_of(type(thing)), f"a map of {_own(thing, '__len__')()} bytes was not closed"

    def close(self, thing: Any) -> None:
        thing.close()

    @contextmanager
    def canary(self) -> Iterator[None]:
        import mmap

        with mmap.mmap(-1, 1):
            yield


def _own(thing: Any, name: str) -> Any:
    """Return an attribute as ``mmap`` itself defines it, even if a subclass overrides it."""
    import mmap

    return vars(mmap.mmap)[name].__get__(thing)
