"""A warning filter that matches nothing and records everything, ahead of all others."""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable, Iterable
from typing import Any, SupportsIndex

from pytest_maskcheck.system.untrusted import attempt

_get_context = getattr(warnings, "_get_context", None)
_mutated: Callable[[], object] = warnings._filters_mutated  # type: ignore[attr-defined]  # noqa: SLF001  (a test may replace it)

SHOWN = ("always", None, ResourceWarning, None, 0)
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


class Watcher:
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


def location() -> tuple[Any, str]:
    """Return where the filters in force are kept: in the module, or in the context where those are context-aware."""
    if _get_context is None:
        return warnings, "filters"
    context = _get_context()
    return (context, "_filters") if "_filters" in getattr(context, "__dict__", ()) else (warnings, "filters")


def install(place: Any, attribute: str, filters: object) -> None:
    """Put a list of filters in force at a :func:`location`."""
    setattr(place, attribute, filters)
    _mutated()


def filters_in_force() -> list[Any]:
    """Return the filters that are there without this kind."""
    place, attribute = location()
    filters = getattr(place, attribute)
    if type(filters) is not Filters:  # nor need it be a list
        return attempt(lambda: list(filters), [filters])
    first, *others = list.__getitem__(filters, slice(1, None)) or (None,)
    return others if first is SHOWN else [item for item in filters.others() if item is not SHOWN]


def put_filters(filters: list[Any]) -> None:
    """Put other filters in force; this kind goes on watching."""
    place, attribute = location()
    now = getattr(place, attribute)
    now[:] = [SHOWN, *filters] if isinstance(now, Filters) else filters
    _mutated()
