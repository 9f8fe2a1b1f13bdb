"""Ignore comments and allow-list entries: which of them were used by any of several audits."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def used_in_any(uses: Iterable[Mapping[str, bool]]) -> dict[str, bool]:
    """Return, for each entry, whether any of several audits used it."""
    used: dict[str, bool] = {}
    for each in uses:
        used |= {name: used.get(name, False) or use for name, use in each.items()}
    return used


def unused(uses: Iterable[Mapping[str, bool]]) -> list[str]:
    """Return the entries that no audit used."""
    return sorted(name for name, use in used_in_any(uses).items() if not use)
