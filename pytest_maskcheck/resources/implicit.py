"""Resources closed by the interpreter instead of by the code: the ResourceWarnings of a run.

A filter that never matches stands in front of the others: it sees the text and the category of every
warning, and the filters behind it decide as if it were not there. Both are noted by methods written in C,
so that watching adds no place where a signal could be handled. ``simplefilter`` and ``catch_warnings`` put
their filters in front; the list of filters is one that keeps its watcher first, and so are its copies.

A suite that makes warnings errors would change what is looked at: a ``__del__`` that warns and then closes, as that of
``Popen``, would stop half-way. So ResourceWarnings are shown to whoever listens, and are no errors unless the test itself says so.
"""

from __future__ import annotations

import re
import types
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, SupportsIndex, cast

from pytest_maskcheck.resources.base import Kind, Leftover, Surroundings
from pytest_maskcheck.system.unpatched import io, os
from pytest_maskcheck.system.untrusted import attempt

_FILE = re.compile(r"<\S+ name=(?P<quote>['\"]?)(?P<name>.*?)(?P=quote)( [^>]*)?>")
_get_context = getattr(warnings, "_get_context", None)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")
_mutated: Callable[[], object] = warnings._filters_mutated  # type: ignore[attr-defined]  # noqa: SLF001  (a test may replace it)


_SHOWN = ("always", None, ResourceWarning, None, 0)
"""Stands before the filters of the suite, and behind those that the test installs."""


class Filters(list[Any]):
    """A list of warning filters that keeps its first item first; ``others`` are without it."""

    def __init__(self, watcher: object, others: Iterable[object]) -> None:
        super().__init__((watcher, *others))
        self.watcher = watcher

    def others(self) -> list[Any]:
        """Return the items but the first."""
        return [item for item in self if item is not self.watcher]

    def insert(self, index: SupportsIndex, item: object) -> None:
        super().insert(int(index) or 1, item)

    def __getitem__(self, index: Any) -> Any:
        return Filters(self.watcher, self.others()[index]) if isinstance(index, slice) else super().__getitem__(index)

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(index, value)
        self._keep()

    def __delitem__(self, index: Any) -> None:
        super().__delitem__(index + 1 if isinstance(index, int) and index >= 0 else index)
        self._keep()

    def pop(self, index: SupportsIndex = -1) -> Any:
        found = self.others().pop(index)
        self.remove(found)
        return found

    def clear(self) -> None:
        del self[:]

    def _keep(self) -> None:
        if not self or self[0] is not self.watcher:
            super().insert(0, self.watcher)


class _Watcher:
    """A filter that matches nothing and notes everything."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.categories: list[type] = []
        # All that is asked of a filter: does its pattern match the text, is the category below its own.
        pattern = types.SimpleNamespace(match=self.texts.append)
        category = type("Meta", (type,), {"__subclasscheck__": self.categories.append})("Watched", (), {})
        self.filter = ("ignore", pattern, category, None, 0)

    def clear(self) -> None:
        self.texts.clear()
        self.categories.clear()

    def resource_warnings(self) -> list[str]:
        """Return the texts of the ResourceWarnings seen, each once."""
        seen = zip(self.texts, self.categories, strict=False)
        return list(dict.fromkeys(text for text, category in seen if issubclass(category, ResourceWarning)))


@dataclass(frozen=True, slots=True)
class _Former:
    """The filters that were in force before, and where they are kept."""

    place: Any
    attribute: str
    filters: Any


def _place() -> tuple[Any, str]:
    """Return where the filters in force are kept: in the module, or in the context where those are context-aware."""
    if _get_context is None:
        return warnings, "filters"
    context = _get_context()
    return (context, "_filters") if "_filters" in getattr(context, "__dict__", ()) else (warnings, "filters")


def _install(place: Any, attribute: str, filters: object) -> None:
    setattr(place, attribute, filters)
    _mutated()


def filters_in_force() -> list[Any]:
    """Return the filters that are there without this kind."""
    place, attribute = _place()
    filters = getattr(place, attribute)
    if type(filters) is not Filters:  # nor need it be a list
        return attempt(lambda: list(filters), [filters])
    first, *others = list.__getitem__(filters, slice(1, None)) or (None,)
    return others if first is _SHOWN else [item for item in filters.others() if item is not _SHOWN]


def put_filters(filters: list[Any]) -> None:
    """Put other filters in force; this kind goes on watching."""
    place, attribute = _place()
    now = getattr(place, attribute)
    now[:] = [_SHOWN, *filters] if isinstance(now, Filters) else filters
    _mutated()


class ImplicitCloses(Kind):
    """ResourceWarnings between ``snapshot`` and ``finish``, whatever the filters say. The token is the text."""

    name = "implicit"
    listens = True
    traced = False

    def __init__(self, surroundings: Surroundings) -> None:
        self.surroundings = surroundings
        self._watcher = _Watcher()

    def snapshot(self) -> object:
        self._watcher.clear()
        place, attribute = _place()
        filters = getattr(place, attribute)
        if type(filters) is Filters:  # of a snapshot that was not finished
            filters = filters.others()
        _install(place, attribute, Filters(self._watcher.filter, (_SHOWN, *filters)))
        return _Former(place, attribute, filters)

    def compare(self, before: object) -> list[Leftover]:  # noqa: ARG002
        if not self._watcher.texts:
            return []
        return [Leftover(self.name, self._key(text), text, text) for text in self._watcher.resource_warnings()]

    def _key(self, text: str) -> str:
        return self.surroundings.text(_ADDRESS.sub("0x#", _FILE.sub(r"\g<name>", text)))

    def finish(self, before: object) -> None:
        former = cast("_Former", before)
        _install(former.place, former.attribute, former.filters)

    @contextmanager
    def canary(self) -> Iterator[None]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = io.open(os.devnull, "rb")
            del file
        yield
