"""Give each run of an audit the same examples, for tests whose examples hypothesis generates.

An audit reaches a point by running the test again, so all runs need the same examples. A run must not read what another one left in
hypothesis' database of failing examples. It must not fail a deadline or a health check because it is watched or has an instance of its
own: the ordinary run, which passed, was made with the user's settings.

The functions that hypothesis makes carry the file and the line of the test. They would count as the test's own code, and what hypothesis
loses in them would count as a defect of the test. So during a run they have a file name of their own.

Private names used: ``global_force_seed`` and the attribute of a test that holds its settings, which the pytest plugin of hypothesis sets,
too; and ``proxies``. ``tests/compat/test_hypothesis.py`` fails when one of them changes.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType

_SEED = 0
_SETTINGS = "_hypothesis_internal_use_settings"


def is_generated(item: pytest.Function) -> bool:
    """Return whether hypothesis generates the examples of a test."""
    return bool(getattr(_function(item), "is_hypothesis_test", False))


@contextmanager
def same_examples(item: pytest.Function) -> Iterator[None]:
    """Make hypothesis generate the same examples for a test in every such block.

    A seed that the user has set (``@seed``, ``--hypothesis-seed``) is kept.
    """
    core: Any = sys.modules.get("hypothesis.core")
    if core is None or not is_generated(item):
        yield
        return
    function = _function(item)
    with pytest.MonkeyPatch.context() as patch:
        if hasattr(function, _SETTINGS):
            patch.setattr(function, _SETTINGS, _repeatable(getattr(function, _SETTINGS)))
            patch.setattr(function, "__code__", _outside(function.__code__))
        else:  # a state machine
            patch.setattr(item.cls, "settings", _repeatable(item.cls.settings))
        if core.global_force_seed is None:
            patch.setattr(core, "global_force_seed", _SEED)
        patch.setattr(core, "proxies", _unlike(core.proxies))
        yield


def _function(item: pytest.Function) -> Any:
    """Return the function of a test; a method is returned unbound, as binding it would make an instance."""
    return getattr(item.cls or item.module, item.originalname, None)


def _repeatable(settings: Any) -> Any:
    """Return settings that make each run the same, however long it takes."""
    checks = sys.modules["hypothesis"].HealthCheck
    return type(settings)(parent=settings, database=None, deadline=None, suppress_health_check=[*checks])


@cache
def _outside(code: CodeType) -> CodeType:
    """Return code of hypothesis with a file name of its own; the same object each time, as interpreters count events per code object."""
    return code.replace(co_filename="<hypothesis>")


def _unlike(proxies: Callable[[Any], Callable[[Any], Any]]) -> Callable[[Any], Callable[[Any], Any]]:
    """Return a ``proxies`` whose functions do not carry the file name of the function that they wrap."""

    def proxies_outside(target: Any) -> Callable[[Any], Any]:
        def accept(proxy: Any) -> Any:
            made = proxies(target)(proxy)
            made.__code__ = _outside(made.__code__)
            return made

        return accept

    return proxies_outside
