"""A warning filter that precedes all others, matches nothing and records every warning.

Theory of operation:

1. For each warning, ``warnings`` goes through the list of filters and tests text and category against each. The watcher's
   pattern and category record what they are tested against, and match nothing. So the filters after it decide as if it were not
   there.
2. Both recorders are methods written in C (``list.append``), so that watching adds no place where a signal could be handled.
3. ``simplefilter`` inserts filters at the front, and ``catch_warnings`` copies the list. So the list is replaced by a
   :class:`Filters`, which keeps the watcher first. Its copies are of the same class.

A suite that turns warnings into errors would change what is observed: a ``__del__`` that warns and then cleans up, such as that of
``Popen``, would stop half-way. So ResourceWarnings are always shown, and are no errors unless the test itself makes them so.
"""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable, Iterable
from typing import Any, SupportsIndex

from pytest_maskcheck.system.untrusted import attempt

_get_context = getattr(warnings, "_get_context", None)
_mutated: Callable[[], object] = warnings._filters_mutated  # type: ignore[attr-defined]  # noqa: SLF001  (a test may replace it)

SHOWN = ("always", None, ResourceWarning, None, 0)
"""This filter comes before those of the suite, and after those that the test installs."""


class Filters(list[Any]):
    """A list of warning filters that keeps its first item, the watcher, first."""

    def __init__(self, watcher: object, others: Iterable[object]) -> None:
        super().__init__((watcher, *others))
        self.watcher = watcher

    def others(self) -> list[Any]:
        """Return all items but the watcher."""
        return [item for item in self if item is not self.watcher]

    def insert(self, index: SupportsIndex, item: object) -> None:
        # The watcher stays in front: position 0 becomes position 1.
        super().insert(int(index) or 1, item)

    def __getitem__(self, index: Any) -> Any:
        return Filters(self.watcher, self.others()[index]) if isinstance(index, slice) else super().__getitem__(index)

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(index, value)
        self._keep()

    def __delitem__(self, index: Any) -> None:
        # Positions count as if the watcher were not there; negative ones are the same with it.
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
    """A filter that matches nothing and records everything."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.categories: list[type] = []
        # ``warnings`` calls nothing else of a filter: ``match`` of its pattern, and ``issubclass`` with its category.
        pattern = types.SimpleNamespace(match=self.texts.append)
        category = type("Meta", (type,), {"__subclasscheck__": self.categories.append})("Watched", (), {})
        self.filter = ("ignore", pattern, category, None, 0)

    def clear(self) -> None:
        self.texts.clear()
        self.categories.clear()

    def resource_warnings(self) -> list[str]:
        """Return the texts of the ResourceWarnings recorded, each once."""
        seen = zip(self.texts, self.categories, strict=False)
        return list(dict.fromkeys(text for text, category in seen if issubclass(category, ResourceWarning)))


def location() -> tuple[Any, str]:
    """Return where the filters in force are kept, as (object, attribute): in the module, or in the context if they are context-aware."""
    if _get_context is None:
        return warnings, "filters"
    context = _get_context()
    return (context, "_filters") if "_filters" in getattr(context, "__dict__", ()) else (warnings, "filters")


def install(place: Any, attribute: str, filters: object) -> None:
    """Put ``filters`` in force at a :func:`location`."""
    setattr(place, attribute, filters)
    _mutated()


def filters_in_force() -> list[Any]:
    """Return the filters that would be in force without the watcher."""
    place, attribute = location()
    filters = getattr(place, attribute)
    if type(filters) is not Filters:  # a test may put anything in place of the list
        return attempt(lambda: list(filters), [filters])
    first, *others = list.__getitem__(filters, slice(1, None)) or (None,)
    return others if first is SHOWN else [item for item in filters.others() if item is not SHOWN]


def put_filters(filters: list[Any]) -> None:
    """Put other filters in force. The watcher, if there is one, stays in front of them."""
    place, attribute = location()
    now = getattr(place, attribute)
    now[:] = [SHOWN, *filters] if isinstance(now, Filters) else filters
    _mutated()
