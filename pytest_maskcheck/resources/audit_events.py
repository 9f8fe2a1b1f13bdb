"""Listen to audit events while an uninterrupted run is watched.

An audit hook cannot be removed, and one written in Python would add places where a signal can be handled. So one hook serves all
kinds, and while nobody listens it is a function written in C that does nothing.
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

    __call__: ClassVar[Callable[..., object]] = operator.is_


_HOOK = _Hook()


@contextmanager
def listening(listener: Mapping[str, Heard]) -> Iterator[None]:
    """Call the functions of ``listener``, a mapping from event names, with each event and its arguments."""
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
    """Whether the uninterrupted test did one of a few things; what it does not do need not be looked for."""

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
        """Return ``canary``, until whose end the use counts as seen."""
        seen, self.seen = self.seen, True
        return self._until_its_end(canary, seen)

    @contextmanager
    def _until_its_end(self, canary: AbstractContextManager[None], seen: bool) -> Iterator[None]:
        try:
            with canary:
                yield
        finally:
            self.seen = seen
