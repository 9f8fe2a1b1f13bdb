"""One thing that must hold after an interrupt, as the fixture registers it and the ledger checks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest


@dataclass(slots=True, repr=False)
class Guarantee:
    """One thing that must hold.

    Parameters:
        sort: ``invariant``, ``unchanged`` or ``atomic``.
        name: its name in reports.
        read: returns the value; for an invariant, whether it holds.
        before: the value at registration.
        late: the interrupt of the run had already been sent at registration.
    """

    sort: str
    name: str
    read: Callable[[], object]
    before: object = None
    late: bool = False


GUARANTEES = pytest.StashKey[list[Guarantee]]()
"""The key under which an item's stash holds the guarantees registered in the run under way."""
