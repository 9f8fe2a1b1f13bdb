"""Logging: handlers and levels of loggers, and the switches of the module."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from operator import attrgetter, itemgetter
from typing import Any, cast

from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.process_state import ProcessState
from pytest_maskcheck.resources.surroundings import Surroundings
from pytest_maskcheck.resources.user_objects import changes, label_of, same
from pytest_maskcheck.system.untrusted import is_a, read, text_of

_VALUES = ("level", "propagate", "disabled")
_values = itemgetter(*_VALUES)
_handlers = itemgetter("handlers")
_SWITCHES = ("logging.raiseExceptions", "logging.lastResort", "logging.disable")
_switches = attrgetter("raiseExceptions", "lastResort", "root.manager._disable")


def _is_whole(logger: object) -> bool:
    return all(name in read(logger, "__dict__", ()) for name in (*_VALUES, "handlers"))


class _Known:
    """The loggers that exist, the root first."""

    def __init__(self, logging: Any) -> None:
        self.table: dict[str, Any] = logging.root.manager.loggerDict
        self.count = len(self.table)
        loggers = {name: one for name, one in self.table.items() if is_a(one, logging.Logger) and _is_whole(one)}
        self.names = ("root", *loggers)
        self.loggers = (logging.root, *loggers.values())
        self.namespaces = tuple(read(one, "__dict__") for one in self.loggers)
        # Placeholders: names of which only a child exists. They become loggers without changing the count.
        self._promised = tuple(name for name in self.table if name not in loggers)
        self._promises = [self.table[name] for name in self._promised]

    def all(self) -> bool:
        """Return whether these are all loggers that exist now."""
        table = self.table
        if len(table) != self.count:
            return False
        return not self._promised or list(map(table.get, self._promised)) == self._promises


_Reading = tuple[_Known, "tuple[object, ...]", "list[tuple[object, ...]]", "list[tuple[object, ...]]"]


class Loggers(ProcessState["_Reading | None"]):
    """Level, handlers and switches of every logger, and the switches of the module. For new loggers only the handlers count."""

    name = "logging"

    def __init__(self, surroundings: Surroundings | None = None) -> None:
        super().__init__(surroundings)
        self._known: _Known | None = None

    def read(self) -> _Reading | None:
        logging = sys.modules.get("logging")
        if logging is None:
            return None
        # In most runs there are no new loggers, and the namespaces of the known ones are read in C.
        known = self._known
        if known is None or not known.all():
            known = self._known = _Known(logging)
        namespaces = known.namespaces
        try:
            handlers = list(map(tuple, map(_handlers, namespaces)))
        except TypeError:  # a test has put something else in place of a list
            handlers = [tuple(each) if isinstance(each, list) else (each,) for each in map(_handlers, namespaces)]
        return known, _switches(logging), list(map(_values, namespaces)), handlers

    def compare(self, before: object) -> list[Leftover]:
        old, now = cast("_Reading | None", before), self.read()
        if old is None or now is None or same(old, now):
            return []
        return list(self.differences(old, now))

    def differences(self, before: _Reading | None, now: _Reading | None) -> Iterator[Leftover]:
        if before is None or now is None:
            return
        (before_known, before_switches, *before_rows), (known, switches, *rows) = before, now
        for switch, old, new in zip(_SWITCHES, before_switches, switches, strict=True):
            if old is not new and not same(old, new):
                yield self.altered(switch, f"{switch} is {text_of(new)} (before: {text_of(old)})", switch, old)
        former = dict(zip(map(id, before_known.loggers), zip(*before_rows, strict=True), strict=True))
        for name, logger, values, handlers in zip(known.names, known.loggers, *rows, strict=True):
            old_values, old_handlers = former.get(id(logger), (values, ()))
            yield from self._values(name, old_values, values)
            yield from self._handlers(name, old_handlers, handlers)

    def _values(self, name: str, before: tuple[object, ...], now: tuple[object, ...]) -> Iterator[Leftover]:
        for value, old, new in zip(_VALUES, before, now, strict=True):
            if old is not new and not same(old, new):
                detail = f"logger {name}: {value} is {text_of(new)} (before: {text_of(old)})"
                yield self.altered(f"{name} {value}", detail, (name, value), old)

    def _handlers(self, name: str, before: tuple[object, ...], now: tuple[object, ...]) -> Iterator[Leftover]:
        if same(before, now):
            return
        added, removed = changes(before, now)
        changed = [f"{label_of(handler)} was added" for handler in added]
        changed += [f"{label_of(handler)} is gone" for handler in removed]
        detail = f"logger {name}: handlers changed: {', '.join(changed) or 'their order'}"
        yield self.altered(f"{name} handlers", detail, (name, "handlers"), before)

    def put_back(self, of: Hashable, value: object) -> None:
        logging = cast("Any", sys.modules["logging"])
        if of == "logging.disable":
            logging.disable(value)
        elif isinstance(of, str):
            setattr(logging, of.partition(".")[2], value)
        else:
            known, name = cast("tuple[str, str]", of)
            logger = logging.getLogger(known)
            if name == "handlers":
                logger.handlers[:] = cast("tuple[Any, ...]", value)
            elif name == "level":
                logger.setLevel(value)
            else:
                setattr(logger, name, value)

    def canary(self) -> AbstractContextManager[None]:
        """See the base class. This call imports ``logging``."""
        return _canary(importlib.import_module("logging"))


@contextmanager
def _canary(logging: Any) -> Iterator[None]:
    handler = logging.NullHandler()
    logging.root.addHandler(handler)
    try:
        yield
    finally:
        logging.root.removeHandler(handler)
