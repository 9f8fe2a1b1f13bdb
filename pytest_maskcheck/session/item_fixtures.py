"""The fixtures of an item: what outlives a run, what a run adds to it, and the directories that fixtures make."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.session.private import finalizers, fixtures, set_temporary_directory
from pytest_maskcheck.system.unpatched import pathlib

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pytest


def directories(item: pytest.Item) -> dict[str, str]:
    """Return the directories that fixtures have passed to a test, by name."""
    arguments = getattr(item, "funcargs", None) or {}
    given = [str(arguments[name]) for name in ("tmp_path", "tmpdir") if name in arguments]
    return {"tmp_path": given[-1]} if given else {}


@contextmanager
def same_finalizers(item: pytest.Function) -> Iterator[None]:
    """Drop finalizers of function-scoped fixtures already torn down, which a run has registered with fixtures that outlive it."""
    lasting = [finalizers(definition) for definition in fixtures(item) if definition.scope != "function"]
    counts = [len(registered) for registered in lasting]
    try:
        yield
    finally:
        for registered, count in zip(lasting, counts, strict=True):
            registered[count:] = [each for each in registered[count:] if not _ends_function_scoped(each)]


def _ends_function_scoped(finalizer: Callable[[], object]) -> bool:
    """Return whether a finalizer is ``FixtureDef.finish`` of a function-scoped fixture."""
    method = finalizer.func if isinstance(finalizer, partial) else None
    return method is not None and getattr(getattr(method, "__self__", None), "scope", "") == "function"


def uses(definition: pytest.FixtureDef[Any], others: Sequence[pytest.FixtureDef[Any]]) -> bool:
    """Return whether a fixture requests any of the others."""
    return not {each.argname for each in others}.isdisjoint(definition.argnames)


def kept_values(item: pytest.Function) -> list[tuple[str, object]]:
    """Return the named values that outlive a run of an item: those of its longer-lived fixtures, and its parameters."""
    kept = [
        (f"fixture {definition.argname}", definition.cached_result[0])
        for definition in fixtures(item)
        if definition.scope != "function" and definition.cached_result is not None
    ]
    spec = getattr(item, "callspec", None)
    return [*kept, *((f"parameter {name}", value) for name, value in spec.params.items())] if spec else kept


def own_directory(config: pytest.Config, directory: str) -> None:
    """Make a forked process create its ``tmp_path`` directories below ``directory``."""
    set_temporary_directory(config, pathlib.Path(directory))
