"""Listen to audit events while an uninterrupted run is watched.

An audit hook cannot be removed, and one written in Python would add places where a signal can be handled. So all kinds share one
hook. While there are no listeners, it is a function written in C that does nothing.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

from pytest_maskcheck.system.unpatched import sys_functions

Heard = Callable[[str, tuple[Any, ...]], None]


class _Hook:
    """The audit hook, and its listeners."""

    def __init__(self) -> None:
        self.installed = False
        self.listeners: list[Mapping[str, Heard]] = []

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        for listener in self.listeners:
            heard = listener.get(event)
            if heard is not None:
                heard(event, args)

    # In C, and without an effect: it compares the event's name with its arguments.
    __call__: ClassVar[Callable[..., object]] = operator.is_


_HOOK = _Hook()


@contextmanager
def listening(listener: Mapping[str, Heard]) -> Iterator[None]:
    """Call ``listener[event](event, args)`` for each audit event whose name is a key of ``listener``."""
    _HOOK.listeners.append(listener)
    # On the type, as the interpreter looks up ``__call__`` there.
    type(_HOOK).__call__ = type(_HOOK).audit
    if not _HOOK.installed:
        _HOOK.installed = True
        sys_functions.addaudithook(_HOOK)
    try:
        yield
    finally:
        _HOOK.listeners.remove(listener)
        if not _HOOK.listeners:
            type(_HOOK).__call__ = operator.is_


class Use:
    """Records whether the uninterrupted test caused one of a few audit events. If it did not, the kind has nothing to look for."""

    def __init__(
        self, *events: str, counts: Callable[[str, tuple[Any, ...]], bool] = lambda _event, _args: True
    ) -> None:
        self.seen = False
        self._counts = counts
        self._listener = dict.fromkeys(events, self._hear)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        self.seen = self.seen or self._counts(event, args)

    @contextmanager
    def learning(self) -> Iterator[None]:
        """Watch an uninterrupted run."""
        with listening(self._listener):
            yield

    def assumed(self, canary: AbstractContextManager[None]) -> AbstractContextManager[None]:
        """Count the use as seen from now on; return ``canary``, wrapped so that its end restores what was recorded before."""
        seen, self.seen = self.seen, True
        return self._until_its_end(canary, seen)

    @contextmanager
    def _until_its_end(self, canary: AbstractContextManager[None], seen: bool) -> Iterator[None]:
        try:
            with canary:
                yield
        finally:
            self.seen = seen
