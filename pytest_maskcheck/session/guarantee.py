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
        name: as in reports.
        read: returns the value; of an invariant, whether it holds.
        before: the value at registration.
        late: the interrupt of the run had been sent before the registration.
    """

    sort: str
    name: str
    read: Callable[[], object]
    before: object = None
    late: bool = False


GUARANTEES = pytest.StashKey[list[Guarantee]]()
"""Where an item keeps what was registered in the run under way."""
