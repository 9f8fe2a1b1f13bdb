"""Events of ``sys.monitoring``: which to watch for, and where."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_maskcheck.interrupts.places import Trigger

EVENTS = sys.monitoring.events

EVERYWHERE = {"PY_THROW", "PY_UNWIND"}
"""Events that cannot be watched for in a single code object."""


def local_event(trigger: Trigger) -> int:
    """Return the local events to watch for in order to see the event of a trigger."""
    return int(EVENTS.CALL if trigger.event == "C_RETURN" else getattr(EVENTS, trigger.event))
