"""Events of ``sys.monitoring``: which to watch for, and where."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import CodeType

    from pytest_maskcheck.interrupts.places import Trigger

EVENTS = sys.monitoring.events

EVERYWHERE = {"PY_THROW", "PY_UNWIND"}
"""Events that cannot be watched for in a single code object."""


def local_event(trigger: Trigger) -> int:
    """Return the local events to watch for in order to see the event of a trigger."""
    return int(EVENTS.CALL if trigger.event == "C_RETURN" else getattr(EVENTS, trigger.event))


def events_for(triggers: Iterable[Trigger]) -> tuple[dict[int, tuple[CodeType, int]], int]:
    """Return the events to watch for in order to see those of triggers.

    Returns:
        Code objects by ``id``, each with its local events; and the events to watch for everywhere.
    """
    local: dict[int, tuple[CodeType, int]] = {}
    everywhere = 0
    for trigger in triggers:
        if trigger.event in EVERYWHERE:
            everywhere |= getattr(EVENTS, trigger.event)
            continue
        code = trigger.callee or trigger.code
        _, events = local.get(id(code), (code, 0))
        local[id(code)] = (code, events | local_event(trigger))
    return local, everywhere
