"""Run items without letting their reports, warnings and subtests reach the user."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_maskcheck.session.private import FAILED_SUBTESTS, replaced_hooks

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

_LOGGED = ("pytest_runtest_logreport", "pytest_warning_recorded", "pytest_exception_interact")
"""Hooks through which reports and warnings reach the user."""


@contextmanager
def unlogged(config: pytest.Config) -> Iterator[list[warnings.WarningMessage]]:
    """Keep reports, those of subtests too, and warnings from the terminal, from xdist and from all other plugins.

    Yields:
        The warnings, as they come.
    """
    failed: dict[str, int] = {} if FAILED_SUBTESTS is None else config.stash.get(FAILED_SUBTESTS, {})
    counts = dict(failed)
    try:
        with replaced_hooks(config, _LOGGED), warnings.catch_warnings(record=True) as kept_back:
            yield kept_back
    finally:
        failed.clear()
        failed.update(counts)
