"""The locale of the process."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

from pytest_maskcheck.resources.kind import Leftover
from pytest_maskcheck.resources.process_state import ProcessState

try:
    import _locale as _c
except ImportError:
    _c = None  # type: ignore[assignment]

HAS_LOCALE = hasattr(_c, "setlocale")
_locale: Any = _c
_CATEGORIES = ("LC_CTYPE", "LC_COLLATE", "LC_TIME", "LC_MONETARY", "LC_MESSAGES", "LC_NUMERIC")
_read: Callable[[], str] = partial(_locale.setlocale, _locale.LC_ALL) if HAS_LOCALE else str


def _each() -> dict[str, str]:
    numbers = {name: getattr(_locale, name) for name in _CATEGORIES if hasattr(_locale, name)}
    return {name: _locale.setlocale(number) for name, number in numbers.items()}


class Locale(ProcessState[str]):
    """What ``locale.setlocale`` has set, for all categories at once; differences are reported by category."""

    name = "locale"
    available = HAS_LOCALE

    read = staticmethod(_read)

    def differences(self, before: str, now: str) -> Iterator[Leftover]:
        # ``setlocale`` returns single categories only of the locale in force, so the former one is set for a moment.
        there = _each()
        _locale.setlocale(_locale.LC_ALL, before)
        former = _each()
        _locale.setlocale(_locale.LC_ALL, now)
        for name, old in former.items():
            if there[name] != old:
                yield self.altered(name, f"the locale's {name} is {there[name]} (before: {old})", name, old)

    def put_back(self, of: Hashable, value: object) -> None:
        _locale.setlocale(getattr(_locale, cast("str", of)), cast("str", value))

    @contextmanager
    def canary(self) -> Iterator[None]:
        old = _locale.setlocale(_locale.LC_CTYPE)
        _locale.setlocale(_locale.LC_CTYPE, "C" if old != "C" else "C.UTF-8")
        try:
            yield
        finally:
            _locale.setlocale(_locale.LC_CTYPE, old)
