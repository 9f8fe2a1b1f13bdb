"""Warnings: which filters are in force, and what shows a warning."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from operator import attrgetter
from typing import Any, cast

from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.process_state import ProcessState
from pytest_maskcheck.resources.user_objects import label_of, same
from pytest_maskcheck.resources.warning_watcher import filters_in_force, put_filters
from pytest_maskcheck.system.untrusted import attempt

# The last is what ``catch_warnings(record=True)`` replaces.
_SHOWING = ("showwarning", "formatwarning", "_showwarnmsg_impl")
_showing = attrgetter(*(name for name in _SHOWING if hasattr(warnings, name)))

Warnings = tuple[list[Any], tuple[object, ...]]


class WarningFilters(ProcessState[Warnings]):
    """The filters, by content and order, and the functions that show a warning."""

    name = "warnings"

    def read(self) -> Warnings:
        return filters_in_force(), _showing(warnings)

    def compare(self, before: object) -> list[Leftover]:
        old, now = cast("Warnings", before), self.read()
        return [] if same(old, now) else list(self.differences(old, now))

    def differences(self, before: Warnings, now: Warnings) -> Iterator[Leftover]:
        old, new = before[0], now[0]
        added = [item for item in new if not _is_among(item, old)]
        gone = [item for item in old if not _is_among(item, new)]
        for item in added:
            yield self.altered(_name(item), f"a warning filter was added: {_name(item)}", "filters", old)
        for item in gone:
            yield self.altered(_name(item), f"a warning filter is gone: {_name(item)}", "filters", old)
        if not added and not gone and not same(old, new):
            yield self.altered("order", "the order of the warning filters changed", "filters", old)
        for name, former, function in zip(_SHOWING, before[1], now[1], strict=False):
            if former is not function:
                yield self.altered(name, f"warnings.{name} is now {label_of(function)}", name, former)

    def put_back(self, of: Hashable, value: object) -> None:
        if of == "filters":
            put_filters(cast("list[Any]", value))
        else:
            setattr(warnings, cast("str", of), value)

    @contextmanager
    def canary(self) -> Iterator[None]:
        old = filters_in_force()
        warnings.filterwarnings("ignore", "pytest_maskcheck canary")
        try:
            yield
        finally:
            put_filters(old)


def _is_among(item: object, items: list[Any]) -> bool:
    return any(item is other or same(item, other) for other in items)


def _name(item: object) -> str:
    """Return a filter as it would be written for ``-W``, or nearly so; a label if it is not a valid filter."""
    return attempt(lambda: _written(item), label_of(item))


def _written(item: Any) -> str:
    """Return a filter as ``action:message:category``, followed by the module if it has one. Raises if it is not a valid filter."""
    action, message, category, module, _ = item
    parts = [action, *(getattr(part, "pattern", part) or "" for part in (message,)), category.__name__]
    text = ":".join(part for part in parts if part)
    return text if module is None else f"{text} in {getattr(module, 'pattern', module)}"
